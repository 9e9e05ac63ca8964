//! Listens to the stages of a stream, and records how long each was open and what CPU time its thread spent in it.

use super::{CUDA, GL};
use mb_encode::gl::Gl;
use mb_encode::parts::{CudaContext, STAGE, open_cuda};
use rustix::time::{ClockId, clock_gettime};
use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// In the order in which a picture meets them. `planes` is within `read`.
pub const STAGES: [&str; 10] =
    ["draw", "convert", "read", "planes", "upload", "map", "copy", "unmap", "encode", "write"];

/// Those in which others work for us: the driver of GL, or the encoder.
const DRIVER: [&str; 2] = ["draw", "read"];
const CODER: &str = "encode";
const LAST: &str = "write";

/// Times of each of [`STAGES`], in the order of the pictures.
pub type Times = [Vec<Duration>; STAGES.len()];

/// The CPU time that `clock` has counted.
pub fn cpu_time(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// What one thread spent, from its first stage to its last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// In stages and between them.
    pub all: Duration,
    /// In the driver.
    pub driver: Duration,
    /// In the encoder.
    pub coder: Duration,
}

/// What was spent from the first stage on.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By each thread that had stages.
    pub threads: Vec<Spent>,
    began: Option<Duration>,
    ended: Duration,
}

impl Ledger {
    /// By the whole process, until the last picture was written.
    pub fn whole(&self) -> Duration {
        self.ended.saturating_sub(self.began.unwrap_or(self.ended))
    }
}

/// A stage that is open on this thread.
struct Open {
    began: Instant,
    cpu: Duration,
    /// CPU time of the stages within it.
    inner: Duration,
}

#[derive(Default)]
struct Lane {
    open: Vec<Open>,
    first: Option<Duration>,
    /// Where this thread's account stands in the ledger.
    place: Option<usize>,
}

thread_local! {
    static LANE: RefCell<Lane> = const { RefCell::new(Lane { open: Vec::new(), first: None, place: None }) };
}

/// The listener.
pub struct Clock {
    pub times: Arc<Mutex<Times>>,
    pub ledger: Arc<Mutex<Ledger>>,
    /// Whether each stage ends by waiting for the GPU.
    pub sync: bool,
}

impl Clock {
    /// Waits until the GPU has finished the stage's work.
    fn wait_for_gpu(stage: &str) {
        match stage {
            "draw" | "convert" => GL.with_borrow(|gl| gl.iter().for_each(Gl::finish)),
            // The stream meets a failure too, and reports it.
            "map" | "copy" | "unmap" => CUDA.with_borrow_mut(|cuda| {
                if cuda.is_none() {
                    *cuda = GL.with_borrow(|gl| gl.as_ref().and_then(|gl| open_cuda(gl).ok()));
                }
                let _ = cuda.as_ref().map(CudaContext::finish);
            }),
            _ => {}
        }
    }
}

impl Subscriber for Clock {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == STAGE
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let stage = STAGES.iter().position(|&stage| stage == span.metadata().name());
        // An id is not zero.
        Id::from_u64(1 + stage.expect("a stage that is known here") as u64)
    }

    fn enter(&self, _: &Id) {
        LANE.with_borrow_mut(|lane| {
            let cpu = cpu_time(ClockId::ThreadCPUTime);
            if lane.first.is_none() {
                lane.first = Some(cpu);
                let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
                ledger.began.get_or_insert_with(|| cpu_time(ClockId::ProcessCPUTime));
            }
            lane.open.push(Open { began: Instant::now(), cpu, inner: Duration::ZERO });
        });
    }

    fn exit(&self, span: &Id) {
        let stage = span.into_u64() as usize - 1;
        let name = STAGES[stage];
        if self.sync {
            Self::wait_for_gpu(name);
        }
        LANE.with_borrow_mut(|lane| {
            let Some(open) = lane.open.pop() else { return };
            let (time, now) = (open.began.elapsed(), cpu_time(ClockId::ThreadCPUTime));
            let whole = now.saturating_sub(open.cpu);
            if let Some(outer) = lane.open.last_mut() {
                outer.inner += whole;
            }
            self.times.lock().unwrap_or_else(PoisonError::into_inner)[stage].push(time);

            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let place = *lane.place.get_or_insert_with(|| {
                ledger.threads.push(Spent::default());
                ledger.threads.len() - 1
            });
            let spent = &mut ledger.threads[place];
            spent.all = now.saturating_sub(lane.first.unwrap_or(now));
            let own = whole.saturating_sub(open.inner);
            if DRIVER.contains(&name) {
                spent.driver += own;
            } else if name == CODER {
                spent.coder += own;
            } else if name == LAST {
                ledger.ended = cpu_time(ClockId::ProcessCPUTime);
            }
        });
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
}
