//! `mb-encode man`: the man page.

use super::explain;
use crate::cli::print::print;

pub fn run(grammar: clap::Command) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(grammar).render(&mut page)?;
    page.extend_from_slice(explain::man_section().as_bytes());
    print(&page)
}
