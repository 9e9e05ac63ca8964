//! What the gate knows: where go2rtc is, which streams there are, and what this machine is called.

use super::admission::Hosts;
use super::connection::Inner;
use super::ids::Ids;

/// The same for every connection.
#[derive(Debug)]
pub struct Known {
    pub inner: Inner,
    pub ids: Ids,
    pub hosts: Hosts,
}

impl Known {
    pub fn of(inner: Inner, hosts: Hosts) -> Self {
        Self { ids: Ids::of(inner.clone()), inner, hosts }
    }
}
