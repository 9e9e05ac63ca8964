//! The encoder's configuration, read from the caller's structs and refused where the vendor would.
//!
//! It is plain data: nothing here touches a session or writes a bit.

use crate::caller::Fields;
use crate::capability;
use crate::h264::parameter_sets::{self, Level};
use crate::preset::{self, same_guid};
use crate::status::{Answer, INVALID_PARAM, Refusal, UNSUPPORTED_PARAM, broken};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_CONFIG, NV_ENC_CONFIG_VER, NV_ENC_INITIALIZE_PARAMS, NV_ENC_RC_PARAMS_VER};

pub(crate) const INFINITE_GOP: u32 = u32::MAX;
const CBR: u32 = 2;

/// `profile_idc` and the byte of constraint flags behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Profile {
    pub(crate) idc: u8,
    pub(crate) constraints: u8,
}

/// The colour description, full range and the rest of annex E that the caller asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Vui {
    pub(crate) overscan: Option<bool>,
    pub(crate) video_signal: Option<VideoSignal>,
    pub(crate) chroma_location: Option<(u32, u32)>,
    pub(crate) bitstream_restriction: bool,
    /// `num_units_in_tick`, `time_scale`.
    pub(crate) timing: Option<(u32, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct VideoSignal {
    pub(crate) format: u32,
    pub(crate) full_range: bool,
    /// Primaries, transfer characteristics, matrix coefficients.
    pub(crate) colours: Option<[u32; 3]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Slices {
    /// So many macroblocks in each.
    Macroblocks(usize),
    /// So many slices in a picture.
    Number(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) max_width: u32,
    pub(crate) max_height: u32,
    pub(crate) display_aspect: (u32, u32),
    pub(crate) frame_rate: (u32, u32),
    /// The encoder decides which picture is an IDR.
    pub(crate) decides_types: bool,
    pub(crate) variable_frame_rate: bool,
    pub(crate) profile: Profile,
    pub(crate) level_idc: u8,
    pub(crate) gop_length: u32,
    pub(crate) idr_period: u32,
    pub(crate) average_bit_rate: u32,
    pub(crate) vbv: (u32, u32),
    pub(crate) access_unit_delimiter: bool,
    pub(crate) repeat_parameter_sets: bool,
    pub(crate) no_parameter_sets: bool,
    pub(crate) filler: bool,
    pub(crate) sei_asked: bool,
    pub(crate) sps_id: u32,
    pub(crate) pps_id: u32,
    pub(crate) slices: Slices,
    pub(crate) reference_frames: u32,
    pub(crate) vui: Vui,
}

fn param(ok: bool, rule: &'static str) -> Answer {
    ok.then_some(()).ok_or(broken(INVALID_PARAM, rule))
}

fn supported(ok: bool, rule: &'static str) -> Answer {
    ok.then_some(()).ok_or(broken(UNSUPPORTED_PARAM, rule))
}

macro_rules! h264 {
    ($($field:tt)*) => { at!(NV_ENC_CONFIG, encodeCodecConfig.h264Config.$($field)*) };
}

impl Config {
    /// Reads `NV_ENC_INITIALIZE_PARAMS` and the `NV_ENC_CONFIG` behind it.
    pub(crate) fn read(params: &Fields<'_, NV_ENC_INITIALIZE_PARAMS>) -> Result<Config, Refusal> {
        macro_rules! init {
            ($($field:tt)*) => { params.word(at!(NV_ENC_INITIALIZE_PARAMS, $($field)*)) };
        }
        supported(
            same_guid(params.guid(at!(NV_ENC_INITIALIZE_PARAMS, encodeGUID)), sdk::NV_ENC_CODEC_H264_GUID),
            "codec-not-h264",
        )?;
        let preset = params.guid(at!(NV_ENC_INITIALIZE_PARAMS, presetGUID));
        param(preset::is_known(preset), "unknown-preset")?;
        param((1..=4).contains(&init!(tuningInfo)), "tuning-info-missing")?;

        let (width, height) = (init!(encodeWidth), init!(encodeHeight));
        let range = |size, min, max| (capability::level(min)..=capability::level(max)).contains(&size);
        param(range(width, capability::WIDTH_MIN, capability::WIDTH_MAX), "width-out-of-range")?;
        param(range(height, capability::HEIGHT_MIN, capability::HEIGHT_MAX), "height-out-of-range")?;
        param(width % 2 == 0 && height % 2 == 0, "odd-size")?;
        let largest = |max: u32, size: u32| if max == 0 { size } else { max };
        let max_width = largest(init!(maxEncodeWidth), width);
        let max_height = largest(init!(maxEncodeHeight), height);
        param(max_width >= width && max_height >= height, "larger-than-the-maximum-given")?;

        let frame_rate = (init!(frameRateNum), init!(frameRateDen));
        param(frame_rate.0 > 0 && frame_rate.1 > 0, "frame-rate-zero")?;
        param(init!(enableEncodeAsync) == 0 || capability::has(capability::ASYNC_ENCODE), "async-mode-not-on-linux")?;

        let base = BaseConfig {
            size: (width, height),
            maximum: (max_width, max_height),
            display_aspect: (init!(darWidth), init!(darHeight)),
            frame_rate,
            decides_types: init!(enablePTD) == 1,
        };
        match params.behind::<NV_ENC_CONFIG>(at!(NV_ENC_INITIALIZE_PARAMS, encodeConfig)) {
            Some(config) => base.with(&config),
            None => {
                let mut defaults = preset::Storage::new();
                let config = defaults.fields();
                preset::fill(&config, init!(tuningInfo));
                base.with(&config)
            }
        }
    }

    pub(crate) fn macroblocks(&self) -> u32 {
        self.width.div_ceil(16) * self.height.div_ceil(16)
    }

    /// Whether a running encoder can go over to `next`: "GOP structure, sync mode, picture type
    /// decision and the maximum size cannot be reconfigured".
    pub(crate) fn allows(&self, next: &Config) -> Answer {
        param(next.gop_length == self.gop_length && next.idr_period == self.idr_period, "gop-reconfigured")?;
        param(next.decides_types == self.decides_types, "picture-type-decision-reconfigured")?;
        param(next.width <= self.max_width && next.height <= self.max_height, "larger-than-the-maximum-given")?;
        let resized = (next.width, next.height) != (self.width, self.height);
        supported(!resized || capability::has(capability::DYNAMIC_RESOLUTION), "size-reconfigured-without-capability")?;
        let rate = |config: &Config| (config.average_bit_rate, config.vbv);
        supported(
            rate(next) == rate(self) || capability::has(capability::DYNAMIC_BITRATE),
            "bitrate-reconfigured-without-capability",
        )
    }
}

/// What `NV_ENC_INITIALIZE_PARAMS` says by itself.
struct BaseConfig {
    size: (u32, u32),
    maximum: (u32, u32),
    display_aspect: (u32, u32),
    frame_rate: (u32, u32),
    decides_types: bool,
}

impl BaseConfig {
    fn with(self, config: &Fields<'_, NV_ENC_CONFIG>) -> Result<Config, Refusal> {
        macro_rules! word {
            ($($field:tt)*) => { config.word(at!(NV_ENC_CONFIG, $($field)*)) };
        }
        config.expect_version(NV_ENC_CONFIG_VER)?;
        config.inner::<sdk::NV_ENC_RC_PARAMS>(at!(NV_ENC_CONFIG, rcParams)).expect_version(NV_ENC_RC_PARAMS_VER)?;

        supported(word!(monoChromeEncoding) == 0, "monochrome")?;
        param(word!(frameFieldMode) == 1, "not-frame-mode")?;
        let distance = config.signed(at!(NV_ENC_CONFIG, frameIntervalP));
        param(distance >= 0, "frame-interval-p")?;
        param(distance as u32 <= capability::level(capability::MAX_B_FRAMES) + 1, "b-frames-without-capability")?;
        supported(distance <= 1, "b-frames-not-simulated")?;

        let mode = word!(rcParams.rateControlMode);
        supported(
            // The capability is the modes' values combined; QP alone has no bit.
            mode <= CBR && (mode == 0 || capability::level(capability::RATE_CONTROL_MODES) & mode != 0),
            "rate-control-mode",
        )?;
        let lookahead = config.bit(at!(NV_ENC_CONFIG, rcParams._bitfield_1), 5)
            || config.half(at!(NV_ENC_CONFIG, rcParams.lookaheadDepth)) != 0;
        supported(!lookahead || capability::has(capability::LOOKAHEAD), "look-ahead-without-capability")?;
        let vbv = (word!(rcParams.vbvBufferSize), word!(rcParams.vbvInitialDelay));
        supported(vbv == (0, 0) || capability::has(capability::CUSTOM_VBV), "vbv-without-capability")?;
        param(vbv.0 == 0 || vbv.1 <= vbv.0, "vbv-delay-above-size")?;

        let flag = |bit| config.bit(h264!(_bitfield_1), bit);
        let h264 = |offset| config.word(offset);
        let filler = flag(17);
        param(!filler || mode == CBR, "filler-without-cbr")?;
        param(h264(h264!(chromaFormatIDC)) == 1, "chroma-format-not-420")?;
        supported(h264(h264!(separateColourPlaneFlag)) == 0, "separate-colour-planes")?;
        param(h264(h264!(spsId)) <= 31 && h264(h264!(ppsId)) <= 255, "parameter-set-id")?;

        let profile = profile(config)?;
        let average_bit_rate = word!(rcParams.averageBitRate);
        let wanted = Level {
            macroblocks: self.size.0.div_ceil(16) * self.size.1.div_ceil(16),
            frame_rate: self.frame_rate,
            bit_rate: average_bit_rate,
            high: profile.idc >= 100,
        };
        let level_idc = match h264(h264!(level)) {
            0 => wanted.lowest(),
            level => {
                param(wanted.fits(level), "level-too-low")?;
                level as u8
            }
        };
        let gop_length = match word!(gopLength) {
            0 => INFINITE_GOP,
            length => length,
        };
        let data = h264(h264!(sliceModeData)) as usize;
        Ok(Config {
            width: self.size.0,
            height: self.size.1,
            max_width: self.maximum.0,
            max_height: self.maximum.1,
            display_aspect: self.display_aspect,
            frame_rate: self.frame_rate,
            decides_types: self.decides_types,
            variable_frame_rate: flag(13),
            profile,
            level_idc,
            gop_length,
            idr_period: match h264(h264!(idrPeriod)) {
                0 => gop_length,
                period => period,
            },
            average_bit_rate,
            vbv,
            access_unit_delimiter: flag(6),
            repeat_parameter_sets: flag(12),
            no_parameter_sets: flag(7),
            filler,
            sei_asked: flag(4) || flag(5) || flag(8) || flag(9),
            sps_id: h264(h264!(spsId)),
            pps_id: h264(h264!(ppsId)),
            slices: match h264(h264!(sliceMode)) {
                _ if data == 0 => Slices::Number(1),
                0 => Slices::Macroblocks(data),
                2 => Slices::Macroblocks(data * self.size.0.div_ceil(16) as usize),
                3 => Slices::Number(data.min(32)),
                _ => return Err(broken(UNSUPPORTED_PARAM, "slice-mode")),
            },
            reference_frames: h264(h264!(maxNumRefFrames)).clamp(1, parameter_sets::MAX_REFERENCES),
            vui: vui(config, self.frame_rate, flag(13)),
        })
    }
}

fn profile(config: &Fields<'_, NV_ENC_CONFIG>) -> Result<Profile, Refusal> {
    let guid = config.guid(at!(NV_ENC_CONFIG, profileGUID));
    let high = |constraints| Profile { idc: 100, constraints };
    let known = [
        (sdk::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, high(0)),
        (sdk::NV_ENC_H264_PROFILE_BASELINE_GUID, Profile { idc: 66, constraints: 0xC0 }),
        (sdk::NV_ENC_H264_PROFILE_MAIN_GUID, Profile { idc: 77, constraints: 0x40 }),
        (sdk::NV_ENC_H264_PROFILE_HIGH_GUID, high(0)),
        (sdk::NV_ENC_H264_PROFILE_PROGRESSIVE_HIGH_GUID, high(0x08)),
        (sdk::NV_ENC_H264_PROFILE_CONSTRAINED_HIGH_GUID, high(0x0C)),
    ];
    known
        .iter()
        .find(|(known, _)| same_guid(*known, guid))
        .map(|(_, profile)| *profile)
        .ok_or(broken(UNSUPPORTED_PARAM, "profile"))
}

/// Without `enableVFR` the rate is promised whether or not the caller has it written.
fn vui(config: &Fields<'_, NV_ENC_CONFIG>, frame_rate: (u32, u32), variable_frame_rate: bool) -> Vui {
    macro_rules! vui {
        ($field:ident) => {
            config.word(h264!(h264VUIParameters.$field))
        };
    }
    let colours = [vui!(colourPrimaries), vui!(transferCharacteristics), vui!(colourMatrix)];
    Vui {
        overscan: (vui!(overscanInfoPresentFlag) == 1).then(|| vui!(overscanInfo) == 1),
        video_signal: (vui!(videoSignalTypePresentFlag) == 1).then(|| VideoSignal {
            format: vui!(videoFormat) & 7,
            full_range: vui!(videoFullRangeFlag) == 1,
            colours: (vui!(colourDescriptionPresentFlag) == 1).then(|| colours.map(|code| code & 0xFF)),
        }),
        chroma_location: (vui!(chromaSampleLocationFlag) == 1)
            .then(|| (vui!(chromaSampleLocationTop).min(5), vui!(chromaSampleLocationBot).min(5))),
        bitstream_restriction: vui!(bitstreamRestrictionFlag) == 1,
        timing: (vui!(timingInfoPresentFlag) == 1 || !variable_frame_rate).then(|| {
            match (vui!(numUnitInTicks), vui!(timeScale)) {
                (0, _) | (_, 0) => (frame_rate.1, frame_rate.0.saturating_mul(2)),
                given => given,
            }
        }),
    }
}
