//! The presets P1 to P7 and what `NvEncGetEncodePresetConfigEx` fills in for them.
//!
//! As with the vendor, the result is no stream for go2rtc yet: endless GOP, no parameter sets with
//! later IDRs, no VUI, level and entropy coding left open. The caller has to set what it needs.

use crate::caller::Fields;
use crate::config::INFINITE_GOP;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{GUID, NV_ENC_CONFIG, NV_ENC_CONFIG_VER, NV_ENC_RC_PARAMS_VER};

pub(crate) const ALL: [GUID; 7] = [
    sdk::NV_ENC_PRESET_P1_GUID,
    sdk::NV_ENC_PRESET_P2_GUID,
    sdk::NV_ENC_PRESET_P3_GUID,
    sdk::NV_ENC_PRESET_P4_GUID,
    sdk::NV_ENC_PRESET_P5_GUID,
    sdk::NV_ENC_PRESET_P6_GUID,
    sdk::NV_ENC_PRESET_P7_GUID,
];

pub(crate) fn same_guid(one: GUID, other: GUID) -> bool {
    one == other
}

pub(crate) fn is_known(preset: GUID) -> bool {
    ALL.contains(&preset)
}

/// Room for a configuration where the caller gave none.
pub(crate) struct Storage(Box<std::mem::MaybeUninit<NV_ENC_CONFIG>>);

impl Storage {
    pub(crate) fn new() -> Storage {
        Storage(Box::new(std::mem::MaybeUninit::zeroed()))
    }

    pub(crate) fn fields(&mut self) -> Fields<'_, NV_ENC_CONFIG> {
        Fields::of(&mut self.0)
    }
}

/// Fills a configuration for a tuning (1 quality, 2 low latency, 3 ultra low latency, 4 lossless).
pub(crate) fn fill(config: &Fields<'_, NV_ENC_CONFIG>, tuning: u32) {
    macro_rules! put {
        ($value:expr, $($field:tt)*) => { config.put_word(at!(NV_ENC_CONFIG, $($field)*), $value) };
    }
    let low_latency = matches!(tuning, 2 | 3);
    let (gop, rate_control) = if low_latency { (INFINITE_GOP, 2) } else { (250, 1) };
    config.clear();
    put!(NV_ENC_CONFIG_VER, version);
    config.put_guid(at!(NV_ENC_CONFIG, profileGUID), sdk::NV_ENC_H264_PROFILE_HIGH_GUID);
    put!(gop, gopLength);
    put!(1, frameIntervalP);
    put!(1, frameFieldMode);
    put!(NV_ENC_RC_PARAMS_VER, rcParams.version);
    put!(rate_control, rcParams.rateControlMode);
    put!(gop, encodeCodecConfig.h264Config.idrPeriod);
    put!(1, encodeCodecConfig.h264Config.chromaFormatIDC);
    put!(3, encodeCodecConfig.h264Config.sliceMode);
    put!(1, encodeCodecConfig.h264Config.sliceModeData);
}
