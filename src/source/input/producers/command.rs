//! A command whose standard output is read. It runs while the stream does.

use super::super::intake::{Intake, Over};
use super::super::pipe::{End, Form, Pipe};
use super::{Patience, Producer};
use crate::error::Error;
use crate::os::process::{Child, Orphaned};
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What it has from the request to end until it is killed. It is less than what this process has itself.
const GRACE: Duration = Duration::from_millis(700);

/// Before it is started again the first time, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// Run by a shell.
pub struct Command {
    pub command: String,
    pub form: Form,
}

impl Producer for Command {
    fn run(&mut self, intake: &Intake) -> Result<(), Error> {
        let mut patience = Patience::new(FIRST_WAIT, LONGEST_WAIT);
        let mut has_shown = false;
        loop {
            let mut running = Running::start(&self.command)?;
            let end = running.read(intake, &self.form);
            let status = running.end(matches!(end, End::Closed { .. }));
            let how = status.map_or_else(|| "was killed".to_owned(), |status| format!("ended: {status}"));
            match end {
                End::Over => return Ok(()),
                End::Closed { pictures, .. } => {
                    has_shown |= pictures > 0;
                    match status {
                        Some(status) if status.success() && has_shown => return Ok(()),
                        _ if !has_shown => return Err(self.failed(&how)),
                        _ => {}
                    }
                    if pictures > 0 {
                        patience.reset();
                    }
                    tracing::warn!("the input command {how}; starting it again");
                }
                End::Bad(error) if !has_shown => return Err(error),
                End::Bad(error) => tracing::warn!("the input command: {}; starting it again", error.in_a_line()),
            }
            if let Err(Over) = intake.wait(None, Some(patience.next())) {
                return Ok(());
            }
        }
    }

    fn name(&self) -> String {
        "the input command".to_owned()
    }
}

impl Command {
    fn failed(&self, how: &str) -> Error {
        Error::input("input-command", format!("the input command {how}, before its first frame"), "")
    }
}

/// The shell and what it has started: a process group of their own.
struct Running {
    child: Child,
    pipe: Option<std::process::ChildStdout>,
    /// Ends the group where this process could not. Dropping it ends it alone.
    _guard: Option<Child>,
}

impl Running {
    fn start(command: &str) -> Result<Self, Error> {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = Child::start(shell, Orphaned::Killed, &[])
            .map_err(|error| Error::machine("input-command", "cannot start the input command", "").caused_by(error))?;
        let (_, pipe, _) = child.take_pipes();
        let _guard = guard(child.pid())
            .inspect_err(|error| tracing::warn!("what the input command starts may outlive this process: {error}"))
            .ok();
        Ok(Self { child, pipe, _guard })
    }

    fn read(&self, intake: &Intake, form: &Form) -> End {
        match &self.pipe {
            Some(pipe) => Pipe::new(pipe, intake).read(form, &|| true),
            None => End::Closed { pictures: 0, cut: false },
        }
    }

    /// Waits for its end, which it is asked for unless it has closed its output by itself. `None` where it was killed.
    fn end(&mut self, by_itself: bool) -> Option<ExitStatus> {
        // A producer that writes learns it from this.
        self.pipe = None;
        if !by_itself {
            let _ = kill_process_group(self.child.pid(), Signal::TERM);
        }
        let status = self.child.end_by(Instant::now() + GRACE);
        // What the shell has left behind.
        let _ = kill_process_group(self.child.pid(), Signal::KILL);
        status
    }
}

/// Starts a process that kills a process group once this process has ended, however it did: the kernel would kill the
/// shell alone, and what that has started may write nothing, or not mind that nobody reads it.
fn guard(group: Pid) -> io::Result<Child> {
    let mut shell = std::process::Command::new("/bin/sh");
    // Nothing is ever written to it, so it reads up to the end of this process.
    shell.args(["-c", "read nothing; kill -s KILL -- \"-$1\"", "sh"]).arg(group.to_string());
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // A terminal's Ctrl-C is for others.
    shell.process_group(0);
    Child::start(shell, Orphaned::Left, &[])
}
