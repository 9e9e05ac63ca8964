//! What the gate knows: where go2rtc is, which streams there are, what this machine is called, and whom to tell of viewers.

use super::admission::Hosts;
use super::connection::Inner;
use super::ids::Ids;
use super::wall::{Tell, Wall};
use crate::service::go2rtc::keyframes::Bell;
use std::sync::Arc;

/// The same for every connection.
#[derive(Debug)]
pub struct Known {
    pub inner: Inner,
    pub ids: Ids,
    pub hosts: Hosts,
    pub wall: Wall,
    /// Who hears of those who come in.
    pub bell: Option<Bell>,
}

impl Known {
    pub fn of(inner: Inner, hosts: Hosts, tell: Arc<Tell>, bell: Option<Bell>) -> Self {
        Self { ids: Ids::of(inner.clone()), inner, hosts, wall: Wall::new(tell), bell }
    }

    /// Somebody has asked go2rtc for stream `id`; see [`Bell::ring`].
    pub fn ring(&self, id: &str, set_up: bool) {
        self.bell.iter().for_each(|bell| bell.ring(id, set_up));
    }
}
