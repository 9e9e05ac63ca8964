//! A fault that a test ordered: which function fails, with what status, when, and how often.
//!
//! It decides only whether this call fails; what a failure does to a session is the driver's matter.

use std::collections::HashMap;
use std::sync::Mutex;

/// Short names of encoder functions, as tests write them.
const POINTS: [(&str, &str); 20] = [
    ("open", "NvEncOpenEncodeSessionEx"),
    ("initialize", "NvEncInitializeEncoder"),
    ("preset", "NvEncGetEncodePresetConfigEx"),
    ("caps", "NvEncGetEncodeCaps"),
    ("guids", "NvEncGetEncodeGUIDs"),
    ("profiles", "NvEncGetEncodeProfileGUIDs"),
    ("formats", "NvEncGetInputFormats"),
    ("bitstream", "NvEncCreateBitstreamBuffer"),
    ("register", "NvEncRegisterResource"),
    ("map", "NvEncMapInputResource"),
    ("encode", "NvEncEncodePicture"),
    ("lock", "NvEncLockBitstream"),
    ("unlock", "NvEncUnlockBitstream"),
    ("unmap", "NvEncUnmapInputResource"),
    ("unregister", "NvEncUnregisterResource"),
    ("reconfigure", "NvEncReconfigureEncoder"),
    ("sequence", "NvEncGetSequenceParams"),
    ("streams", "NvEncSetIOCudaStreams"),
    ("destroy", "NvEncDestroyEncoder"),
    ("instance", "NvEncodeAPICreateInstance"),
];

/// One entry of the order.
#[derive(Debug)]
pub(crate) struct Fault {
    library: String,
    function: String,
    status: u32,
    at: Option<u64>,
    times: u64,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    shown: u64,
    calls: HashMap<u64, u64>,
}

impl Fault {
    /// Reads the whole order, in the grammar of [`crate::setting::FAULT`].
    pub(crate) fn parse_all(order: &str) -> Result<Vec<Fault>, String> {
        order
            .split([',', ';'])
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| Fault::parse(entry).ok_or_else(|| format!("cannot read the fault {entry:?}")))
            .collect()
    }

    fn parse(entry: &str) -> Option<Fault> {
        let (point, when) = entry.rsplit_once(':')?;
        let (library, function) = match point.split_once(':') {
            Some((library @ ("cuda" | "nvenc" | "egl"), function)) => (library, function),
            Some(_) => return None,
            None if point == "max-version" => ("nvenc", "NvEncodeAPIGetMaxSupportedVersion"),
            None => ("nvenc", POINTS.iter().find(|(short, _)| *short == point)?.1),
        };
        let (when, times) = match when.split_once('x') {
            Some((when, times)) => (when, Some(times.parse().ok()?)),
            None => (when, None),
        };
        let (status, at) = match when.split_once('@') {
            Some((status, at)) => (status, Some(at.parse().ok()?)),
            None => (when, None),
        };
        Some(Fault {
            library: library.to_owned(),
            function: function.to_owned(),
            status: status.parse().ok()?,
            at,
            times: times.unwrap_or(if at.is_some() { 1 } else { u64::MAX }),
            progress: Mutex::default(),
        })
    }

    pub(crate) fn concerns(&self, library: &str, function: &str) -> bool {
        self.library == library && self.function == function
    }

    /// The status to fail with, if this call of this life is one that fails. Life 0 has no end, so
    /// its calls are counted anew after each fault shown.
    pub(crate) fn strike(&self, life: u64) -> Option<u32> {
        let mut progress = self.progress.lock().expect("no panic while counting");
        let calls = progress.calls.entry(life).or_default();
        let call = *calls;
        *calls += 1;
        if self.at.is_some_and(|at| at != call) || progress.shown >= self.times {
            return None;
        }
        progress.shown += 1;
        if life == 0 {
            progress.calls.remove(&0);
        }
        Some(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::Fault;

    fn only(order: &str) -> Fault {
        let mut faults = Fault::parse_all(order).expect("a readable order");
        assert_eq!(faults.len(), 1);
        faults.remove(0)
    }

    #[test]
    fn a_fault_without_a_time_is_shown_at_every_call() {
        let fault = only("open:21");
        assert!(fault.concerns("nvenc", "NvEncOpenEncodeSessionEx"));
        assert_eq!([fault.strike(0), fault.strike(0)], [Some(21), Some(21)]);
    }

    #[test]
    fn a_fault_at_a_picture_is_shown_once_in_each_of_its_lives() {
        let fault = only("encode:5@1x2");
        let shown: Vec<_> = [7, 7, 7, 8, 8, 9, 9].map(|life| fault.strike(life)).into();
        assert_eq!(shown, [None, Some(5), None, None, Some(5), None, None]);
    }

    #[test]
    fn a_cuda_fault_counts_anew_after_it_was_shown() {
        let fault = only("cuda:cuGraphicsMapResources:999@2x2");
        assert!(fault.concerns("cuda", "cuGraphicsMapResources"));
        let shown: Vec<_> = (0..7).map(|_| fault.strike(0).is_some()).collect();
        assert_eq!(shown, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn an_unreadable_order_is_refused() {
        for order in ["open", "nowhere:3", "open:x", "vulkan:vkFoo:1", "open:1@", "open:1x"] {
            assert!(Fault::parse_all(order).is_err(), "{order}");
        }
        assert_eq!(Fault::parse_all("open:1, lock:20@3;cuda:cuInit:100").map(|f| f.len()), Ok(3));
    }
}
