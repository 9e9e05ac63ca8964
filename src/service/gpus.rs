//! The GPUs that streams are spread over: what was asked for, held against what this machine has.
//!
//! Whoever serves streams never loads a driver itself, so another process looks, and may take only so long.

use super::exit::Exit;
use super::streams::Streams;
use crate::control::Control;
use crate::doctor::{Gpu, Gpus};
use crate::error::Error;
use crate::os::poll;
use crate::os::process::{self, Child, Orphaned};
use crate::settings::EncoderChoice;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Which GPUs were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Devices {
    /// Whatever there is.
    All,
    /// These, as CUDA counts them. Each once, and there is one.
    These(Vec<u32>),
}

impl FromStr for Devices {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let number = |word: &str| word.trim().parse::<u32>().ok();
        let numbers: Option<Vec<_>> = text.split(',').map(number).collect();
        let numbers = numbers.ok_or("must be all, or numbers of GPUs as CUDA counts them, as in 0,1")?;
        for (at, number) in numbers.iter().enumerate() {
            if numbers[..at].contains(number) {
                let mut once: Vec<String> = Vec::new();
                for word in numbers.iter().map(u32::to_string) {
                    if !once.contains(&word) {
                        once.push(word);
                    }
                }
                return Err(format!("GPU {number} is in it twice: write {}", once.join(",")));
            }
        }
        Ok(Self::These(numbers))
    }
}

impl Devices {
    /// Those of the GPUs that were `found` which streams are to be spread over. None at all where there is none to be had,
    /// and all were asked for; `encodes` says whether NVENC is wanted of them.
    ///
    /// # Errors
    /// One that was asked for is not there.
    pub fn among(&self, found: &Gpus, encodes: bool) -> Result<Vec<Gpu>, Exit> {
        match self {
            Self::All => {
                let with_nvenc = found.gpus.iter().filter(|gpu| gpu.without_nvenc.is_none()).cloned();
                let with_nvenc: Vec<_> = with_nvenc.collect();
                // One that does not encode is of use where none does.
                let all = if encodes && !with_nvenc.is_empty() { with_nvenc } else { found.gpus.clone() };
                Ok(all)
            }
            Self::These(numbers) => numbers.iter().map(|&number| self.one(number, found)).collect(),
        }
    }

    fn one(&self, number: u32, found: &Gpus) -> Result<Gpu, Exit> {
        let gpu = found.gpus.iter().find(|gpu| gpu.number == number).cloned();
        gpu.ok_or_else(|| {
            let there = found.gpus.iter().map(|gpu| format!("{} ({})", gpu.number, gpu.name)).collect::<Vec<_>>();
            let numbers = found.gpus.iter().map(|gpu| gpu.number.to_string()).collect::<Vec<_>>();
            Exit::Usage(match &found.why_none {
                None if !there.is_empty() => format!(
                    "--devices: there is no GPU {number}, there is {}: write --devices {}, or all. CUDA counts the fastest \
                     first; with CUDA_DEVICE_ORDER=PCI_BUS_ID it counts as nvidia-smi -L does",
                    there.join(", "),
                    numbers.join(",")
                ),
                why => format!(
                    "--devices: there is no GPU {number}, there is none at all{}: leave --devices out, or write \
                     --devices all, and the streams are drawn and encoded in software",
                    why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
                ),
            })
        })
    }
}

/// Spreads `streams` over the GPUs that were asked for. Returns these; `None` where a stop came first.
///
/// # Errors
/// One is not there, or nobody can tell.
pub fn spread(streams: &mut Streams, devices: &Devices, control: &Control) -> anyhow::Result<Option<Vec<Gpu>>> {
    let Some(found) = look(streams.limits.opening, control)? else { return Ok(None) };
    let gpus = devices.among(&found, streams.encoder != EncoderChoice::Openh264)?;
    streams.devices = gpus.iter().map(|gpu| gpu.number).collect();
    let shown: Vec<_> = gpus.iter().map(|gpu| format!("{} ({})", gpu.number, gpu.name)).collect();
    match &found.why_none {
        Some(why) => tracing::warn!("--devices all: there is no GPU, so all is drawn and encoded in software: {why}"),
        None => tracing::info!("the streams take turns on GPU {}", shown.join(", ")),
    }
    for gpu in found.gpus.iter().filter(|gpu| !gpus.contains(gpu) && *devices == Devices::All) {
        let why = gpu.without_nvenc.iter().map(|why| format!(": {why}")).collect::<String>();
        tracing::warn!("--devices all: no stream gets GPU {} ({}){why}", gpu.number, gpu.name);
    }
    Ok(Some(gpus))
}

/// Has another process look which GPUs there are. `None` where a stop came first.
///
/// # Errors
/// It crashes, or does not answer within `limit`.
fn look(limit: Duration, control: &Control) -> Result<Option<Gpus>, Error> {
    let mut command = process::this_program();
    command.args(["gpus", "--json"]).stdin(Stdio::null()).stdout(Stdio::piped());
    // Ctrl-C in a terminal goes to the whole group, and this process ends it then.
    command.process_group(0);
    let failed = |why: String| {
        Error::machine("gpus-unknown", "cannot tell which GPUs there are", "").caused_by(why).examined_by_doctor()
    };
    let mut child =
        Child::start(command, Orphaned::Killed, &[]).map_err(|error| failed(format!("no process for it: {error}")))?;
    let (_, answer, _) = child.take_pipes();
    let begun = Instant::now();
    let (wake, ended) = (control.wake_fd(), child.ended());
    let mut fds = poll::Set::default();
    fds.add((), &wake);
    fds.add((), &ended);
    while !control.stop_requested() && !child.has_ended() {
        let Some(left) = limit.checked_sub(begun.elapsed()) else {
            return Err(failed(format!("the driver does not answer within {} s", limit.as_secs())));
        };
        let _ = fds.wait(Some(left)).count();
    }
    if control.stop_requested() {
        return Ok(None);
    }
    let status = child.wait().map_err(|error| failed(error.to_string()))?;
    // All that it wrote is in the pipe.
    let mut text = String::new();
    let _ = answer.map(|mut answer| answer.read_to_string(&mut text));
    // A driver may have written something, too.
    let found = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    found
        .filter(|_| status.success())
        .map(Some)
        .ok_or_else(|| failed(format!("the process that looks ended: {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Fallback;

    fn found(gpus: &[(u32, bool)]) -> Gpus {
        let why = || Fallback { code: "no-nvenc".to_owned(), why: "none".to_owned() };
        let gpu = |&(number, encodes): &(u32, bool)| Gpu {
            number,
            name: format!("L{number}"),
            without_nvenc: (!encodes).then(why),
        };
        let why_none = gpus.is_empty().then(|| Fallback { code: "cuda-no-gpu".to_owned(), why: "gone".to_owned() });
        Gpus { gpus: gpus.iter().map(gpu).collect(), why_none }
    }

    fn numbers(devices: &str, found: &Gpus, encodes: bool) -> Result<Vec<u32>, String> {
        let gpus = devices.parse::<Devices>()?.among(found, encodes).map_err(|exit| exit.to_string())?;
        Ok(gpus.iter().map(|gpu| gpu.number).collect())
    }

    #[test]
    fn a_list_is_of_numbers_each_once_and_wrong_ones_say_what_to_write() {
        let two = found(&[(0, true), (1, true)]);
        for (list, expected) in [("0", &[0][..]), ("1,0", &[1, 0]), ("0, 1", &[0, 1]), ("all", &[0, 1])] {
            assert_eq!(numbers(list, &two, true).as_deref(), Ok(expected), "{list}");
        }
        for (list, words) in [
            ("", &["must be all, or numbers", "0,1"][..]),
            ("0,", &["must be all"]),
            ("-1", &["must be all"]),
            ("0;1", &["must be all"]),
            ("ALL", &["must be all"]),
            ("0,1,0", &["GPU 0 is in it twice: write 0,1"]),
            ("2,0", &["no GPU 2", "0 (L0), 1 (L1)", "--devices 0,1", "CUDA_DEVICE_ORDER=PCI_BUS_ID"]),
        ] {
            let message = numbers(list, &two, true).unwrap_err();
            assert!(words.iter().all(|words| message.contains(words)), "{list}: {message}");
        }
    }

    #[test]
    fn all_are_those_that_encode_where_one_does() {
        let mixed = found(&[(0, false), (1, true), (2, true)]);
        assert_eq!(numbers("all", &mixed, true).unwrap(), [1, 2]);
        assert_eq!(numbers("all", &mixed, false).unwrap(), [0, 1, 2], "they draw");
        assert_eq!(numbers("0,2", &mixed, true).unwrap(), [0, 2], "asked for by its number");
        assert_eq!(numbers("all", &found(&[(0, false)]), true).unwrap(), [0]);
    }

    #[test]
    fn without_any_all_of_them_are_none_and_one_is_missed() {
        let none = found(&[]);
        assert_eq!(numbers("all", &none, true).unwrap(), [0; 0]);
        let message = numbers("0", &none, true).unwrap_err();
        assert!(message.contains("none at all (gone [cuda-no-gpu]): leave --devices out"), "{message}");
    }
}
