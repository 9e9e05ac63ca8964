//! The self-check: every part that a stream needs, tried one by one in the order in which a stream meets them.
//!
//! Graphics drivers crash and hang, so what touches them runs in a process of its own ([`probe()`]), which the program
//! starts with a hidden argument: a crash or a hang is a finding like any other.

mod child;
mod devices;
mod finding;
mod gpus;
mod group;
mod part;
mod probe;
mod report;
mod system;
mod tools;

pub use finding::{Finding, State};
pub use gpus::{Gpu, Gpus};
pub use group::Group;
pub use probe::probe;
pub use report::Report;

use group::GROUPS;
use part::Part;
use std::process::Command;
use std::time::Duration;

/// Looks at everything. `device` is the GPU that is asked for, as CUDA counts them. `process` returns the command that
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
            let finding = moot(part, device, &findings).or(own).unwrap_or_else(untold);
            // What another part failed with in the same words is that part's.
            let same = |it: &&Finding| [it.state, finding.state] == [State::Fail; 2] && it.found == finding.found;
            let of_another = findings.iter().find(same).map(|cause| skipped_for(part, cause));
            findings.push(of_another.unwrap_or(finding));
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
    // What fails on a drawn picture fails on any; where nothing draws, that is not known.
    let is_tried = part == Part::NvencUpload;
    let tried = [Part::NvencSession, Part::NvencH264, Part::NvencPicture];
    findings
        .iter()
        .find(|it| {
            about.needs.contains(&it.part) && !it.state.is_usable()
                || asks_cuda && it.part == Part::Driver && it.fatal
                || is_tried && it.state == State::Fail && tried.contains(&it.part)
        })
        .map(|it| skipped_for(part, it))
}

/// What `part` is where `cause` is unusable.
fn skipped_for(part: Part, cause: &Finding) -> Finding {
    let why = match cause.state {
        // The reason behind the reason is the one to look at.
        State::Skip if !cause.part.about().needs.is_empty() => cause.found.clone(),
        State::Skip => format!("needs \"{}\", which is not there", cause.name()),
        _ => format!("needs \"{}\", which failed", cause.name()),
    };
    Finding::new(part, State::Skip, why, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_looks_into_what_is_moot() {
        let asked = std::cell::RefCell::new(Vec::new());
        let report = examine(None, Duration::from_secs(60), |group| {
            asked.borrow_mut().push(group);
            let mut command = Command::new("sh");
            command.args(["-c", if group == Group::Egl { "kill -SEGV $$" } else { "exit 0" }]);
            command
        });
        assert_eq!(asked.into_inner(), [Group::Egl, Group::Devices, Group::Cuda, Group::Openh264]);
        assert_eq!(report.finding(Part::EglLoader).found, "crashed (SIGSEGV) in libEGL.so.1");
        assert_eq!(report.finding(Part::GlRenderer).found, "needs \"EGL loader\", which failed");
    }
}
