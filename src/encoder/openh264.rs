//! OpenH264 on the CPU: constrained baseline, one slice a picture, one thread.

use super::{HostPicture, Profile};
use crate::codec::{self, AccessUnit};
use crate::color;
use crate::error::Error;
use crate::settings::Settings;
use ::openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, EncoderConfig, FrameRate, IntraFramePeriod, MatrixCoefficients,
    RateControlMode, TransferCharacteristics, UsageType, VuiConfig,
};
use ::openh264::formats::YUVSlices;

/// The highest bitrate of level 5.2 in bits per second, H.264 table A-1 with the factor of clause A.3.1 j).
const MAX_BITRATE: u32 = 288_000_000;
/// The longer and the shorter side that OpenH264 supports at most.
const MAX_SIDES: (u32, u32) = (3840, 2160);

const _: () = assert!(
    color::COLOUR_PRIMARIES == ColorPrimaries::Bt709.as_u8()
        && color::TRANSFER_CHARACTERISTICS == TransferCharacteristics::Bt709.as_u8()
        && color::MATRIX_COEFFICIENTS == MatrixCoefficients::Bt709.as_u8()
        && !color::FULL_RANGE,
    "the VUI written below is BT.709 limited"
);

/// The encoder on the CPU.
pub struct Openh264 {
    encoder: ::openh264::encoder::Encoder,
    bitstream: Vec<u8>,
}

impl Openh264 {
    /// Opens it, in a profile that the stream has already or is to have.
    ///
    /// # Errors
    /// The size is more than OpenH264 codes.
    pub fn open(settings: &Settings, profile: Profile) -> Result<Self, Error> {
        let size = settings.size;
        let sides = (size.width().max(size.height()), size.width().min(size.height()));
        if sides.0 > MAX_SIDES.0 || sides.1 > MAX_SIDES.1 {
            return Err(Error::input(
                "openh264-size",
                format!("OpenH264 does not support {size}"),
                format!("choose at most {}x{}, or a GPU with NVENC", MAX_SIDES.0, MAX_SIDES.1),
            ));
        }
        if settings.bitrate.bps() > MAX_BITRATE {
            return Err(Error::input(
                "openh264-bitrate",
                format!("OpenH264 does not support {} bits/s", settings.bitrate),
                "",
            ));
        }
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(settings.bitrate.bps()))
            .max_frame_rate(FrameRate::from_hz(settings.frame_rate.as_f32()))
            .rate_control_mode(RateControlMode::Bitrate)
            .intra_frame_period(IntraFramePeriod::from_num_frames(settings.gop_length()))
            .usage_type(UsageType::CameraVideoRealTime)
            .complexity(Complexity::Low)
            // Each picture drawn has to come out: skipping is decided before drawing, in `stream`.
            .skip_frames(false)
            // IDR pictures come by the GOP and by request alone.
            .scene_change_detect(false)
            .background_detection(false)
            .adaptive_quantization(false)
            // More threads would mean more slices a picture, which go2rtc cuts apart.
            .num_threads(1)
            .profile(match profile {
                Profile::ConstrainedBaseline => ::openh264::encoder::Profile::Baseline,
                Profile::High => ::openh264::encoder::Profile::High,
            })
            .vui(VuiConfig::bt709());
        Ok(Self { encoder: crate::openh264::open(config)?, bitstream: Vec::with_capacity(codec::room_for(size)) })
    }

    /// Encodes `picture` into `unit`: one picture in, one access unit out. The first picture is an IDR, and so is one with
    /// `force_idr`.
    ///
    /// # Errors
    /// It failed, and cannot be used any more.
    pub fn encode(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error> {
        let failed = |error| {
            Error::machine("openh264-failed", "OpenH264 failed to encode a frame", String::new()).caused_by(error)
        };
        let (width, height) = (picture.size().width() as usize, picture.size().height() as usize);
        let planes = YUVSlices::new(picture.planes(), (width, height), (width, width / 2, width / 2));
        if force_idr {
            self.encoder.force_intra_frame();
        }
        let timestamp = ::openh264::Timestamp::from_millis(picture.pts().as_millis() as u64);
        let coded = self.encoder.encode_at(&planes, timestamp).map_err(failed)?;
        self.bitstream.clear();
        coded.write_vec(&mut self.bitstream);
        unit.begin(picture.pts());
        unit.push_annex_b(&self.bitstream);
        Ok(())
    }
}
