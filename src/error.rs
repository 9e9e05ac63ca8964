//! What went wrong, in words that tell a person what to do next.
//!
//! One type serves the whole library: a stable code, what was seen, the cause below it, and a remedy. The [`Fault`] says
//! whose turn it is, the caller's or the machine's; the program turns it into its exit code.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::OnceLock;

/// A longer first line is broken: go2rtc shows 512 bytes to a viewer, among them a log's time and level, and the code is
/// to be one of them.
const FIRST_LINE: usize = 400;

/// Finds the remedy that belongs to a code.
type Remedies = fn(code: &str) -> Option<String>;

/// Where remedies are looked up that an error does not bring along.
static REMEDIES: OnceLock<Remedies> = OnceLock::new();

/// Has every error of this process find its remedy by its code, where it brings none of its own. The program does so: its
/// remedies name its options, which mean nothing to a program that uses the library.
#[cfg(feature = "cli")]
pub fn look_up_remedies(remedies: Remedies) {
    // Of two programs in one process the first one speaks.
    let _ = REMEDIES.set(remedies);
}

/// Whose turn it is after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request cannot be served as it was made: a wrong value, path or shader.
    Input,
    /// The request was fine and the machine could not do it, or stopped doing it.
    Machine,
}

/// An error with its code and its remedy.
///
/// `Display` prints the whole message: what was seen, its cause after a colon, the code in brackets, and on lines of their
/// own what to do about it. It starts with the cause because go2rtc shows only the first 512 bytes to a viewer.
/// `Debug` prints the same, since that is what a `main` that returns it prints.
pub struct Error {
    fault: Fault,
    code: &'static str,
    what: String,
    remedy: String,
    examined: bool,
    shortage: bool,
    for_good: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of the caller: `what` is wrong with the request, `remedy` is what to write instead.
    ///
    /// `code` names the kind of error for programs and for `mb-encode explain`. Your own errors have none: pass "".
    pub fn input(code: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Fault::Input, code, what.into(), remedy.into())
    }

    /// A failure of the machine: `what` failed, `remedy` is what to do about it. `code` is as for [`Error::input`].
    pub fn machine(code: &'static str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Fault::Machine, code, what.into(), remedy.into())
    }

    fn new(fault: Fault, code: &'static str, what: String, remedy: String) -> Self {
        Self { fault, code, what, remedy, examined: false, shortage: false, for_good: false, source: None }
    }

    /// The same error with the cause that lies below it.
    ///
    /// Where the system is short of something, that is the cause to cure, whatever was attempted: its remedy takes the
    /// place of the one that there was.
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let source = source.into();
        if let Some(remedy) = os_error(&*source).and_then(remedy_for_shortage) {
            self.remedy = remedy.to_owned();
            self.shortage = true;
        }
        self.source = Some(source);
        self
    }

    /// Whether the system was short of descriptors, processes or memory, which may pass.
    pub fn is_shortage(&self) -> bool {
        self.shortage
    }

    /// The same error, which every later attempt in this process ends with as well.
    pub(crate) fn for_good(mut self) -> Self {
        self.for_good = true;
        self
    }

    /// Whether another attempt can only succeed in another process.
    pub(crate) fn is_for_good(&self) -> bool {
        self.for_good
    }

    /// The same error, for a part that `mb-encode doctor` finds out more about.
    pub fn examined_by_doctor(mut self) -> Self {
        self.examined = true;
        self
    }

    /// Returns the stable code of this kind of error, such as `nvenc-sessions`; "" where it has none.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What was seen and its cause, without the code and the remedy.
    pub fn cause(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.what),
            None => self.what.clone(),
        }
    }

    /// What was seen, its cause and the code, for a line of a log that goes on without it.
    pub(crate) fn in_a_line(&self) -> String {
        let cause = self.cause().replace('\n', " ");
        if self.code.is_empty() { cause } else { format!("{cause} [{}]", self.code) }
    }

    /// What to do about it; empty where there is nothing to say.
    pub fn remedy(&self) -> Cow<'_, str> {
        if !self.remedy.is_empty() {
            return Cow::Borrowed(&self.remedy);
        }
        REMEDIES.get().and_then(|remedy| remedy(self.code)).map_or(Cow::Borrowed(""), Cow::Owned)
    }

    /// Whose turn it is.
    pub fn fault(&self) -> Fault {
        self.fault
    }
}

/// The system's number of an error that came from there.
fn os_error(error: &(dyn StdError + 'static)) -> Option<i32> {
    let io = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    io.or_else(|| error.downcast_ref::<rustix::io::Errno>().map(|errno| errno.raw_os_error()))
}

fn remedy_for_shortage(errno: i32) -> Option<&'static str> {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(errno) {
        Errno::MFILE => Some("raise the limit of open files: ulimit -n 1024, in a unit LimitNOFILE=1024"),
        Errno::NFILE => Some("the whole system has too many files open: raise fs.file-max, or close some"),
        Errno::AGAIN => {
            Some("raise the limit of processes: ulimit -u, in a unit TasksMax=, in a container --pids-limit")
        }
        Errno::NOMEM => Some("free memory, or raise the limit of the container or unit"),
        _ => None,
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the first line of a message ends.
fn end_of_first_line(text: &str) -> usize {
    let line = text.find('\n').unwrap_or(text.len());
    if line <= FIRST_LINE {
        return line;
    }
    let limit = (0..=FIRST_LINE).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    // Between words, if there are any.
    text[..limit].rfind(' ').filter(|&at| at > FIRST_LINE / 2).unwrap_or(limit)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.cause();
        let (first, rest) = cause.split_at(end_of_first_line(&cause));
        f.write_str(first)?;
        if !self.code.is_empty() {
            write!(f, " [{}]", self.code)?;
        }
        let remedy = self.remedy();
        for line in rest.trim().lines().chain(remedy.lines()) {
            write!(f, "\n  {line}")?;
        }
        if self.examined {
            f.write_str("\n  mb-encode doctor tries each part by itself, and says more")?;
        }
        Ok(())
    }
}

// The cause stands in `Display` already; offering it as `source()` too would print it twice in an error chain.
impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_seen_then_why_then_what_to_do() {
        let error =
            Error::machine("fifo-folder", "cannot open the FIFO a.h264", "make the folder first:\nmkdir -p streams")
                .caused_by(std::io::Error::from_raw_os_error(2));
        assert_eq!(
            error.to_string(),
            "cannot open the FIFO a.h264: No such file or directory (os error 2) [fifo-folder]\n  make the folder first:\n  mkdir -p streams"
        );
        assert_eq!(error.fault(), Fault::Machine);
        let error = Error::machine("", "NVENC failed", "").examined_by_doctor();
        assert_eq!(error.to_string(), "NVENC failed\n  mb-encode doctor tries each part by itself, and says more");
        assert_eq!(error.remedy(), "", "the doctor sends nobody to itself");
    }

    #[test]
    fn the_code_ends_the_first_line_within_what_go2rtc_shows() {
        let error = Error::input("gl-program", "it does not compile", "").caused_by("0:1: no\n0:2: no\n");
        assert_eq!(error.to_string(), "it does not compile: 0:1: no [gl-program]\n  0:2: no");
        assert_eq!(error.cause(), "it does not compile: 0:1: no\n0:2: no\n");
        for word in ["word ", "\u{1f4fa}"] {
            let error = Error::input("ffmpeg-failed", "ffmpeg ended", "").caused_by(word.repeat(200));
            let text = error.to_string();
            let at = text.find(" [ffmpeg-failed]\n  ").expect("a code");
            assert!((300..=FIRST_LINE).contains(&at), "{at}");
            assert_eq!(text.matches(word.trim()).count(), 200, "nothing is lost: {text}");
        }
    }

    #[test]
    fn a_shortage_is_the_cause_to_cure_whatever_was_attempted() {
        let error = Error::machine("fifo-unwritable", "cannot write to the FIFO f", "allow it: chmod ug+rw f");
        let short = error.caused_by(rustix::io::Errno::MFILE);
        assert!(short.is_shortage() && short.remedy().contains("ulimit -n"), "{short}");
        let error = Error::machine("fifo-unwritable", "cannot write to the FIFO f", "allow it: chmod ug+rw f");
        let refused = error.caused_by(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        assert!(!refused.is_shortage() && refused.remedy().contains("chmod"), "{refused}");
    }
}
