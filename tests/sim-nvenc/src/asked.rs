//! What the last initialised session was asked for, number by number, for the report: `asked.<field>`.
//!
//! It only copies; whether a value is legal was found out before.

use crate::caller::{Fields, LEDGER};
use crate::preset::{self, same_guid};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_CONFIG, NV_ENC_INITIALIZE_PARAMS};

/// Notes the parameters, and the configuration behind them if the caller gave one.
pub(crate) fn note(params: &Fields<'_, NV_ENC_INITIALIZE_PARAMS>) {
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
        rateControlMode = rcParams.rateControlMode;
        averageBitRate = rcParams.averageBitRate;
        maxBitRate = rcParams.maxBitRate;
        vbvBufferSize = rcParams.vbvBufferSize;
        vbvInitialDelay = rcParams.vbvInitialDelay;
        idrPeriod = encodeCodecConfig.h264Config.idrPeriod;
        sliceMode = encodeCodecConfig.h264Config.sliceMode;
        sliceModeData = encodeCodecConfig.h264Config.sliceModeData;
    }
    put("lookaheadDepth", config.half(at!(NV_ENC_CONFIG, rcParams.lookaheadDepth)).into());
    bits! {
        enableLookahead = 5 of rcParams._bitfield_1;
        zeroReorderDelay = 9 of rcParams._bitfield_1;
        outputAUD = 6 of encodeCodecConfig.h264Config._bitfield_1;
        disableSPSPPS = 7 of encodeCodecConfig.h264Config._bitfield_1;
        repeatSPSPPS = 12 of encodeCodecConfig.h264Config._bitfield_1;
        enableFillerDataInsertion = 17 of encodeCodecConfig.h264Config._bitfield_1;
    }
}
