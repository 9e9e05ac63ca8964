//! The self-check: every part that a stream needs, tried one by one in the order in which a stream meets them.
//!
//! Graphics drivers crash and hang, so what touches them runs in a process of its own ([`probe()`]), which the program
//! starts with a hidden argument: a crash or a hang is a finding like any other.

mod child;
mod probe;
mod system;
mod tools;

pub use probe::probe;

use serde_json::json;
use std::process::Command;
use std::time::Duration;

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Ok,
    /// It works less well than it might, or is there for something else.
    Warn,
    /// It does not work.
    Fail,
    /// Not tried: something before it makes it moot.
    Skip,
}

impl State {
    /// The word for it: `OK`, `WARN`, `FAIL` or `SKIP`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Ok, Self::Warn, Self::Fail, Self::Skip].into_iter().find(|state| state.word() == word)
    }

    fn is_usable(self) -> bool {
        matches!(self, Self::Ok | Self::Warn)
    }
}

/// What is looked at. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // `PARTS` says what each is.
pub enum Part {
    EglLoader,
    EglVendors,
    EglDevices,
    GlRenderer,
    Driver,
    CudaDevices,
    GlOnCuda,
    Interop,
    NvencLibrary,
    NvencSession,
    NvencH264,
    NvencPicture,
    Openh264,
    Ffmpeg,
    Go2rtc,
}

struct About {
    part: Part,
    /// For programs; never changes.
    id: &'static str,
    /// For people.
    name: &'static str,
    /// Without these it is moot.
    needs: &'static [Part],
    /// Whose code runs during the check.
    inside: &'static str,
}

const PARTS: [About; 15] = {
    use Part::*;
    const fn about(
        part: Part,
        id: &'static str,
        name: &'static str,
        needs: &'static [Part],
        inside: &'static str,
    ) -> About {
        About { part, id, name, needs, inside }
    }
    [
        about(EglLoader, "egl-loader", "EGL loader", &[], "libEGL.so.1"),
        about(EglVendors, "egl-vendors", "EGL vendors", &[], "an EGL vendor's library"),
        about(EglDevices, "egl-devices", "EGL devices", &[EglLoader], "libEGL.so.1, listing devices"),
        about(GlRenderer, "gl-renderer", "GL renderer", &[EglLoader], "the GL driver"),
        about(Driver, "nvidia-driver", "NVIDIA driver", &[], "libcuda.so.1, loading it or cuInit"),
        about(CudaDevices, "cuda-devices", "CUDA devices", &[Driver], "libcuda.so.1, listing devices"),
        about(GlOnCuda, "gl-on-cuda", "GL on CUDA's GPU", &[GlRenderer, CudaDevices], "libcuda.so.1, cuGLGetDevices"),
        about(Interop, "interop", "GL to CUDA", &[GlOnCuda], "libcuda.so.1, reading a GL picture"),
        about(NvencLibrary, "nvenc-library", "NVENC library", &[Driver], "libnvidia-encode.so.1, loading it"),
        about(
            NvencSession,
            "nvenc-session",
            "NVENC session",
            &[GlOnCuda, NvencLibrary],
            "libnvidia-encode.so.1, NvEncOpenEncodeSessionEx",
        ),
        about(NvencH264, "nvenc-h264", "NVENC H.264", &[NvencSession], "libnvidia-encode.so.1, NvEncGetEncodeCaps"),
        about(
            NvencPicture,
            "nvenc-picture",
            "NVENC picture",
            &[Interop, NvencH264],
            "libnvidia-encode.so.1, coding a picture",
        ),
        about(Openh264, "openh264", "OpenH264", &[], "OpenH264"),
        about(Ffmpeg, "ffmpeg", "ffmpeg", &[], "ffmpeg"),
        about(Go2rtc, "go2rtc", "go2rtc", &[], "go2rtc"),
    ]
};

impl Part {
    fn about(self) -> &'static About {
        &PARTS[self as usize]
    }

    fn from_id(id: &str) -> Option<Self> {
        PARTS.iter().find(|about| about.id == id).map(|about| about.part)
    }
}

/// Parts that are looked at in one process, one after the other. They are run in this order: with a wish for a GPU
/// drawing asks CUDA too, and a driver that crashes shall be met under its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after their parts.
pub enum Group {
    Egl,
    Cuda,
    Gl,
    Interop,
    NvencLibrary,
    Nvenc,
    Openh264,
}

const GROUPS: [(Group, &str, &[Part]); 7] = [
    (Group::Egl, "egl", &[Part::EglLoader, Part::EglVendors, Part::EglDevices]),
    (Group::Cuda, "cuda", &[Part::Driver, Part::CudaDevices]),
    (Group::Gl, "gl", &[Part::GlRenderer]),
    (Group::Interop, "interop", &[Part::GlOnCuda, Part::Interop]),
    (Group::NvencLibrary, "nvenc-library", &[Part::NvencLibrary]),
    (Group::Nvenc, "nvenc", &[Part::NvencSession, Part::NvencH264, Part::NvencPicture]),
    (Group::Openh264, "openh264", &[Part::Openh264]),
];

impl Group {
    /// The word that it goes by on a command line.
    pub fn word(self) -> &'static str {
        GROUPS[self as usize].1
    }

    fn parts(self) -> &'static [Part] {
        GROUPS[self as usize].2
    }
}

impl std::str::FromStr for Group {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let group = GROUPS.iter().find(|group| group.1 == word).map(|group| group.0);
        group.ok_or_else(|| format!("must be one of {}", GROUPS.map(|group| group.1).join(", ")))
    }
}

/// What was found about one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The part.
    pub part: Part,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// What to do about it; empty where there is nothing to do.
    pub remedy: String,
    /// Whether the process that looked was lost over it, to a crash or a hang.
    pub fatal: bool,
}

impl Finding {
    fn new(part: Part, state: State, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { part, state, found: found.into(), remedy: remedy.into(), fatal: false }
    }

    /// The part's name for programs, which never changes.
    pub fn id(&self) -> &'static str {
        self.part.about().id
    }

    /// The part's name for people.
    pub fn name(&self) -> &'static str {
        self.part.about().name
    }
}

/// Everything that was found, in the order of [`Part`].
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each part.
    pub findings: Vec<Finding>,
}

/// The encoders, from the one that is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Works {
    /// NVENC.
    Nvenc,
    /// OpenH264 alone.
    Openh264,
}

impl Report {
    fn finding(&self, part: Part) -> &Finding {
        &self.findings[part as usize]
    }

    fn usable(&self, part: Part) -> bool {
        self.finding(part).state.is_usable()
    }

    /// The best encoder that works, with something to draw its pictures.
    pub fn works(&self) -> Option<Works> {
        match self.usable(Part::GlRenderer) {
            true if self.usable(Part::NvencPicture) => Some(Works::Nvenc),
            true if self.usable(Part::Openh264) => Some(Works::Openh264),
            _ => None,
        }
    }

    /// One sentence for all of it.
    pub fn verdict(&self) -> String {
        let first = |parts: &[Part]| {
            let broken = self.findings.iter().find(|it| parts.contains(&it.part) && it.state == State::Fail);
            broken.map(|it| format!("{} failed", it.name()))
        };
        use Part::*;
        let way_to_nvenc =
            [Driver, CudaDevices, GlOnCuda, Interop, NvencLibrary, NvencSession, NvencH264, NvencPicture];
        match self.works() {
            Some(Works::Nvenc) => "NVENC works, and --encoder auto takes it".to_owned(),
            Some(Works::Openh264) if self.findings.iter().any(|it| it.fatal && way_to_nvenc.contains(&it.part)) => {
                "OpenH264 works with --encoder openh264; looking for NVENC ends in a crash or a hang".to_owned()
            }
            Some(Works::Openh264) => match first(&way_to_nvenc) {
                Some(why) => format!("OpenH264 works, and --encoder auto takes it; NVENC does not ({why})"),
                None => "OpenH264 works, and --encoder auto takes it; there is no NVIDIA driver for NVENC".to_owned(),
            },
            None => {
                let why = first(&[EglLoader, EglDevices, GlRenderer, Openh264, Driver]).unwrap_or_default();
                format!("no encoder works ({why})")
            }
        }
    }

    /// The report for programs: one object, with each check on a line of its own.
    pub fn json(&self) -> String {
        let works = self.works().map(|works| match works {
            Works::Nvenc => "nvenc",
            Works::Openh264 => "openh264",
        });
        let checks: Vec<_> = self
            .findings
            .iter()
            .map(|it| {
                let check = json!({
                    "check": it.id(),
                    "name": it.name(),
                    "state": it.state.word(),
                    "found": it.found,
                    "remedy": it.remedy,
                });
                format!("    {check}")
            })
            .collect();
        format!(
            "{{\n  \"version\": {},\n  \"encoder\": {},\n  \"verdict\": {},\n  \"checks\": [\n{}\n  ]\n}}\n",
            json!(env!("CARGO_PKG_VERSION")),
            json!(works),
            json!(self.verdict()),
            checks.join(",\n")
        )
    }
}

/// Looks at everything. `device` is the GPU that is asked for, as CUDA counts them. `process` gives the command that
/// runs [`probe()`] for a group, and each may take `limit`.
pub fn examine(device: Option<u32>, limit: Duration, process: impl Fn(Group) -> Command) -> Report {
    let mut findings: Vec<Finding> = Vec::new();
    for (group, _, parts) in GROUPS {
        // What is known to be moot is not tried: the driver would only fail in another place.
        let mut known = findings.clone();
        let all_moot = parts.iter().all(|&part| moot(part, device, &known).map(|it| known.push(it)).is_some());
        let mut found = if all_moot { Vec::new() } else { child::run(group, process(group), limit) };
        for &part in parts {
            let own = found.iter().position(|it| it.part == part).map(|at| found.swap_remove(at));
            // What a process did not get to and nothing explains.
            let untold = || Finding::new(part, State::Skip, "the process that looks into it ended before", "");
            findings.push(moot(part, device, &findings).or(own).unwrap_or_else(untold));
        }
    }
    findings.push(tools::ffmpeg(limit));
    findings.push(tools::go2rtc(limit));
    findings.sort_by_key(|it| it.part);
    Report { findings }
}

/// Why `part` need not be tried, if one that it needs was found to be unusable.
fn moot(part: Part, device: Option<u32>, findings: &[Finding]) -> Option<Finding> {
    let about = part.about();
    // The GPU that is asked for is found by asking CUDA, which is not to crash a second time.
    let asks_cuda = part == Part::GlRenderer && device.is_some();
    findings
        .iter()
        .find(|it| {
            about.needs.contains(&it.part) && !it.state.is_usable() || asks_cuda && it.part == Part::Driver && it.fatal
        })
        .map(|it| match it.state {
            // The reason behind the reason is the one to look at.
            State::Skip if !it.part.about().needs.is_empty() => it.found.clone(),
            State::Skip => format!("needs \"{}\", which is not there", it.name()),
            _ => format!("needs \"{}\", which failed", it.name()),
        })
        .map(|why| Finding::new(part, State::Skip, why, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_tables_are_in_the_order_of_their_enums() {
        for (at, about) in PARTS.iter().enumerate() {
            assert_eq!(about.part as usize, at, "{}", about.id);
            assert_eq!(Part::from_id(about.id), Some(about.part));
            assert!(about.needs.iter().all(|&need| need < about.part), "{}: what it needs comes first", about.id);
        }
        for (at, (group, word, _)) in GROUPS.iter().enumerate() {
            assert_eq!(*group as usize, at);
            assert_eq!(word.parse(), Ok(*group));
        }
        let grouped: BTreeSet<_> = GROUPS.iter().flat_map(|group| group.2).collect();
        assert_eq!(grouped.len() + 2, PARTS.len(), "all but ffmpeg and go2rtc are in one group each");
    }

    fn report(broken: &[(Part, State)]) -> Report {
        let finding = |about: &About| {
            let state = broken.iter().find(|it| it.0 == about.part).map_or(State::Ok, |it| it.1);
            Finding::new(about.part, state, "seen", "")
        };
        Report { findings: PARTS.iter().map(finding).collect() }
    }

    #[test]
    fn no_process_looks_into_what_is_moot() {
        let asked = std::cell::RefCell::new(Vec::new());
        let report = examine(None, Duration::from_secs(60), |group| {
            asked.borrow_mut().push(group);
            let mut command = Command::new("sh");
            command.args(["-c", if group == Group::Egl { "kill -SEGV $$" } else { "exit 0" }]);
            command
        });
        assert_eq!(asked.into_inner(), [Group::Egl, Group::Cuda, Group::Openh264]);
        assert_eq!(report.finding(Part::EglLoader).found, "crashed (SIGSEGV) in libEGL.so.1");
        assert_eq!(report.finding(Part::GlRenderer).found, "needs \"EGL loader\", which failed");
    }

    #[test]
    fn an_encoder_works_only_with_something_to_draw() {
        assert_eq!(report(&[]).works(), Some(Works::Nvenc));
        assert_eq!(report(&[(Part::NvencPicture, State::Skip)]).works(), Some(Works::Openh264));
        assert_eq!(report(&[(Part::GlRenderer, State::Fail)]).works(), None);
        assert_eq!(report(&[(Part::NvencPicture, State::Fail), (Part::Openh264, State::Fail)]).works(), None);
    }

    #[test]
    fn the_verdict_names_what_stands_in_the_way() {
        let verdict = report(&[(Part::NvencSession, State::Fail), (Part::NvencPicture, State::Skip)]).verdict();
        assert!(verdict.ends_with("NVENC does not (NVENC session failed)"), "{verdict}");
        let verdict = report(&[(Part::GlRenderer, State::Fail)]).verdict();
        assert_eq!(verdict, "no encoder works (GL renderer failed)");
    }

    #[test]
    fn the_json_is_json() {
        let report = report(&[(Part::Ffmpeg, State::Warn)]);
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(value["encoder"], "nvenc");
        assert_eq!(
            value["checks"][13],
            json!({
                "check": "ffmpeg", "name": "ffmpeg", "state": "WARN", "found": "seen", "remedy": "",
            })
        );
    }
}
