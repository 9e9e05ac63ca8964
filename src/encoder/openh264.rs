//! OpenH264 on the CPU: constrained baseline, one slice a picture, one thread.

use super::{HostEncoder, HostPicture};
use crate::color;
use crate::error::Error;
use crate::h264::AccessUnit;
use crate::settings::{Settings, Size};
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, EncoderConfig, FrameRate, IntraFramePeriod, MatrixCoefficients,
    RateControlMode, TransferCharacteristics, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use yuv::{BufferStoreMut, YuvConversionMode, YuvPlanarImageMut, YuvRange, YuvStandardMatrix};

/// The longer and the shorter side that OpenH264 codes at most.
const MAX_SIDES: (u32, u32) = (3840, 2160);

const _: () = assert!(
    color::COLOUR_PRIMARIES == ColorPrimaries::Bt709.as_u8()
        && color::TRANSFER_CHARACTERISTICS == TransferCharacteristics::Bt709.as_u8()
        && color::MATRIX_COEFFICIENTS == MatrixCoefficients::Bt709.as_u8()
        && !color::FULL_RANGE,
    "the VUI written below and the conversion in `Planes` are BT.709 limited"
);

pub struct Openh264 {
    encoder: openh264::encoder::Encoder,
    planes: Planes,
    bitstream: Vec<u8>,
}

impl Openh264 {
    /// # Errors
    /// The size is more than OpenH264 codes.
    pub fn open(settings: &Settings) -> Result<Self, Error> {
        let size = settings.size;
        let sides = (size.width().max(size.height()), size.width().min(size.height()));
        if sides.0 > MAX_SIDES.0 || sides.1 > MAX_SIDES.1 {
            return Err(Error::input(
                format!("OpenH264 codes no pictures of {size}"),
                format!("choose at most {}x{}, or a GPU with NVENC", MAX_SIDES.0, MAX_SIDES.1),
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
            .vui(VuiConfig::bt709());
        let encoder = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|error| Error::machine("OpenH264 does not start", String::new()).caused_by(error))?;
        Ok(Self { encoder, planes: Planes::new(size), bitstream: Vec::new() })
    }
}

impl HostEncoder for Openh264 {
    fn encode(&mut self, picture: &HostPicture, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error> {
        let failed = |error| Error::machine("OpenH264 failed to code a picture", String::new()).caused_by(error);
        self.planes.convert(picture);
        if force_idr {
            self.encoder.force_intra_frame();
        }
        let timestamp = openh264::Timestamp::from_millis(picture.pts.as_millis() as u64);
        let coded = self.encoder.encode_at(&self.planes.slices(), timestamp).map_err(failed)?;
        self.bitstream.clear();
        coded.write_vec(&mut self.bitstream);
        unit.begin(picture.pts);
        unit.push_annex_b(&self.bitstream);
        Ok(())
    }
}

/// One picture as planes of Y, Cb and Cr, 4:2:0, BT.709 limited range, the top row first.
struct Planes {
    size: Size,
    y: Vec<u8>,
    cb: Vec<u8>,
    cr: Vec<u8>,
}

impl Planes {
    fn new(size: Size) -> Self {
        let pixels = size.pixels();
        Self { size, y: vec![0; pixels], cb: vec![0; pixels / 4], cr: vec![0; pixels / 4] }
    }

    /// Converts two rows at a time, from the picture's last two to its first two, which turns it the right way up.
    fn convert(&mut self, picture: &HostPicture) {
        let width = self.size.width();
        let (row, half) = (width as usize, width as usize / 2);
        let planes =
            self.y.chunks_exact_mut(2 * row).zip(self.cb.chunks_exact_mut(half)).zip(self.cr.chunks_exact_mut(half));
        let mut pair = vec![0; 2 * row * 4];
        for (((y, cb), cr), rgba) in planes.zip(picture.rgba.chunks_exact(2 * row * 4).rev()) {
            pair[..row * 4].copy_from_slice(&rgba[row * 4..]);
            pair[row * 4..].copy_from_slice(&rgba[..row * 4]);
            let mut image = YuvPlanarImageMut {
                y_plane: BufferStoreMut::Borrowed(y),
                y_stride: width,
                u_plane: BufferStoreMut::Borrowed(cb),
                u_stride: width / 2,
                v_plane: BufferStoreMut::Borrowed(cr),
                v_stride: width / 2,
                width,
                height: 2,
            };
            yuv::rgba_to_yuv420(
                &mut image,
                &pair,
                width * 4,
                YuvRange::Limited,
                YuvStandardMatrix::Bt709,
                YuvConversionMode::Balanced,
            )
            .expect("planes and rows are of the sizes given");
        }
    }

    fn slices(&self) -> YUVSlices<'_> {
        let (width, height) = (self.size.width() as usize, self.size.height() as usize);
        YUVSlices::new((&self.y, &self.cb, &self.cr), (width, height), (width, width / 2, width / 2))
    }
}
