//! NVENC's status numbers. Numbers only, never the SDK's Rust enum: a test may order any number.

pub(crate) const NO_ENCODE_DEVICE: u32 = 1;
pub(crate) const INVALID_ENCODERDEVICE: u32 = 3;
pub(crate) const INVALID_DEVICE: u32 = 4;
pub(crate) const DEVICE_NOT_EXIST: u32 = 5;
pub(crate) const INVALID_PTR: u32 = 6;
pub(crate) const INVALID_PARAM: u32 = 8;
pub(crate) const INVALID_CALL: u32 = 9;
pub(crate) const ENCODER_NOT_INITIALIZED: u32 = 11;
pub(crate) const UNSUPPORTED_PARAM: u32 = 12;
pub(crate) const LOCK_BUSY: u32 = 13;
pub(crate) const NOT_ENOUGH_BUFFER: u32 = 14;
pub(crate) const INVALID_VERSION: u32 = 15;
pub(crate) const MAP_FAILED: u32 = 16;
pub(crate) const GENERIC: u32 = 20;
pub(crate) const INCOMPATIBLE_CLIENT_KEY: u32 = 21;
pub(crate) const UNIMPLEMENTED: u32 = 22;
pub(crate) const RESOURCE_REGISTER_FAILED: u32 = 23;
pub(crate) const RESOURCE_NOT_REGISTERED: u32 = 24;
pub(crate) const RESOURCE_NOT_MAPPED: u32 = 25;

/// A refused call. `rule` names the rule that the caller broke; it is empty where none was.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u32,
    pub(crate) rule: &'static str,
}

pub(crate) type Answer = Result<(), Refusal>;

/// A refusal that is the caller's fault and is counted as such.
pub(crate) fn broken(status: u32, rule: &'static str) -> Refusal {
    Refusal { status, rule }
}

/// A refusal that the caller could not avoid.
pub(crate) fn failed(status: u32) -> Refusal {
    Refusal { status, rule: "" }
}
