//! Waiting for descriptors: the one place that knows how the kernel wants its timeouts, and that an interrupted wait is
//! one in which nothing happened.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::time::{Duration, Instant};

/// What a descriptor reports when whoever is on the other side has left.
pub const GONE: PollFlags = PollFlags::ERR.union(PollFlags::HUP);

/// Waits until one of `fds` reports something or `timeout` is over. Returns how many do: 0 also where a signal came.
/// Callers look again at what they wait for.
pub fn wait(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> usize {
    let timeout = timeout.map(|timeout| Timespec {
        // More than the kernel takes is for ever.
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    poll(fds, timeout.as_ref()).unwrap_or(0)
}

/// What `fd` reports of `events` within `timeout`; errors are reported asked for or not.
pub fn wait_for(fd: &impl AsFd, events: PollFlags, timeout: Option<Duration>) -> PollFlags {
    let mut fds = [PollFd::new(fd, events)];
    wait(&mut fds, timeout);
    fds[0].revents()
}

/// What `fd` reports of `events` now.
pub fn look(fd: &impl AsFd, events: PollFlags) -> PollFlags {
    wait_for(fd, events, Some(Duration::ZERO))
}

/// Whether a read from `fd` would return at once.
pub fn is_readable(fd: &impl AsFd) -> bool {
    !look(fd, PollFlags::IN).is_empty()
}

/// Waits until `fd` is readable, or it is `deadline`. Returns whether it is.
pub fn readable_until(fd: &impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if !wait_for(fd, PollFlags::IN, Some(left)).is_empty() {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}

/// Descriptors to wait for at once, each told by the key that it was added with.
#[derive(Debug)]
pub struct Set<'fd, K> {
    fds: Vec<PollFd<'fd>>,
    keys: Vec<K>,
}

impl<K> Default for Set<'_, K> {
    fn default() -> Self {
        Self { fds: Vec::new(), keys: Vec::new() }
    }
}

impl<'fd, K: Copy> Set<'fd, K> {
    /// Adds `fd`, to be reported as `key` when it is readable or in error.
    pub fn add(&mut self, key: K, fd: &'fd impl AsFd) {
        self.add_for(key, fd, PollFlags::IN);
    }

    /// Adds `fd` for `events`; none are errors alone.
    pub fn add_for(&mut self, key: K, fd: &'fd impl AsFd, events: PollFlags) {
        self.fds.push(PollFd::from_borrowed_fd(fd.as_fd(), events));
        self.keys.push(key);
    }

    /// Waits until something is reported or `timeout` is over. Returns what is, in the order of adding.
    pub fn wait(&mut self, timeout: Option<Duration>) -> impl Iterator<Item = (K, PollFlags)> {
        if wait(&mut self.fds, timeout) == 0 {
            self.fds.iter_mut().for_each(PollFd::clear_revents);
        }
        let reported = self.fds.iter().map(PollFd::revents);
        self.keys.iter().copied().zip(reported).filter(|(_, events)| !events.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_descriptor_is_told_by_its_key() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let (other, _kept) = rustix::pipe::pipe().unwrap();
        let mut set = Set::default();
        set.add("other", &other);
        set.add("pipe", &read);
        assert_eq!(set.wait(Some(Duration::ZERO)).count(), 0);
        rustix::io::write(&write, b"x").unwrap();
        assert_eq!(set.wait(None).collect::<Vec<_>>(), [("pipe", PollFlags::IN)]);
        assert!(is_readable(&read) && !is_readable(&other));
        assert!(!readable_until(&other, Instant::now()));
        drop(write);
        assert!(look(&read, PollFlags::empty()).intersects(GONE));
    }
}
