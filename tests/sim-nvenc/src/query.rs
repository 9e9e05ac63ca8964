//! What a session says about itself before it is initialised: codecs, profiles, formats, presets,
//! capabilities.

use crate::caller::{Fields, List, Out, Struct};
use crate::capability;
use crate::input::{IYUV, NV12};
use crate::preset;
use crate::session::{Session, session};
use crate::status::{Answer, INVALID_PARAM, UNSUPPORTED_PARAM, broken, failed};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{GUID, NV_ENC_CAPS_PARAM, NV_ENC_CONFIG, NV_ENC_PRESET_CONFIG};
use sim_ledger::setting;

const FORMATS: [u32; 2] = [NV12, IYUV];
const PROFILES: [GUID; 6] = [
    sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID,
    sdk::NV_ENC_H264_PROFILE_BASELINE_GUID,
    sdk::NV_ENC_H264_PROFILE_MAIN_GUID,
    sdk::NV_ENC_H264_PROFILE_HIGH_GUID,
    sdk::NV_ENC_H264_PROFILE_PROGRESSIVE_HIGH_GUID,
    sdk::NV_ENC_H264_PROFILE_CONSTRAINED_HIGH_GUID,
];

/// The one codec that there is.
fn codecs() -> [GUID; 1] {
    if setting::is(setting::CODEC, "hevc") { [sdk::NV_ENC_CODEC_HEVC_GUID] } else { [sdk::NV_ENC_CODEC_H264_GUID] }
}

/// The session exists, has its device, and the codec is one of ours.
fn ask(encoder: usize, codec: Option<GUID>) -> Answer {
    let mut sessions = session(encoder)?;
    Session::of(&mut sessions, encoder)?.present()?;
    match codec.is_none_or(|codec| codecs().contains(&codec)) {
        true => Ok(()),
        false => Err(broken(UNSUPPORTED_PARAM, "codec-not-h264")),
    }
}

encoder_call! {
    fn NvEncGetEncodeGUIDCount(encoder; count: Out<u32>) {
        ask(encoder, None)?;
        count.put(codecs().len() as u32)
    }
}

encoder_call! {
    fn NvEncGetEncodeGUIDs(encoder; guids: List<GUID>, capacity: u32, count: Out<u32>) {
        ask(encoder, None)?;
        count.put(guids.fill(capacity, &codecs())?)
    }
}

encoder_call! {
    fn NvEncGetEncodeProfileGUIDCount(encoder; codec: GUID, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(PROFILES.len() as u32)
    }
}

encoder_call! {
    fn NvEncGetEncodeProfileGUIDs(encoder; codec: GUID, guids: List<GUID>, capacity: u32, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(guids.fill(capacity, &PROFILES)?)
    }
}

encoder_call! {
    fn NvEncGetInputFormatCount(encoder; codec: GUID, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(FORMATS.len() as u32)
    }
}

encoder_call! {
    fn NvEncGetInputFormats(encoder; codec: GUID, formats: List<u32>, capacity: u32, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(formats.fill(capacity, &FORMATS)?)
    }
}

encoder_call! {
    fn NvEncGetEncodeCaps(encoder; codec: GUID, params: Struct<NV_ENC_CAPS_PARAM>, value: Out<i32>) {
        let params = params.open(sdk::NV_ENC_CAPS_PARAM_VER)?;
        ask(encoder, Some(codec))?;
        let answer = capability::answer(params.word(at!(NV_ENC_CAPS_PARAM, capsToQuery)));
        let answer = answer.ok_or(broken(INVALID_PARAM, "unknown-capability"))?;
        value.put(answer.map_err(failed)?)
    }
}

encoder_call! {
    fn NvEncGetEncodePresetCount(encoder; codec: GUID, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(preset::ALL.len() as u32)
    }
}

encoder_call! {
    fn NvEncGetEncodePresetGUIDs(encoder; codec: GUID, guids: List<GUID>, capacity: u32, count: Out<u32>) {
        ask(encoder, Some(codec))?;
        count.put(guids.fill(capacity, &preset::ALL)?)
    }
}

encoder_call! {
    fn NvEncGetEncodePresetConfig(
        encoder; codec: GUID, preset: GUID, config: Struct<NV_ENC_PRESET_CONFIG>,
    ) {
        // Drivers from 591 on refuse this call, whatever its parameters are.
        let _ = (codec, preset, config);
        Err(broken(INVALID_PARAM, "preset-config-without-tuning"))
    }
}

encoder_call! {
    fn NvEncGetEncodePresetConfigEx(
        encoder; codec: GUID, preset: GUID, tuning: u32, config: Struct<NV_ENC_PRESET_CONFIG>,
    ) {
        let outer = config.open(sdk::NV_ENC_PRESET_CONFIG_VER)?;
        let config: Fields<'_, NV_ENC_CONFIG> = outer.inner(at!(NV_ENC_PRESET_CONFIG, presetCfg));
        config.expect_version(sdk::NV_ENC_CONFIG_VER)?;
        ask(encoder, Some(codec))?;
        if !preset::is_known(preset) {
            return Err(broken(INVALID_PARAM, "unknown-preset"));
        }
        if !(1..=4).contains(&tuning) {
            return Err(broken(INVALID_PARAM, "tuning-info-missing"));
        }
        preset::fill(&config, tuning);
        preset::estrange(&config);
        Ok(())
    }
}
