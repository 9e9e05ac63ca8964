//! The presets P1 to P7 and what `NvEncGetEncodePresetConfigEx` fills in for them.
//!
//! As with the vendor, the result is no stream for go2rtc yet, and the API promises no value in it: a
//! driver may choose others tomorrow. So what a caller is given here is legal and unwelcome wherever a
//! caller has to choose for itself, and one that overlooks a field is refused or gets another stream.

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

/// Puts into a filled configuration what a caller that wants a live stream has to undo.
pub(crate) fn estrange(config: &Fields<'_, NV_ENC_CONFIG>) {
    macro_rules! put {
        ($value:expr, $($field:tt)*) => { config.put_word(at!(NV_ENC_CONFIG, $($field)*), $value) };
    }
    // The version words of a driver that is newer by one.
    put!(NV_ENC_CONFIG_VER + (1 << 16), version);
    put!(NV_ENC_RC_PARAMS_VER + (1 << 16), rcParams.version);
    config.put_guid(at!(NV_ENC_CONFIG, profileGUID), sdk::NV_ENC_H264_PROFILE_MAIN_GUID);
    put!(3, frameIntervalP);
    put!(1, monoChromeEncoding);
    put!(2, frameFieldMode);
    put!(0, rcParams.rateControlMode);
    put!(1_000_000, rcParams.averageBitRate);
    put!(9_000_000, rcParams.maxBitRate);
    put!(2_000_000, rcParams.vbvBufferSize);
    put!(1_000_000, rcParams.vbvInitialDelay);
    config.put_byte(at!(NV_ENC_CONFIG, rcParams.lowDelayKeyFrameScale), 77);
    // enableLookahead, enableExtLookahead; no zeroReorderDelay.
    put!(1 << 5 | 1 << 16, rcParams._bitfield_1);
    // targetQuality, targetQualityLSB, lookaheadDepth.
    put!(8 << 16 | 128 << 8 | 30, rcParams.targetQuality);
    macro_rules! h264 {
        ($value:expr, $($field:tt)*) => { put!($value, encodeCodecConfig.h264Config.$($field)*) };
    }
    // Everything that there is but repeatSPSPPS.
    h264!(0x003F_FFFF & !(1 << 12), _bitfield_1);
    h264!(10, level);
    h264!(1, separateColourPlaneFlag);
    h264!(3, spsId);
    h264!(4, ppsId);
    h264!(300, intraRefreshPeriod);
    h264!(299, intraRefreshCnt);
    h264!(0, sliceMode);
    h264!(20, sliceModeData);
    h264!(2, ltrNumFrames);
    h264!(1, ltrTrustMode);
    h264!(3, chromaFormatIDC);
    h264!(1, useBFramesAsRef);
    h264!(1, h264VUIParameters.overscanInfoPresentFlag);
    h264!(1, h264VUIParameters.overscanInfo);
    h264!(0, h264VUIParameters.videoFormat);
    h264!(1, h264VUIParameters.videoFullRangeFlag);
    h264!(6, h264VUIParameters.colourPrimaries);
    h264!(6, h264VUIParameters.transferCharacteristics);
    h264!(6, h264VUIParameters.colourMatrix);
    h264!(1, h264VUIParameters.chromaSampleLocationFlag);
    h264!(2, h264VUIParameters.chromaSampleLocationTop);
    h264!(2, h264VUIParameters.chromaSampleLocationBot);
    h264!(1, h264VUIParameters.timingInfoPresentFlag);
    h264!(1, h264VUIParameters.numUnitInTicks);
    h264!(34, h264VUIParameters.timeScale);
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
    // "2 by default for low latency tuning info and 1 by default for ultra low latency tuning info".
    let key_frame_scale = match tuning {
        2 => 2,
        3 => 1,
        _ => 0,
    };
    config.put_byte(at!(NV_ENC_CONFIG, rcParams.lowDelayKeyFrameScale), key_frame_scale);
    put!(gop, encodeCodecConfig.h264Config.idrPeriod);
    put!(1, encodeCodecConfig.h264Config.chromaFormatIDC);
    put!(3, encodeCodecConfig.h264Config.sliceMode);
    put!(1, encodeCodecConfig.h264Config.sliceModeData);
}
