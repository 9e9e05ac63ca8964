//! Everything that was found, and what follows from it.

use super::finding::{Finding, State};
use super::part::Part;
use serde_json::json;

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
    pub(super) fn finding(&self, part: Part) -> &Finding {
        &self.findings[part as usize]
    }

    fn usable(&self, part: Part) -> bool {
        self.finding(part).state.is_usable()
    }

    /// What keeps GL and CUDA from sharing, where NVENC takes what is drawn all the same, through host memory.
    fn way_around(&self) -> Option<&Finding> {
        let apart = [Part::GlOnCuda, Part::Interop].map(|part| self.finding(part)).into_iter().find(|it| it.apart);
        apart.filter(|_| self.usable(Part::NvencUpload))
    }

    /// The best encoder that works, with something to draw its pictures.
    pub fn works(&self) -> Option<Works> {
        match self.usable(Part::GlRenderer) {
            true if self.usable(Part::NvencPicture) || self.way_around().is_some() => Some(Works::Nvenc),
            true if self.usable(Part::Openh264) => Some(Works::Openh264),
            _ => None,
        }
    }

    /// One sentence for all of it.
    pub fn verdict(&self) -> String {
        let first = |is_asked_for: &dyn Fn(Part) -> bool| {
            let broken = self.findings.iter().find(|it| is_asked_for(it.part) && it.state == State::Fail);
            broken.map(|it| format!("{} failed", it.name()))
        };
        use Part::*;
        let leads_to_nvenc = |part| (NvidiaDevices..=NvencPicture).contains(&part);
        match self.works() {
            Some(Works::Nvenc) => match self.way_around() {
                Some(why) => format!(
                    "NVENC works, and --encoder auto takes it; each frame is copied through host memory ({} failed)",
                    why.name()
                ),
                None => "NVENC works, and --encoder auto takes it".to_owned(),
            },
            Some(Works::Openh264) if self.findings.iter().any(|it| it.fatal && leads_to_nvenc(it.part)) => {
                "OpenH264 works with --encoder openh264; looking for NVENC ends in a crash or a hang".to_owned()
            }
            Some(Works::Openh264) => match first(&leads_to_nvenc) {
                Some(why) => format!("OpenH264 works, and --encoder auto takes it; NVENC does not ({why})"),
                None => "OpenH264 works, and --encoder auto takes it; there is no NVIDIA driver for NVENC".to_owned(),
            },
            None => {
                let is_needed = |part| [EglLoader, EglDevices, GlRenderer, Openh264, Driver].contains(&part);
                let why = first(&is_needed).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::part::{About, PARTS};

    fn report(broken: &[(Part, State)]) -> Report {
        let finding = |about: &About| {
            let state = broken.iter().find(|it| it.0 == about.part).map_or(State::Ok, |it| it.1);
            Finding::new(about.part, state, "seen", "")
        };
        Report { findings: PARTS.iter().map(finding).collect() }
    }

    #[test]
    fn an_encoder_works_only_with_something_to_draw() {
        assert_eq!(report(&[]).works(), Some(Works::Nvenc));
        assert_eq!(report(&[(Part::NvencPicture, State::Skip)]).works(), Some(Works::Openh264));
        assert_eq!(report(&[(Part::GlRenderer, State::Fail)]).works(), None);
        assert_eq!(report(&[(Part::NvencPicture, State::Fail), (Part::Openh264, State::Fail)]).works(), None);
    }

    #[test]
    fn nvenc_works_through_host_memory_where_gl_and_cuda_do_not_share() {
        let apart = |part: Part, upload| {
            let broken = [(part, State::Fail), (Part::NvencPicture, State::Skip), (Part::NvencUpload, upload)];
            let mut report = report(&broken);
            report.findings[part as usize].apart = true;
            report
        };
        for part in [Part::GlOnCuda, Part::Interop] {
            let works = apart(part, State::Ok);
            assert_eq!(works.works(), Some(Works::Nvenc));
            assert!(works.verdict().contains("host memory (GL "), "{}", works.verdict());
            assert_eq!(apart(part, State::Fail).works(), Some(Works::Openh264));
        }
        // What is drawn wrongly is no better for being copied.
        let broken = [(Part::Interop, State::Fail), (Part::NvencPicture, State::Skip)];
        assert_eq!(report(&broken).works(), Some(Works::Openh264));
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
            value["checks"][15],
            json!({
                "check": "ffmpeg", "name": "ffmpeg", "state": "WARN", "found": "seen", "remedy": "",
            })
        );
    }
}
