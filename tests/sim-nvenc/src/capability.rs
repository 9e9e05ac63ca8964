//! What the simulated encoder says it can do, changed where `MB_SIM_CAPS` says so.
//!
//! The values follow a recent GeForce where this encoder can keep the promise; what it cannot do
//! (B pictures, look-ahead, other chroma formats) it says it cannot. A driver may refuse to answer
//! for a capability that it has all the same.

use crate::status::INVALID_PARAM;
use sim_ledger::setting;
use std::sync::OnceLock;

pub(crate) const RATE_CONTROL_MODES: u32 = 1;
pub(crate) const WIDTH_MAX: u32 = 16;
pub(crate) const HEIGHT_MAX: u32 = 17;
pub(crate) const DYNAMIC_RESOLUTION: u32 = 19;
pub(crate) const DYNAMIC_BITRATE: u32 = 20;
pub(crate) const CUSTOM_VBV: u32 = 26;
pub(crate) const ASYNC_ENCODE: u32 = 30;
pub(crate) const LOOKAHEAD: u32 = 37;
pub(crate) const WIDTH_MIN: u32 = 45;
pub(crate) const HEIGHT_MIN: u32 = 46;
pub(crate) const MAX_B_FRAMES: u32 = 0;
const COUNT: usize = 55;

/// Name (after `NV_ENC_CAPS_`), number, value.
const TABLE: [(&str, u32, i32); 33] = [
    ("NUM_MAX_BFRAMES", MAX_B_FRAMES, 0),
    ("SUPPORTED_RATECONTROL_MODES", RATE_CONTROL_MODES, 0b11),
    ("SUPPORT_CABAC", 7, 1),
    ("SUPPORT_ADAPTIVE_TRANSFORM", 8, 1),
    ("NUM_MAX_TEMPORAL_LAYERS", 10, 1),
    ("LEVEL_MAX", 13, 62),
    ("LEVEL_MIN", 14, 10),
    ("WIDTH_MAX", WIDTH_MAX, 4096),
    ("HEIGHT_MAX", HEIGHT_MAX, 4096),
    ("SUPPORT_DYN_RES_CHANGE", DYNAMIC_RESOLUTION, 1),
    ("SUPPORT_DYN_BITRATE_CHANGE", DYNAMIC_BITRATE, 1),
    ("SUPPORT_DYN_FORCE_CONSTQP", 21, 1),
    ("SUPPORT_DYN_RCMODE_CHANGE", 22, 1),
    ("SUPPORT_SUBFRAME_READBACK", 23, 0),
    ("SUPPORT_CONSTRAINED_ENCODING", 24, 1),
    ("SUPPORT_INTRA_REFRESH", 25, 0),
    ("SUPPORT_CUSTOM_VBV_BUF_SIZE", CUSTOM_VBV, 1),
    ("SUPPORT_DYNAMIC_SLICE_MODE", 27, 1),
    ("SUPPORT_REF_PIC_INVALIDATION", 28, 0),
    ("ASYNC_ENCODE_SUPPORT", ASYNC_ENCODE, 0),
    ("MB_NUM_MAX", 31, 65_536),
    ("MB_PER_SEC_MAX", 32, 983_040),
    ("SUPPORT_YUV444_ENCODE", 33, 0),
    ("SUPPORT_LOSSLESS_ENCODE", 34, 0),
    ("SUPPORT_LOOKAHEAD", LOOKAHEAD, 0),
    ("SUPPORT_TEMPORAL_AQ", 38, 0),
    ("SUPPORT_10BIT_ENCODE", 39, 0),
    ("SUPPORT_WEIGHTED_PREDICTION", 41, 0),
    ("DYNAMIC_QUERY_ENCODER_CAPACITY", 42, 100),
    ("WIDTH_MIN", WIDTH_MIN, 145),
    ("HEIGHT_MIN", HEIGHT_MIN, 49),
    ("SUPPORT_MULTIPLE_REF_FRAMES", 47, 1),
    ("NUM_ENCODER_ENGINES", 49, 1),
];

/// One of them: what the chip has, and what the driver answers.
#[derive(Clone, Copy)]
struct Capability {
    value: i32,
    /// The status in place of an answer.
    refused: Option<u32>,
}

fn table() -> [Capability; COUNT] {
    let mut all = [Capability { value: 0, refused: None }; COUNT];
    for (_, number, value) in TABLE {
        all[number as usize].value = value;
    }
    let changes = setting::text(setting::CAPS).unwrap_or_default();
    for change in changes.split(',').map(str::trim).filter(|change| !change.is_empty()) {
        let mut change_of = || {
            let (name, value) = change.split_once('=')?;
            let name = name.strip_prefix("NV_ENC_CAPS_").unwrap_or(name);
            let known = TABLE.iter().find(|(known, ..)| *known == name);
            let number = known.map(|(_, number, _)| *number).or_else(|| name.parse().ok())?;
            let capability = all.get_mut(number as usize)?;
            match value.split_once(':') {
                None if value == "refused" => capability.refused = Some(INVALID_PARAM),
                None => capability.value = value.parse().ok()?,
                Some(("refused", status)) => capability.refused = Some(status.parse().ok()?),
                Some(_) => return None,
            }
            Some(())
        };
        if change_of().is_none() {
            panic!("{}: cannot read {change:?}", setting::CAPS);
        }
    }
    all
}

fn capability(number: u32) -> Option<Capability> {
    static ALL: OnceLock<[Capability; COUNT]> = OnceLock::new();
    ALL.get_or_init(table).get(number as usize).copied()
}

/// What the driver answers for a capability: its value or a status. `None` where there is none of that number.
pub(crate) fn answer(number: u32) -> Option<Result<i32, u32>> {
    capability(number).map(|capability| capability.refused.map_or(Ok(capability.value), Err))
}

/// What the chip has, as a count; 0 where there is none.
pub(crate) fn level(number: u32) -> u32 {
    capability(number).map_or(0, |capability| capability.value.max(0) as u32)
}

pub(crate) fn has(number: u32) -> bool {
    level(number) != 0
}
