//! What a session is asked for, what a chip can do, and how the one is written for the other into the driver's structs.
//! It calls no driver.

use super::params::set;
use crate::color;
use crate::error::Error;
use crate::settings::{Bitrate, FrameRate, IdrScale, Preset, Size, Tuning, Vbv};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;

/// What a session is to do.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Picture size in pixels.
    pub size: Size,
    /// Pictures per second.
    pub frame_rate: FrameRate,
    /// Target bitrate.
    pub bitrate: Bitrate,
    /// Pictures from one IDR to the next.
    pub gop_length: u32,
    /// What the rate buffer holds.
    pub vbv: Vbv,
    /// How much larger than others an IDR picture may be.
    pub idr_scale: IdrScale,
    /// Speed against quality.
    pub preset: Preset,
    /// How low the delay is to be.
    pub tuning: Tuning,
}

/// What the GPU's H.264 encoder can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Smallest and largest picture; 0 for the smallest side where the driver does not say.
    pub sides: [(u32, u32); 2],
    /// Whether the bitrate can be held constant.
    pub constant_bitrate: bool,
    /// Whether the rate buffer can be set.
    pub custom_vbv: bool,
    /// Highest level times ten, as 52 for 5.2; 0 where the driver does not say.
    pub level_max: u32,
    /// Encoder chips on the GPU; 0 where the driver does not say.
    pub engines: u32,
}

pub(super) fn preset_guid(preset: Preset) -> sys::GUID {
    match preset {
        Preset::P1 => sys::NV_ENC_PRESET_P1_GUID,
        Preset::P2 => sys::NV_ENC_PRESET_P2_GUID,
        Preset::P3 => sys::NV_ENC_PRESET_P3_GUID,
        Preset::P4 => sys::NV_ENC_PRESET_P4_GUID,
        Preset::P5 => sys::NV_ENC_PRESET_P5_GUID,
        Preset::P6 => sys::NV_ENC_PRESET_P6_GUID,
        Preset::P7 => sys::NV_ENC_PRESET_P7_GUID,
    }
}

pub(super) fn tuning_info(tuning: Tuning) -> sys::NV_ENC_TUNING_INFO {
    match tuning {
        Tuning::LowLatency => sys::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_LOW_LATENCY,
        Tuning::UltraLowLatency => sys::NV_ENC_TUNING_INFO::NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
    }
}

/// Refuses what the chip does not take, with the limits that it names.
///
/// # Errors
/// A picture that is too small or too large.
pub(super) fn check_limits(config: &Config, capabilities: &Capabilities) -> Result<(), Error> {
    let (width, height) = (config.size.width(), config.size.height());
    let [least, most] = capabilities.sides;
    if width < least.0 || height < least.1 || width > most.0 || height > most.1 {
        return Err(Error::machine(
            "nvenc-size",
            format!(
                "this GPU's NVENC does not support {}: it takes {}x{} to {}x{}",
                config.size, least.0, least.1, most.0, most.1
            ),
            "",
        ));
    }
    Ok(())
}

/// Turns the preset's configuration into ours: every picture out at once, and a stream that can be joined each GOP. The
/// API promises no value in a preset's configuration, so whatever the stream depends on is set here; what only trades
/// speed for quality is left to the preset.
pub(super) fn write_config(encode: *mut sys::NV_ENC_CONFIG, config: &Config, capabilities: &Capabilities) {
    let bitrate = config.bitrate.bps();
    // The driver fills these in as well, of which API it does not say.
    set!(encode, version, sys::NV_ENC_CONFIG_VER);
    set!(encode, rcParams.version, sys::NV_ENC_RC_PARAMS_VER);
    set!(encode, profileGUID, sys::NV_ENC_H264_PROFILE_HIGH_GUID);
    set!(encode, gopLength, config.gop_length);
    // No B pictures.
    set!(encode, frameIntervalP, 1);
    set!(encode, frameFieldMode, sys::NV_ENC_PARAMS_FRAME_FIELD_MODE::NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME);
    set!(encode, monoChromeEncoding, 0);

    if capabilities.constant_bitrate {
        set!(encode, rcParams.rateControlMode, sys::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR);
    } else {
        tracing::warn!("this GPU has no CBR: {} is the mean and the maximum", config.bitrate);
        set!(encode, rcParams.rateControlMode, sys::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_VBR);
    }
    set!(encode, rcParams.averageBitRate, bitrate);
    set!(encode, rcParams.maxBitRate, bitrate);
    if capabilities.custom_vbv {
        let bits = config.vbv.bits(config.bitrate, config.frame_rate);
        set!(encode, rcParams.vbvBufferSize, bits);
        // Full from the start: the first picture is an IDR, too.
        set!(encode, rcParams.vbvInitialDelay, bits);
    } else {
        tracing::warn!("this GPU sets its own rate buffer: frames may be larger than their share of the bitrate");
        // The chip's own.
        set!(encode, rcParams.vbvBufferSize, 0);
        set!(encode, rcParams.vbvInitialDelay, 0);
    }
    set!(encode, rcParams.lowDelayKeyFrameScale, config.idr_scale.times());
    // The bitrate decides, also where it is variable.
    set!(encode, rcParams.targetQuality, 0);
    set!(encode, rcParams.targetQualityLSB, 0);
    set!(encode, rcParams.lookaheadDepth, 0);
    // SAFETY: the bit field is plain bytes of the struct behind the pointer; no enum is inside the reference.
    let flags = unsafe { &mut *std::ptr::addr_of_mut!((*encode).rcParams._bitfield_1) };
    // NV_ENC_RC_PARAMS, nvEncodeAPI.h: enableLookahead is bit 5, zeroReorderDelay bit 9, enableExtLookahead
    // bit 16.
    flags.set_bit(5, false);
    flags.set_bit(9, true);
    flags.set_bit(16, false);

    // SAFETY: H.264 is the codec, so this member of the union is the one in use.
    let h264 = unsafe { std::ptr::addr_of_mut!((*encode).encodeCodecConfig.h264Config) };
    // SAFETY: as above.
    let flags = unsafe { &mut *std::ptr::addr_of_mut!((*h264)._bitfield_1) };
    // NV_ENC_CONFIG_H264, nvEncodeAPI.h: repeatSPSPPS is bit 12, and puts the parameter sets in front of each IDR, where
    // go2rtc wants them. enableVFR is bit 13, and its one effect is that the SPS does not promise a fixed rate: a late
    // picture is skipped. The others ask for what go2rtc does not want: delimiters, SEI, filler, no parameter sets at all,
    // more than one layer, or IDR pictures replaced by intra refresh.
    for bit in 0..u32::BITS as usize {
        flags.set_bit(bit, matches!(bit, 12 | 13));
    }
    set!(h264, level, sys::NV_ENC_LEVEL::NV_ENC_LEVEL_AUTOSELECT as u32);
    set!(h264, idrPeriod, config.gop_length);
    // One slice a picture: mode 3 is a number of slices.
    set!(h264, sliceMode, 3);
    set!(h264, sliceModeData, 1);
    set!(h264, chromaFormatIDC, 1);
    set!(h264, separateColourPlaneFlag, 0);
    set!(h264, spsId, 0);
    set!(h264, ppsId, 0);
    set!(h264, intraRefreshPeriod, 0);
    set!(h264, intraRefreshCnt, 0);
    set!(h264, ltrNumFrames, 0);
    set!(h264, ltrTrustMode, 0);
    set!(h264, useBFramesAsRef, sys::NV_ENC_BFRAME_REF_MODE::NV_ENC_BFRAME_REF_MODE_DISABLED);

    set!(h264, h264VUIParameters.overscanInfoPresentFlag, 0);
    set!(h264, h264VUIParameters.videoSignalTypePresentFlag, 1);
    set!(h264, h264VUIParameters.videoFormat, sys::NV_ENC_VUI_VIDEO_FORMAT::NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED);
    set!(h264, h264VUIParameters.videoFullRangeFlag, u32::from(color::FULL_RANGE));
    set!(h264, h264VUIParameters.colourDescriptionPresentFlag, 1);
    const _: () = assert!(
        color::COLOUR_PRIMARIES == sys::NV_ENC_VUI_COLOR_PRIMARIES::NV_ENC_VUI_COLOR_PRIMARIES_BT709 as u8
            && color::TRANSFER_CHARACTERISTICS
                == sys::NV_ENC_VUI_TRANSFER_CHARACTERISTIC::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709 as u8
            && color::MATRIX_COEFFICIENTS == sys::NV_ENC_VUI_MATRIX_COEFFS::NV_ENC_VUI_MATRIX_COEFFS_BT709 as u8,
    );
    set!(h264, h264VUIParameters.colourPrimaries, sys::NV_ENC_VUI_COLOR_PRIMARIES::NV_ENC_VUI_COLOR_PRIMARIES_BT709);
    set!(
        h264,
        h264VUIParameters.transferCharacteristics,
        sys::NV_ENC_VUI_TRANSFER_CHARACTERISTIC::NV_ENC_VUI_TRANSFER_CHARACTERISTIC_BT709
    );
    set!(h264, h264VUIParameters.colourMatrix, sys::NV_ENC_VUI_MATRIX_COEFFS::NV_ENC_VUI_MATRIX_COEFFS_BT709);
    // Left, as H.264 has it where nothing is said.
    set!(h264, h264VUIParameters.chromaSampleLocationFlag, 0);
    // No rate is promised: see enableVFR above.
    set!(h264, h264VUIParameters.timingInfoPresentFlag, 0);
    // No reordering, so a decoder shows each picture at once.
    set!(h264, h264VUIParameters.bitstreamRestrictionFlag, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nvenc::params::{Param, get};

    const CAPABILITIES: Capabilities = Capabilities {
        sides: [(145, 49), (4096, 4096)],
        constant_bitrate: true,
        custom_vbv: true,
        level_max: 52,
        engines: 1,
    };

    fn config(width: u32, height: u32) -> Config {
        Config {
            size: Size::new(width, height).unwrap(),
            frame_rate: "50".parse().unwrap(),
            bitrate: "5M".parse().unwrap(),
            gop_length: 100,
            vbv: "1.5".parse().unwrap(),
            idr_scale: "4".parse().unwrap(),
            preset: Preset::P4,
            tuning: Tuning::UltraLowLatency,
        }
    }

    #[test]
    fn what_the_chip_does_not_take_is_refused_with_its_limits() {
        assert!(check_limits(&config(146, 64), &CAPABILITIES).is_ok());
        assert!(check_limits(&config(4096, 4096), &CAPABILITIES).is_ok());
        let error = check_limits(&config(144, 64), &CAPABILITIES).unwrap_err();
        assert!(error.cause().contains("144x64") && error.cause().contains("145x49 to 4096x4096"), "{error}");
        // A chip whose driver does not say how small is asked to take it.
        let silent = Capabilities { sides: [(0, 0), (4096, 4096)], ..CAPABILITIES };
        assert!(check_limits(&config(64, 64), &silent).is_ok());
    }

    #[test]
    fn without_what_a_chip_lacks_it_is_left_to_the_chip() {
        use sys::NV_ENC_PARAMS_RC_MODE as Mode;
        let lacking = Capabilities { constant_bitrate: false, custom_vbv: false, ..CAPABILITIES };
        for (capabilities, mode, buffer) in
            [(CAPABILITIES, Mode::NV_ENC_PARAMS_RC_CBR, 150_000), (lacking, Mode::NV_ENC_PARAMS_RC_VBR, 0)]
        {
            let mut encode = Param::<sys::NV_ENC_CONFIG>::zeroed();
            let encode = encode.as_mut_ptr();
            write_config(encode, &config(640, 360), &capabilities);
            assert_eq!(get!(encode, rcParams.rateControlMode), mode);
            let sizes: [u32; 2] = [get!(encode, rcParams.vbvBufferSize), get!(encode, rcParams.vbvInitialDelay)];
            assert_eq!(sizes, [buffer; 2]);
            assert_eq!(get!(encode, rcParams.lowDelayKeyFrameScale), 4);
            assert_eq!([get!(encode, rcParams.averageBitRate), get!(encode, rcParams.maxBitRate)], [5_000_000; 2]);
            assert_eq!([get!(encode, gopLength), get!(encode, encodeCodecConfig.h264Config.idrPeriod)], [100; 2]);
        }
    }
}
