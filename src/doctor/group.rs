//! Which parts share a process.

use super::part::Part;

/// Parts that are looked at in one process, one after the other. They are run in this order: with a wish for a GPU
/// drawing asks CUDA too, and a driver that crashes shall be met under its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Named after their parts.
pub enum Group {
    Egl,
    Devices,
    Cuda,
    Gl,
    Interop,
    NvencLibrary,
    Nvenc,
    NvencUpload,
    Openh264,
}

/// In the order of [`Group`]: each with its word and its parts.
pub(super) const GROUPS: [(Group, &str, &[Part]); 9] = [
    (Group::Egl, "egl", &[Part::EglLoader, Part::EglVendors, Part::EglDevices]),
    (Group::Devices, "devices", &[Part::NvidiaDevices]),
    (Group::Cuda, "cuda", &[Part::Driver, Part::CudaDevices]),
    (Group::Gl, "gl", &[Part::GlRenderer]),
    (Group::Interop, "interop", &[Part::GlOnCuda, Part::Interop]),
    (Group::NvencLibrary, "nvenc-library", &[Part::NvencLibrary]),
    (Group::Nvenc, "nvenc", &[Part::NvencSession, Part::NvencH264, Part::NvencPicture]),
    (Group::NvencUpload, "nvenc-upload", &[Part::NvencUpload]),
    (Group::Openh264, "openh264", &[Part::Openh264]),
];

impl Group {
    /// The word that it goes by on a command line.
    pub fn word(self) -> &'static str {
        GROUPS[self as usize].1
    }

    pub(super) fn parts(self) -> &'static [Part] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::part::PARTS;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_in_the_order_of_its_enum() {
        for (at, (group, word, _)) in GROUPS.iter().enumerate() {
            assert_eq!(*group as usize, at);
            assert_eq!(word.parse(), Ok(*group));
        }
        let grouped: BTreeSet<_> = GROUPS.iter().flat_map(|group| group.2).collect();
        assert_eq!(grouped.len() + 2, PARTS.len(), "all but ffmpeg and go2rtc are in one group each");
    }
}
