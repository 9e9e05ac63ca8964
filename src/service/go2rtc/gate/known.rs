//! What the gate knows: where go2rtc is, which streams there are, and what this machine is called.

use super::admission::Hosts;
use super::connection::Inner;
use super::ids::Ids;
use super::wall::{Tell, Wall};
use std::sync::Arc;

/// The same for every connection.
#[derive(Debug)]
pub struct Known {
    pub inner: Inner,
    pub ids: Ids,
    pub hosts: Hosts,
    pub wall: Wall,
}

impl Known {
    pub fn of(inner: Inner, hosts: Hosts, tell: Arc<Tell>) -> Self {
        Self { ids: Ids::of(inner.clone()), inner, hosts, wall: Wall::new(tell) }
    }
}
