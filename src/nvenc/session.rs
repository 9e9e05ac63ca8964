//! One encode session: opened on a CUDA context, set up for low delay, fed from one buffer on the GPU.

use super::api::Api;
use super::config::{Capabilities, Config, check_limits, preset_guid, tuning_info, write_config};
use super::input::Input;
use super::params::{Param, get, set};
use super::status::Status;
use crate::codec::AccessUnit;
use crate::cuda::{self, CudaContext};
use crate::error::Error;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;
use std::cell::Cell;
use std::ffi::c_void;
use std::time::Duration;

/// How often a busy encoder is asked again, a millisecond apart.
const BUSY_RETRIES: u32 = 100;

/// An open session, with its input buffer and its output buffer. It belongs to the thread of its CUDA context.
#[derive(Debug)]
pub struct Session {
    api: &'static Api,
    encoder: *mut c_void,
    bitstream: *mut c_void,
    registered: *mut c_void,
    pictures: u32,
    lost: Cell<bool>,
    // Freed after the session is destroyed, in `drop`.
    input: Option<Input>,
    // Last: what is above needs it.
    context: CudaContext,
}

impl Session {
    /// Opens a session without setting it up: enough to ask what it can do.
    ///
    /// # Errors
    /// No NVENC on this GPU, no session left, or no driver for it.
    pub fn open(context: &CudaContext) -> Result<Self, Error> {
        let api = Api::load()?;
        let mut params = Param::<sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
        set!(to, deviceType, sys::NV_ENC_DEVICE_TYPE::NV_ENC_DEVICE_TYPE_CUDA);
        set!(to, device, context.raw().cast());
        set!(to, apiVersion, sys::NVENCAPI_VERSION);
        let mut encoder = std::ptr::null_mut();
        // SAFETY: the parameters are complete, and the CUDA context lives as long as the session, which holds it.
        let status = Status(unsafe { (api.open_session)(to, &mut encoder) });
        let this = Self {
            api,
            encoder,
            bitstream: std::ptr::null_mut(),
            registered: std::ptr::null_mut(),
            pictures: 0,
            lost: Cell::new(false),
            input: None,
            context: context.clone(),
        };
        // A failed open may leave a handle, which has to be destroyed all the same: `drop` does.
        this.check("NvEncOpenEncodeSessionEx", status)?;
        this.check_h264()?;
        Ok(this)
    }

    /// Sets the session up. `input` is where pictures will be found.
    ///
    /// # Errors
    /// The GPU or the driver refuses the settings; the message names the limit where it is known.
    pub fn set_up(&mut self, config: &Config, input: Input) -> Result<(), Error> {
        let capabilities = self.capabilities()?;
        check_limits(config, &capabilities)?;
        let mut preset = self.preset_config(config)?;
        // SAFETY: `presetCfg` is a field of the struct behind the pointer, which lives to the end of this function.
        let encode = unsafe { std::ptr::addr_of_mut!((*preset.as_mut_ptr()).presetCfg) };
        write_config(encode, config, &capabilities);
        self.initialize(config, encode)?;

        let mut params = Param::<sys::NV_ENC_CREATE_BITSTREAM_BUFFER>::zeroed();
        set!(params.as_mut_ptr(), version, sys::NV_ENC_CREATE_BITSTREAM_BUFFER_VER);
        // SAFETY: the session is open and the parameters are complete.
        let status = unsafe { (self.api.create_bitstream)(self.encoder, params.as_mut_ptr()) };
        self.check("NvEncCreateBitstreamBuffer", Status(status))?;
        self.bitstream = get!(params.as_mut_ptr(), bitstreamBuffer);

        self.register(input)
    }

    fn register(&mut self, input: Input) -> Result<(), Error> {
        let mut params = Param::<sys::NV_ENC_REGISTER_RESOURCE>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_REGISTER_RESOURCE_VER);
        set!(to, resourceType, sys::NV_ENC_INPUT_RESOURCE_TYPE::NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR);
        let size = input.size();
        set!(to, width, size.width());
        set!(to, height, size.height());
        set!(to, pitch, input.buffer().pitch() as u32);
        set!(to, resourceToRegister, input.buffer().address() as *mut c_void);
        set!(to, bufferFormat, input.format());
        set!(to, bufferUsage, sys::NV_ENC_BUFFER_USAGE::NV_ENC_INPUT_IMAGE);
        self.input = Some(input);
        // SAFETY: the memory is of this context, as large as its format needs with this size and pitch, and is freed
        // only after it is unregistered.
        let status = unsafe { (self.api.register_resource)(self.encoder, to) };
        self.check("NvEncRegisterResource", Status(status))?;
        self.registered = get!(to, registeredResource);
        Ok(())
    }

    /// Where to put the next picture, before `encode`.
    ///
    /// # Panics
    /// The session was not set up.
    pub fn input(&self) -> &Input {
        self.input.as_ref().expect("the session was set up")
    }

    /// Encodes the picture in the input buffer into `unit`, to be shown at `pts`, and waits until it is done. The work on
    /// the GPU's default stream is waited for.
    ///
    /// # Errors
    /// The driver's. Whatever it is, a new session may work.
    pub fn encode(&mut self, pts: Duration, force_idr: bool, unit: &mut AccessUnit) -> Result<(), Error> {
        let mapped = self.map_input()?;
        let coded = self.encode_mapped(mapped, pts, force_idr, unit);
        // SAFETY: mapped above; the encoder is done with it, since the bitstream was waited for.
        let unmapped = Status(unsafe { (self.api.unmap_input)(self.encoder, mapped) });
        coded?;
        self.check("NvEncUnmapInputResource", unmapped)
    }

    fn map_input(&self) -> Result<*mut c_void, Error> {
        let mut params = Param::<sys::NV_ENC_MAP_INPUT_RESOURCE>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_MAP_INPUT_RESOURCE_VER);
        set!(to, registeredResource, self.registered);
        // SAFETY: the resource is registered and not mapped.
        let status = unsafe { (self.api.map_input)(self.encoder, to) };
        self.check("NvEncMapInputResource", Status(status))?;
        Ok(get!(to, mappedResource))
    }

    fn encode_mapped(
        &mut self,
        mapped: *mut c_void,
        pts: Duration,
        force_idr: bool,
        unit: &mut AccessUnit,
    ) -> Result<(), Error> {
        let mut params = Param::<sys::NV_ENC_PIC_PARAMS>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_PIC_PARAMS_VER);
        let input = self.input();
        let size = input.size();
        set!(to, inputWidth, size.width());
        set!(to, inputHeight, size.height());
        set!(to, inputPitch, input.buffer().pitch() as u32);
        set!(to, inputBuffer, mapped);
        set!(to, outputBitstream, self.bitstream);
        set!(to, bufferFmt, input.format());
        set!(to, pictureStruct, sys::NV_ENC_PIC_STRUCT::NV_ENC_PIC_STRUCT_FRAME);
        set!(to, frameIdx, self.pictures);
        set!(to, inputTimeStamp, pts.as_micros() as u64);
        if force_idr {
            // repeatSPSPPS puts the parameter sets in front of it.
            set!(to, encodePicFlags, sys::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_FORCEIDR as u32);
        }
        let mut tries = 0;
        loop {
            // SAFETY: the input is mapped, the output is not locked, and the parameters are complete.
            let status = Status(unsafe { (self.api.encode_picture)(self.encoder, to) });
            // Linux has no asynchronous mode, so a driver under load says this instead of waiting.
            if status != Status::ENCODER_BUSY || tries == BUSY_RETRIES {
                self.check("NvEncEncodePicture", status)?;
                break;
            }
            tries += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        self.pictures = self.pictures.wrapping_add(1);
        self.read_bitstream(pts, unit)
    }

    fn read_bitstream(&self, pts: Duration, unit: &mut AccessUnit) -> Result<(), Error> {
        let mut params = Param::<sys::NV_ENC_LOCK_BITSTREAM>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_LOCK_BITSTREAM_VER);
        set!(to, outputBitstream, self.bitstream);
        // SAFETY: a picture was sent to this output. Without doNotWait the call returns when it is encoded.
        let status = unsafe { (self.api.lock_bitstream)(self.encoder, to) };
        self.check("NvEncLockBitstream", Status(status))?;
        let (bytes, length): (*mut c_void, u32) = (get!(to, bitstreamBufferPtr), get!(to, bitstreamSizeInBytes));
        unit.begin(pts);
        if !bytes.is_null() {
            // SAFETY: the driver says that so many bytes lie there, until the bitstream is unlocked.
            unit.push_annex_b(unsafe { std::slice::from_raw_parts(bytes.cast(), length as usize) });
        }
        // SAFETY: locked above.
        let status = unsafe { (self.api.unlock_bitstream)(self.encoder, self.bitstream) };
        self.check("NvEncUnlockBitstream", Status(status))
    }

    /// What CUDA says of a failure that the encoder has only met with, where it lasts as long as the process.
    pub fn fault_below(&self) -> Option<Error> {
        self.context.finish().err().filter(Error::is_for_good)
    }

    /// What the H.264 encoder of this GPU can do.
    ///
    /// # Errors
    /// The driver's.
    pub fn capabilities(&self) -> Result<Capabilities, Error> {
        use sys::NV_ENC_CAPS as Caps;
        let ask = |capability: Caps| {
            let mut params = Param::<sys::NV_ENC_CAPS_PARAM>::zeroed();
            set!(params.as_mut_ptr(), version, sys::NV_ENC_CAPS_PARAM_VER);
            set!(params.as_mut_ptr(), capsToQuery, capability);
            let mut value = 0;
            // SAFETY: the session is open, the parameters are complete, and one number is written.
            let status = unsafe {
                (self.api.encode_caps)(self.encoder, sys::NV_ENC_CODEC_H264_GUID, params.as_mut_ptr(), &mut value)
            };
            self.check("NvEncGetEncodeCaps", Status(status))?;
            Ok::<u32, Error>(value.max(0) as u32)
        };
        // Drivers refuse to answer for some that they have. What a stream can do without is then not known.
        let ask_or_zero = |capability: Caps| {
            ask(capability).unwrap_or_else(|why| {
                tracing::debug!("capability {}: {}", capability as u32, why.cause());
                0
            })
        };
        // Each mode is one bit; none at all is no answer.
        let rate_control_modes = ask(Caps::NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES)?;
        let constant_bitrate = sys::NV_ENC_PARAMS_RC_MODE::NV_ENC_PARAMS_RC_CBR as u32;
        Ok(Capabilities {
            constant_bitrate: rate_control_modes == 0 || rate_control_modes & constant_bitrate != 0,
            sides: [
                (ask_or_zero(Caps::NV_ENC_CAPS_WIDTH_MIN), ask_or_zero(Caps::NV_ENC_CAPS_HEIGHT_MIN)),
                (ask(Caps::NV_ENC_CAPS_WIDTH_MAX)?, ask(Caps::NV_ENC_CAPS_HEIGHT_MAX)?),
            ],
            custom_vbv: ask(Caps::NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE)? != 0,
            level_max: ask_or_zero(Caps::NV_ENC_CAPS_LEVEL_MAX),
            engines: ask_or_zero(Caps::NV_ENC_CAPS_NUM_ENCODER_ENGINES),
        })
    }

    fn check_h264(&self) -> Result<(), Error> {
        let mut count = 0;
        // SAFETY: the session is open and one number is written.
        let status = unsafe { (self.api.encode_guid_count)(self.encoder, &mut count) };
        self.check("NvEncGetEncodeGUIDCount", Status(status))?;
        let mut guids = vec![sys::NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID; count as usize];
        // SAFETY: the list has room for as many as the driver is told.
        let status = unsafe { (self.api.encode_guids)(self.encoder, guids.as_mut_ptr(), count, &mut count) };
        self.check("NvEncGetEncodeGUIDs", Status(status))?;
        let same =
            |a: &sys::GUID, b: &sys::GUID| (a.Data1, a.Data2, a.Data3, a.Data4) == (b.Data1, b.Data2, b.Data3, b.Data4);
        if guids.iter().any(|guid| same(guid, &sys::NV_ENC_CODEC_H264_GUID)) {
            return Ok(());
        }
        Err(Error::machine("nvenc-no-h264", "this GPU's encoder has no H.264", ""))
    }

    fn preset_config(&self, config: &Config) -> Result<Param<sys::NV_ENC_PRESET_CONFIG>, Error> {
        let mut preset = Param::<sys::NV_ENC_PRESET_CONFIG>::zeroed();
        set!(preset.as_mut_ptr(), version, sys::NV_ENC_PRESET_CONFIG_VER);
        set!(preset.as_mut_ptr(), presetCfg.version, sys::NV_ENC_CONFIG_VER);
        // Drivers from 591 on refuse the call without tuning.
        // SAFETY: the session is open; the struct is of the size that its version words say.
        let status = unsafe {
            (self.api.preset_config)(
                self.encoder,
                sys::NV_ENC_CODEC_H264_GUID,
                preset_guid(config.preset),
                tuning_info(config.tuning),
                preset.as_mut_ptr(),
            )
        };
        self.check("NvEncGetEncodePresetConfigEx", Status(status))?;
        Ok(preset)
    }

    fn initialize(&self, config: &Config, encode: *mut sys::NV_ENC_CONFIG) -> Result<(), Error> {
        let (width, height) = (config.size.width(), config.size.height());
        let mut params = Param::<sys::NV_ENC_INITIALIZE_PARAMS>::zeroed();
        let to = params.as_mut_ptr();
        set!(to, version, sys::NV_ENC_INITIALIZE_PARAMS_VER);
        set!(to, encodeGUID, sys::NV_ENC_CODEC_H264_GUID);
        set!(to, presetGUID, preset_guid(config.preset));
        set!(to, tuningInfo, tuning_info(config.tuning));
        set!(to, encodeWidth, width);
        set!(to, encodeHeight, height);
        set!(to, darWidth, width);
        set!(to, darHeight, height);
        set!(to, frameRateNum, config.frame_rate.num());
        set!(to, frameRateDen, config.frame_rate.den());
        // The driver decides on picture types, which a forced IDR needs.
        set!(to, enablePTD, 1);
        set!(to, encodeConfig, encode);
        // SAFETY: the session is open; the configuration lives through the call, which copies it.
        let status = unsafe { (self.api.initialize_encoder)(self.encoder, to) };
        self.check("NvEncInitializeEncoder", Status(status))
    }

    /// Tells the driver that no picture follows, as NVIDIA's programming guide wants it before a session is destroyed. A
    /// GPU that is gone is not asked any more.
    fn end_stream(&self) {
        if self.pictures == 0 || self.lost.get() {
            return;
        }
        let mut params = Param::<sys::NV_ENC_PIC_PARAMS>::zeroed();
        set!(params.as_mut_ptr(), version, sys::NV_ENC_PIC_PARAMS_VER);
        set!(params.as_mut_ptr(), encodePicFlags, sys::NV_ENC_PIC_FLAGS::NV_ENC_PIC_FLAG_EOS as u32);
        // SAFETY: the session is open and set up, since it has encoded; without a picture only the flag is read. Every
        // picture was fetched, so there is nothing that the driver could still return, and its answer does not matter.
        let _ = unsafe { (self.api.encode_picture)(self.encoder, params.as_mut_ptr()) };
    }

    fn check(&self, function: &str, status: Status) -> Result<(), Error> {
        if status == Status::SUCCESS {
            return Ok(());
        }
        self.lost.set(self.lost.get() || status.is_loss());
        let said = if self.encoder.is_null() { String::new() } else { self.api.last_error(self.encoder) };
        Err(status.error(function, &said))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // A session is part of a CUDA context, and goes with the process where that is dead.
        if self.encoder.is_null() || cuda::is_dead() {
            return;
        }
        // Errors are not told: after a loss everything here fails, and an earlier error has said so.
        self.end_stream();
        // SAFETY: each was made in this session, is released only here, before the session and before the memory that
        // is registered with it.
        unsafe {
            if !self.registered.is_null() {
                (self.api.unregister_resource)(self.encoder, self.registered);
            }
            if !self.bitstream.is_null() {
                (self.api.destroy_bitstream)(self.encoder, self.bitstream);
            }
            (self.api.destroy_encoder)(self.encoder);
        }
    }
}
