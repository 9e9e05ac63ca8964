//! How much a pipe's reader has taken, for who watches from another thread.

use rustix::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads off a pipe without touching what is in it.
#[derive(Debug)]
pub struct Meter {
    pipe: OwnedFd,
    sent: Arc<AtomicU64>,
}

/// What a meter shows, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Taken since the start; too little by one write at most, and never too much.
    pub taken: u64,
    /// There to be taken.
    pub unread: u64,
}

impl Meter {
    /// On a pipe that `sent` bytes were written to.
    pub fn new(pipe: OwnedFd, sent: Arc<AtomicU64>) -> Self {
        Self { pipe, sent }
    }

    /// What it shows now.
    pub fn read(&self) -> Reading {
        // In this order: what is sent in between counts as unread.
        let sent = self.sent.load(Ordering::Acquire);
        let unread = rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0);
        Reading { taken: sent.saturating_sub(unread), unread }
    }
}
