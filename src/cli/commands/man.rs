//! `mb-encode man`: the man page.

use crate::cli::print::print;

pub fn run(grammar: clap::Command) -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(grammar).render(&mut page)?;
    print(&page)
}
