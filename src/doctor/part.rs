//! The parts that are looked at, and what each needs.

/// What is looked at. The order is that of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // `PARTS` says what each is.
pub enum Part {
    EglLoader,
    EglVendors,
    EglDevices,
    GlRenderer,
    NvidiaDevices,
    Driver,
    CudaDevices,
    GlOnCuda,
    Interop,
    NvencLibrary,
    NvencSession,
    NvencH264,
    NvencPicture,
    NvencUpload,
    Openh264,
    Ffmpeg,
    Go2rtc,
}

pub(super) struct About {
    pub(super) part: Part,
    /// For programs; never changes.
    pub(super) id: &'static str,
    /// For people.
    pub(super) name: &'static str,
    /// Without these it is moot.
    pub(super) needs: &'static [Part],
    /// Whose code runs during the check.
    pub(super) inside: &'static str,
}

/// In the order of [`Part`].
pub(super) const PARTS: [About; 17] = {
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
        about(NvidiaDevices, "nvidia-devices", "NVIDIA devices", &[], "NVIDIA's kernel driver, opening a device file"),
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
            "libnvidia-encode.so.1, encoding a frame",
        ),
        about(
            NvencUpload,
            "nvenc-upload",
            "NVENC upload",
            &[CudaDevices, NvencLibrary],
            "libnvidia-encode.so.1, encoding an uploaded frame",
        ),
        about(Openh264, "openh264", "OpenH264", &[], "OpenH264"),
        about(Ffmpeg, "ffmpeg", "ffmpeg", &[], "ffmpeg"),
        about(Go2rtc, "go2rtc", "go2rtc", &[], "go2rtc"),
    ]
};

impl Part {
    pub(super) fn about(self) -> &'static About {
        &PARTS[self as usize]
    }

    pub(super) fn from_id(id: &str) -> Option<Self> {
        PARTS.iter().find(|about| about.id == id).map(|about| about.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_its_enum() {
        for (at, about) in PARTS.iter().enumerate() {
            assert_eq!(about.part as usize, at, "{}", about.id);
            assert_eq!(Part::from_id(about.id), Some(about.part));
            assert!(about.needs.iter().all(|&need| need < about.part), "{}: what it needs comes first", about.id);
        }
    }
}
