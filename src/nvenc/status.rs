//! Statuses: what they are called, what they mean here, and what to do.

use crate::error::Error;
use crate::nvidia::{API_FLOOR, INSTALL_DRIVER};
use std::fmt;

/// What the SDK has for linkers. Its functions do nothing, so their status and what they fill in is garbage, or zero.
const STUB: (&str, &str, &str) = (
    "stub-library",
    "the libnvidia-encode.so.1 that was found is a stub for building, not a driver",
    "take the folder with the stubs out of LD_LIBRARY_PATH",
);

/// The error for such a library; `seen` is what it did.
pub(super) fn stub_error(seen: &str) -> Error {
    let (code, meaning, remedy) = STUB;
    Error::machine(code, meaning, remedy).caused_by(seen.to_owned())
}

/// `NVENCSTATUS` as the number that it is in C.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// `NV_ENC_SUCCESS`.
    pub const SUCCESS: Self = Self(0);
    /// `NV_ENC_ERR_INVALID_VERSION`: a struct of an API that the driver does not speak.
    const INVALID_VERSION: Self = Self(15);
    /// `NV_ENC_ERR_ENCODER_BUSY`: try again in a moment.
    pub const ENCODER_BUSY: Self = Self(18);

    /// The name that nvEncodeAPI.h gives it.
    pub fn name(self) -> &'static str {
        const NAMES: [&str; 27] = [
            "NV_ENC_SUCCESS",
            "NV_ENC_ERR_NO_ENCODE_DEVICE",
            "NV_ENC_ERR_UNSUPPORTED_DEVICE",
            "NV_ENC_ERR_INVALID_ENCODERDEVICE",
            "NV_ENC_ERR_INVALID_DEVICE",
            "NV_ENC_ERR_DEVICE_NOT_EXIST",
            "NV_ENC_ERR_INVALID_PTR",
            "NV_ENC_ERR_INVALID_EVENT",
            "NV_ENC_ERR_INVALID_PARAM",
            "NV_ENC_ERR_INVALID_CALL",
            "NV_ENC_ERR_OUT_OF_MEMORY",
            "NV_ENC_ERR_ENCODER_NOT_INITIALIZED",
            "NV_ENC_ERR_UNSUPPORTED_PARAM",
            "NV_ENC_ERR_LOCK_BUSY",
            "NV_ENC_ERR_NOT_ENOUGH_BUFFER",
            "NV_ENC_ERR_INVALID_VERSION",
            "NV_ENC_ERR_MAP_FAILED",
            "NV_ENC_ERR_NEED_MORE_INPUT",
            "NV_ENC_ERR_ENCODER_BUSY",
            "NV_ENC_ERR_EVENT_NOT_REGISTERD",
            "NV_ENC_ERR_GENERIC",
            "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY",
            "NV_ENC_ERR_UNIMPLEMENTED",
            "NV_ENC_ERR_RESOURCE_REGISTER_FAILED",
            "NV_ENC_ERR_RESOURCE_NOT_REGISTERED",
            "NV_ENC_ERR_RESOURCE_NOT_MAPPED",
            "NV_ENC_ERR_NEED_MORE_OUTPUT",
        ];
        NAMES.get(self.0 as usize).copied().unwrap_or("an NVENC status that this version does not know")
    }

    /// The code, what it means when a session is opened or set up, and what to do.
    fn meaning(self, function: &str) -> (&'static str, &'static str, &'static str) {
        match (self.0, function) {
            (1 | 2, _) => ("no-nvenc", "this GPU has no NVENC encoder, or it is out of reach", ""),
            (10 | 21, "NvEncOpenEncodeSessionEx") => ("nvenc-sessions", "no NVENC session is free", ""),
            (10, _) => (
                "gpu-memory",
                "the GPU is out of memory",
                "close other programs that use it, or choose a smaller picture",
            ),
            (3..=5, _) => (
                "gpu-lost",
                "the GPU was lost",
                "check dmesg for NVRM messages; after a suspend or a reset the driver has to be reloaded",
            ),
            (20, _) => (
                "nvenc-failed",
                "the NVIDIA driver failed without saying why",
                "check dmesg for NVRM messages, and that the driver's libraries and kernel module are of one version",
            ),
            // What is above the chip's highest level is refused with these, too.
            (8 | 12, _) => ("nvenc-settings", "this GPU or driver refuses the settings", ""),
            (16 | 23..=25, _) => ("nvenc-input", "NVENC does not take the picture from CUDA", ""),
            // No driver has statuses of its own here.
            (27.., "NvEncodeAPIGetMaxSupportedVersion" | "NvEncodeAPICreateInstance") => STUB,
            _ => ("nvenc-failed", "NVENC failed", ""),
        }
    }

    /// Whether a new session may work where this one failed.
    pub fn is_loss(self) -> bool {
        matches!(self.0, 3..=5 | 20)
    }

    /// The error for this status of `function`; `said` is the driver's own text, which is often empty or wrong.
    pub fn error(self, function: &str, said: &str) -> Error {
        let said = if said.is_empty() { String::new() } else { format!(", the driver says: {said}") };
        let mut error = if self == Self::INVALID_VERSION {
            let (major, minor) = API_FLOOR;
            Error::machine(
                "nvidia-driver-old",
                format!("the NVIDIA driver speaks an older NVENC API than {major}.{minor}"),
                INSTALL_DRIVER,
            )
        } else {
            let (code, meaning, remedy) = self.meaning(function);
            Error::machine(code, meaning, remedy)
        };
        error = error.caused_by(format!("{function} failed with {self}{said}"));
        // The others name what is wrong.
        if !matches!(self.0, 1 | 2 | 8 | 10 | 12 | 15 | 21) {
            error = error.examined_by_doctor();
        }
        error
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The error for a GPU of which it is known that it has no encoder, by its compute capability, major and minor.
pub fn no_encoder_at((major, minor): (u32, u32)) -> Error {
    let (code, meaning, remedy) = Status(2).meaning("");
    Error::machine(code, meaning, remedy).caused_by(format!("no GPU of compute capability {major}.{minor} has one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_header() {
        assert_eq!(Status(2).to_string(), "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)");
        assert_eq!(Status(21).to_string(), "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)");
        assert_eq!(Status(25).to_string(), "NV_ENC_ERR_RESOURCE_NOT_MAPPED (25)");
        // A stub library answers with garbage.
        assert!(Status(3_978_510_378).to_string().contains("does not know (3978510378)"));
    }
}
