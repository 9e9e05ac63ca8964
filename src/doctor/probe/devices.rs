//! NVIDIA's device files, before any driver is loaded.

use super::checks::{Probe, other};
use crate::doctor::devices::{Machine, open};
use crate::doctor::part::Part;
use std::path::Path;

/// Whether they are there, and open for this user.
pub fn devices(probe: &mut Probe<'_>) -> Option<()> {
    probe.check(Part::NvidiaDevices, |_| {
        let (state, found, remedy) = Machine { root: Path::new("/"), open: &open }.devices();
        other((), state, found, &remedy)
    })
}
