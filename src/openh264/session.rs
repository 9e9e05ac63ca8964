//! One encoder of OpenH264, with a quantiser for each picture.
//!
//! The crate `openh264` has a safe wrapper too. It hides the two settings that matter here: the quantiser of the next
//! picture, and how much room a picture has.

use crate::error::Error;
use openh264_sys2::{
    API as _, CAMERA_VIDEO_REAL_TIME, CONSTANT_ID, DynamicAPI, ENCODER_OPTION, ENCODER_OPTION_RC_MODE,
    ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, ENCODER_OPTION_TRACE_LEVEL, ISVCEncoder, ISVCEncoderVtbl, LOW_COMPLEXITY,
    RC_BITRATE_MODE, RC_OFF_MODE, SEncParamExt, SFrameBSInfo, SM_SINGLE_SLICE, SSourcePicture, WELS_LOG_QUIET,
    cmMallocMemeError, videoFormatI420,
};
use std::ffi::{c_int, c_void};
use std::time::Duration;

/// What an encoder is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// Pixels, both even and at least 16.
    pub width: u32,
    /// Rows of them.
    pub height: u32,
    /// Bits a second, for the level in the parameter sets alone.
    pub bitrate: u32,
    /// Pictures a second, likewise.
    pub frame_rate: f32,
    /// Pictures from one IDR to the next.
    pub idr_interval: u32,
    /// `profile_idc`, H.264 section A.2: 66 writes constrained baseline, 100 high.
    pub profile: u8,
}

/// Why a picture was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It takes more bytes than there is room for. The encoder has freed itself: open another one.
    TooLarge,
    /// The library's own status.
    Status(i32),
    /// The library lacks the function.
    Missing,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => f.write_str("the coded picture has no room in its buffer"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Missing => f.write_str("a function is missing"),
        }
    }
}

impl std::error::Error for Failed {}

/// An encoder that belongs to whoever has it, and takes pictures of one size.
#[derive(Debug)]
pub struct Session {
    encoder: *mut ISVCEncoder,
    parameters: SEncParamExt,
    coded: Box<SFrameBSInfo>,
}

// SAFETY: the encoder is reached through this alone, and keeps nothing of the thread that it was made on.
unsafe impl Send for Session {}

impl Session {
    /// Opens one that writes one slice a picture.
    ///
    /// # Errors
    /// Out of memory, or parameters that the library refuses.
    pub fn open(with: Parameters) -> Result<Self, Error> {
        Self::start(with).map_err(|failed| {
            Error::machine("openh264-failed", "OpenH264 does not start", "free some memory").caused_by(failed)
        })
    }

    fn start(with: Parameters) -> Result<Self, Failed> {
        let mut encoder = std::ptr::null_mut();
        // SAFETY: the function writes the pointer that it is given.
        done(unsafe { DynamicAPI::from_source().WelsCreateSVCEncoder(&raw mut encoder) })?;
        let mut this = Self { encoder, parameters: SEncParamExt::default(), coded: Box::default() };
        // The library writes warnings to standard error while it starts. That belongs to people, and go2rtc shows them its
        // first 512 bytes.
        this.set(ENCODER_OPTION_TRACE_LEVEL, &mut { WELS_LOG_QUIET })?;
        let get_default = this.calls().GetDefaultParams.ok_or(Failed::Missing)?;
        // SAFETY: the function fills the struct that it is given, which is the library's own.
        done(unsafe { get_default(this.encoder, &raw mut this.parameters) })?;
        fill(&mut this.parameters, with);
        let initialize = this.calls().InitializeExt.ok_or(Failed::Missing)?;
        // SAFETY: the function copies what it needs of the struct.
        done(unsafe { initialize(this.encoder, &raw const this.parameters) })?;
        // Only now: started without rate control, it would leave the bitrate out of the level.
        this.parameters.iRCMode = RC_OFF_MODE;
        this.set(ENCODER_OPTION_RC_MODE, &mut { RC_OFF_MODE })?;
        Ok(this)
    }

    /// Sets the quantiser of all macroblocks of the pictures from the next one on, from 0 to 51.
    ///
    /// # Errors
    /// The library refuses.
    pub fn set_quantiser(&mut self, qp: u8) -> Result<(), Failed> {
        let layer = &mut self.parameters.sSpatialLayers[0];
        if layer.iDLayerQp == c_int::from(qp) {
            return Ok(());
        }
        layer.iDLayerQp = qp.into();
        let mut parameters = self.parameters;
        self.set(ENCODER_OPTION_SVC_ENCODE_PARAM_EXT, &mut parameters)
    }

    /// Makes the next picture an IDR.
    pub fn force_idr(&mut self) {
        if let Some(force) = self.calls().ForceIntraFrame {
            // SAFETY: the encoder is started.
            unsafe { force(self.encoder, true) };
        }
    }

    /// Encodes the picture in these planes of Y, Cb and Cr, whose rows follow one another without a gap, and appends its
    /// NAL units, in Annex B form, to `into`.
    ///
    /// # Errors
    /// See [`Failed`].
    ///
    /// # Panics
    /// The planes are too small.
    pub fn encode(&mut self, planes: [&[u8]; 3], pts: Duration, into: &mut Vec<u8>) -> Result<(), Failed> {
        let (width, height) = (self.parameters.iPicWidth, self.parameters.iPicHeight);
        let samples = (width * height) as usize;
        assert!(planes[0].len() >= samples && planes[1..].iter().all(|it| it.len() >= samples / 4), "planes too small");
        let [y, cb, cr] = planes.map(|plane| plane.as_ptr().cast_mut());
        let picture = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [width, width / 2, width / 2, 0],
            pData: [y, cb, cr, std::ptr::null_mut()],
            iPicWidth: width,
            iPicHeight: height,
            uiTimeStamp: pts.as_millis() as i64,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        let encode = self.calls().EncodeFrame.ok_or(Failed::Missing)?;
        // SAFETY: the encoder is started and of this size; it copies the planes, whose sizes were checked, and writes to
        // neither; the struct for what is coded is the library's own.
        let status = unsafe { encode(self.encoder, &raw const picture, &raw mut *self.coded) };
        if status == cmMallocMemeError {
            return Err(Failed::TooLarge);
        }
        done(status)?;
        let layers = &self.coded.sLayerInfo[..self.coded.iLayerNum as usize];
        for layer in layers.iter().filter(|layer| layer.iNalCount > 0) {
            // SAFETY: the library fills as many layers as it says, each with as many lengths of NAL units, which lie one
            // behind the other in its buffer until the next call.
            let units = unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, layer.iNalCount as usize);
                std::slice::from_raw_parts(layer.pBsBuf, lengths.iter().sum::<c_int>() as usize)
            };
            into.extend_from_slice(units);
        }
        Ok(())
    }

    fn calls(&self) -> ISVCEncoderVtbl {
        // SAFETY: an encoder is a pointer to its table of functions, as long as it is not destroyed.
        unsafe { **self.encoder }
    }

    /// Sets an option whose value is a `T`.
    fn set<T>(&mut self, option: ENCODER_OPTION, value: &mut T) -> Result<(), Failed> {
        let set = self.calls().SetOption.ok_or(Failed::Missing)?;
        // SAFETY: each caller above passes the type that the option reads, and the library keeps no pointer to it.
        done(unsafe { set(self.encoder, option, std::ptr::from_mut(value).cast::<c_void>()) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(uninitialize) = self.calls().Uninitialize {
            // SAFETY: it may be called in every state.
            unsafe { uninitialize(self.encoder) };
        }
        // SAFETY: the pointer came from the function that creates, and is not used any more.
        unsafe { DynamicAPI::from_source().WelsDestroySVCEncoder(self.encoder) };
    }
}

fn done(status: c_int) -> Result<(), Failed> {
    if status == 0 { Ok(()) } else { Err(Failed::Status(status)) }
}

/// What differs from the library's defaults.
fn fill(parameters: &mut SEncParamExt, with: Parameters) {
    let (width, height) = (with.width as c_int, with.height as c_int);
    let bitrate = c_int::try_from(with.bitrate).unwrap_or(c_int::MAX);
    parameters.iUsageType = CAMERA_VIDEO_REAL_TIME;
    parameters.iComplexityMode = LOW_COMPLEXITY;
    parameters.iPicWidth = width;
    parameters.iPicHeight = height;
    parameters.iTargetBitrate = bitrate;
    parameters.fMaxFrameRate = with.frame_rate;
    parameters.uiIntraPeriod = with.idr_interval;
    parameters.eSpsPpsIdStrategy = CONSTANT_ID;
    // Each picture drawn has to come out: skipping is decided before drawing.
    parameters.bEnableFrameSkip = false;
    parameters.iRCMode = RC_BITRATE_MODE;
    // IDR pictures come by the interval and by request alone.
    parameters.bEnableSceneChangeDetect = false;
    parameters.bEnableBackgroundDetection = false;
    parameters.bEnableAdaptiveQuant = false;
    // More threads would mean more slices a picture, which go2rtc cuts apart.
    parameters.iMultipleThreadIdc = 1;
    // It balances threads, which there are none of. Without it a picture has twice the room, 3 bytes a pixel; with it,
    // noise has too little at every size.
    parameters.bUseLoadBalancing = false;
    let layer = &mut parameters.sSpatialLayers[0];
    layer.uiProfileIdc = with.profile.into();
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = with.frame_rate;
    layer.iSpatialBitrate = bitrate;
    layer.iMaxSpatialBitrate = bitrate;
    layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
    layer.sSliceArgument.uiSliceNum = 1;
    layer.bVideoSignalTypePresent = true;
    layer.bColorDescriptionPresent = true;
    layer.bFullRange = crate::color::FULL_RANGE;
    layer.uiColorPrimaries = crate::color::COLOUR_PRIMARIES;
    layer.uiTransferCharacteristics = crate::color::TRANSFER_CHARACTERISTICS;
    layer.uiColorMatrix = crate::color::MATRIX_COEFFICIENTS;
}
