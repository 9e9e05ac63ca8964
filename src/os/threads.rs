//! Threads: small where they wait, behind others where those must not wait, and with one answer where none can be made.

use crate::error::Error;
use rustix::process::{Pid, getpriority_process, setpriority_process};
use rustix::thread::{current_timer_slack, set_current_timer_slack};
use std::fs::{read_dir, read_to_string};
use std::io;
use std::num::NonZeroU64;
use std::thread::Builder;

/// How much nicer threads get by a step back. After two of them, another thread has nine tenths of a core that they want as
/// well.
const STEP: i32 = 5;
const STEPS: i32 = 2;
/// As nice as a thread can be.
const NICEST: i32 = 19;

/// One with a small stack, in bytes. Nothing deep runs on these threads, and an idle worker is to be small.
pub fn small(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(128 * 1024)
}

/// One with the stack that the system gives a program's first thread, in bytes, for a driver that compiles. What nobody
/// touches of it takes no memory.
pub fn deep(name: &str) -> Builder {
    Builder::new().name(name.to_owned()).stack_size(8 << 20)
}

/// Threads of this process that can step back behind its others, step by step and for good: to step forward again needs
/// privileges.
#[derive(Debug)]
pub struct Background {
    ids: Vec<Pid>,
    nice: i32,
    nicest: i32,
}

impl Background {
    /// Those whose names begin with `prefix`, as nice as this thread is. There may be none.
    pub fn named(prefix: &str) -> Self {
        let threads = read_dir("/proc/self/task").into_iter().flatten().flatten();
        let named =
            threads.filter(|it| read_to_string(it.path().join("comm")).is_ok_and(|name| name.starts_with(prefix)));
        let ids = named.filter_map(|it| it.file_name().to_str().and_then(|id| Pid::from_raw(id.parse().ok()?)));
        let nice = getpriority_process(None).unwrap_or(NICEST);
        Self { ids: ids.collect(), nice, nicest: (nice + STEPS * STEP).min(NICEST) }
    }

    /// One step back, if there is one.
    pub fn step_back(&mut self) {
        if self.nice >= self.nicest {
            return;
        }
        self.nice = (self.nice + STEP).min(self.nicest);
        for &id in &self.ids {
            // One that has ended takes no core, and one that may not step back goes on as it was.
            let _ = setpriority_process(Some(id), self.nice);
        }
    }
}

/// Has timers of this thread be exact, and of those that it starts meanwhile: the kernel lets them be 50 us late otherwise, to
/// wake up for several at once. Dropping it, on the same thread, puts back what was before.
#[derive(Debug)]
pub struct ExactTimers {
    before: Option<NonZeroU64>,
}

impl ExactTimers {
    /// From now on.
    pub fn begin() -> Self {
        let before = current_timer_slack().ok().and_then(NonZeroU64::new);
        // In nanoseconds. Where a filter of system calls forbids it, timers stay as they are.
        let _ = set_current_timer_slack(Some(NonZeroU64::MIN));
        Self { before }
    }
}

impl Drop for ExactTimers {
    fn drop(&mut self) {
        let _ = set_current_timer_slack(self.before);
    }
}

/// Why a thread cannot be made.
pub fn cannot_start(error: io::Error) -> Error {
    Error::machine("too-many-processes", "cannot start a thread", "raise the limit of processes: ulimit -u")
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::gettid;
    use std::sync::mpsc::channel;

    #[test]
    fn timers_are_exact_on_threads_that_are_started_meanwhile_and_as_before_behind_that() {
        let before = current_timer_slack().unwrap();
        let exact = ExactTimers::begin();
        assert_eq!(std::thread::spawn(current_timer_slack).join().unwrap().unwrap(), 1);
        drop(exact);
        assert_eq!(current_timer_slack().unwrap(), before);
        assert!(before > 1, "{before} ns");
    }

    #[test]
    fn threads_of_one_name_step_back_and_no_others() {
        let nice = |id| getpriority_process(Some(id)).unwrap();
        let (end, ended) = channel::<()>();
        let (tell, told) = channel();
        let waiting = small("steps-back").spawn(move || {
            tell.send(gettid()).unwrap();
            let _ = ended.recv();
        });
        let (waiting, id) = (waiting.unwrap(), told.recv().unwrap());
        let before = nice(gettid());
        let mut others = Background::named("steps-sideways");
        others.step_back();
        assert_eq!(nice(id), before);
        let mut background = Background::named("steps-b");
        background.step_back();
        assert_eq!((nice(id), nice(gettid())), ((before + STEP).min(NICEST), before));
        (0..100).for_each(|_| background.step_back());
        assert_eq!((nice(id), nice(gettid())), ((before + STEPS * STEP).min(NICEST), before));
        drop(end);
        waiting.join().unwrap();
    }
}
