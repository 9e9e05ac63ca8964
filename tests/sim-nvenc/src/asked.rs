//! What the last initialised session was asked for, number by number, for the report: `asked.<field>`.
//!
//! It only copies; whether a value is legal was found out before.

use crate::caller::{Fields, LEDGER};
use crate::config::Config;
use crate::preset::{self, same_guid};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_CONFIG, NV_ENC_INITIALIZE_PARAMS};

/// Notes the parameters, and the configuration behind them if the caller gave one. `read` is what they were read as.
pub(crate) fn note(params: &Fields<'_, NV_ENC_INITIALIZE_PARAMS>, read: &Config) {
    let put = |what: &str, value: u64| LEDGER.set(&format!("asked.{what}"), value);
    macro_rules! init {
        ($($field:ident)*) => {
            $(put(stringify!($field), params.word(at!(NV_ENC_INITIALIZE_PARAMS, $field)).into());)*
        };
    }
    init! { encodeWidth encodeHeight frameRateNum frameRateDen enablePTD enableEncodeAsync tuningInfo }
    let guid = params.guid(at!(NV_ENC_INITIALIZE_PARAMS, presetGUID));
    let number = preset::ALL.iter().position(|known| same_guid(*known, guid)).map_or(0, |place| place + 1);
    put("preset", number as u64);
    put("profileIdc", read.profile.idc.into());

    let Some(config) = params.behind::<NV_ENC_CONFIG>(at!(NV_ENC_INITIALIZE_PARAMS, encodeConfig)) else {
        return;
    };
    macro_rules! words {
        ($($name:ident = $($field:tt).+;)*) => {
            $(put(stringify!($name), config.word(at!(NV_ENC_CONFIG, $($field).+)).into());)*
        };
    }
    macro_rules! bits {
        ($($name:ident = $bit:literal of $($field:tt).+;)*) => {
            $(put(stringify!($name), config.bit(at!(NV_ENC_CONFIG, $($field).+), $bit).into());)*
        };
    }
    words! {
        gopLength = gopLength;
        frameIntervalP = frameIntervalP;
        monoChromeEncoding = monoChromeEncoding;
        frameFieldMode = frameFieldMode;
        rateControlMode = rcParams.rateControlMode;
        averageBitRate = rcParams.averageBitRate;
        maxBitRate = rcParams.maxBitRate;
        vbvBufferSize = rcParams.vbvBufferSize;
        vbvInitialDelay = rcParams.vbvInitialDelay;
        idrPeriod = encodeCodecConfig.h264Config.idrPeriod;
        sliceMode = encodeCodecConfig.h264Config.sliceMode;
        sliceModeData = encodeCodecConfig.h264Config.sliceModeData;
        level = encodeCodecConfig.h264Config.level;
        separateColourPlaneFlag = encodeCodecConfig.h264Config.separateColourPlaneFlag;
        spsId = encodeCodecConfig.h264Config.spsId;
        ppsId = encodeCodecConfig.h264Config.ppsId;
        intraRefreshPeriod = encodeCodecConfig.h264Config.intraRefreshPeriod;
        intraRefreshCnt = encodeCodecConfig.h264Config.intraRefreshCnt;
        ltrNumFrames = encodeCodecConfig.h264Config.ltrNumFrames;
        ltrTrustMode = encodeCodecConfig.h264Config.ltrTrustMode;
        chromaFormatIDC = encodeCodecConfig.h264Config.chromaFormatIDC;
        useBFramesAsRef = encodeCodecConfig.h264Config.useBFramesAsRef;
        overscanInfoPresentFlag = encodeCodecConfig.h264Config.h264VUIParameters.overscanInfoPresentFlag;
        videoSignalTypePresentFlag = encodeCodecConfig.h264Config.h264VUIParameters.videoSignalTypePresentFlag;
        videoFormat = encodeCodecConfig.h264Config.h264VUIParameters.videoFormat;
        videoFullRangeFlag = encodeCodecConfig.h264Config.h264VUIParameters.videoFullRangeFlag;
        colourDescriptionPresentFlag = encodeCodecConfig.h264Config.h264VUIParameters.colourDescriptionPresentFlag;
        colourPrimaries = encodeCodecConfig.h264Config.h264VUIParameters.colourPrimaries;
        transferCharacteristics = encodeCodecConfig.h264Config.h264VUIParameters.transferCharacteristics;
        colourMatrix = encodeCodecConfig.h264Config.h264VUIParameters.colourMatrix;
        chromaSampleLocationFlag = encodeCodecConfig.h264Config.h264VUIParameters.chromaSampleLocationFlag;
        bitstreamRestrictionFlag = encodeCodecConfig.h264Config.h264VUIParameters.bitstreamRestrictionFlag;
        timingInfoPresentFlag = encodeCodecConfig.h264Config.h264VUIParameters.timingInfoPresentFlag;
        h264Flags = encodeCodecConfig.h264Config._bitfield_1;
    }
    put("targetQuality", config.byte(at!(NV_ENC_CONFIG, rcParams.targetQuality)).into());
    put("targetQualityLSB", config.byte(at!(NV_ENC_CONFIG, rcParams.targetQualityLSB)).into());
    put("lowDelayKeyFrameScale", config.byte(at!(NV_ENC_CONFIG, rcParams.lowDelayKeyFrameScale)).into());
    put("lookaheadDepth", config.half(at!(NV_ENC_CONFIG, rcParams.lookaheadDepth)).into());
    bits! {
        enableLookahead = 5 of rcParams._bitfield_1;
        zeroReorderDelay = 9 of rcParams._bitfield_1;
        enableExtLookahead = 16 of rcParams._bitfield_1;
    }
}
