//! How long a command takes from its start to the first byte that it writes, and whether it starts again at once after it
//! was killed.

use crate::times::Times;
use crate::{Found, say};
use anyhow::{Context as _, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Args {
    /// How often it is started, each time as soon as the one before has ended
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// End it by SIGKILL in mid-stream, instead of asking it to stop
    #[arg(long)]
    kill: bool,
    /// No more than three starts after so many seconds
    #[arg(long, default_value_t = 12)]
    within: u32,
    /// Longest wait for the first byte, in seconds
    #[arg(long, default_value_t = 30)]
    limit: u32,
    /// What writes to its standard output
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// # Errors
/// The command writes nothing, or does not end.
pub fn run(args: &Args) -> anyhow::Result<Found> {
    let times = Times::measure(args.times, args.within, || once(args))?;
    say(Times::HEAD);
    say(&times.row("first byte"));
    Ok(times.json())
}

/// A child that is killed when it is not needed any more, whatever happens.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn once(args: &Args) -> anyhow::Result<Duration> {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).stdin(Stdio::null()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut child = Ended(command.spawn().with_context(|| format!("{} does not start", args.command[0]))?);
    let mut stdout = child.0.stdout.take().expect("it is piped");
    let limit = Timespec { tv_sec: args.limit.into(), tv_nsec: 0 };
    let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
    ensure!(poll(&mut fds, Some(&limit))? == 1, "no byte within {} s", args.limit);
    let mut bytes = [0; 4096];
    let read = stdout.read(&mut bytes)?;
    let took = began.elapsed();
    if read == 0 {
        bail!("it ended without a byte, with {}", child.0.wait()?);
    }
    let _ = kill_process(Pid::from_child(&child.0), if args.kill { Signal::KILL } else { Signal::TERM });
    // It may be writing; the end of all its processes is the end of its output.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut fds = [PollFd::new(&stdout, PollFlags::IN)];
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        if poll(&mut fds, Some(&second))? == 1 && stdout.read(&mut bytes)? == 0 {
            return Ok(took);
        }
        ensure!(Instant::now() < deadline, "it does not end within 10 s of its signal");
    }
}
