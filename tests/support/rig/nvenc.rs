//! The encoder API by its function list, every status as a number, every struct as words at offsets.

use libloading::Library;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::*;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::sync::OnceLock;

/// A struct of the API, zeroed but for its version; fields are set as plain numbers.
pub struct Params<T> {
    words: Vec<u64>,
    kind: PhantomData<T>,
}

impl<T> Params<T> {
    pub fn new(version: u32) -> Params<T> {
        let mut params = Params { words: vec![0; size_of::<T>().div_ceil(8)], kind: PhantomData };
        params.put(0, version);
        params
    }

    pub fn put(&mut self, offset: usize, value: u32) -> &mut Params<T> {
        let shift = offset % 8 * 8;
        let word = &mut self.words[offset / 8];
        *word = *word & !(0xFFFF_FFFF << shift) | u64::from(value) << shift;
        self
    }

    pub fn get(&self, offset: usize) -> u32 {
        (self.words[offset / 8] >> (offset % 8 * 8)) as u32
    }

    pub fn put_pointer(&mut self, offset: usize, value: usize) -> &mut Params<T> {
        self.words[offset / 8] = value as u64;
        self
    }

    pub fn pointer(&self, offset: usize) -> usize {
        self.words[offset / 8] as usize
    }

    pub fn put_guid(&mut self, offset: usize, guid: GUID) -> &mut Params<T> {
        let [a, b, c, d, e, f, g, h] = guid.Data4;
        self.put(offset, guid.Data1);
        self.put(offset + 4, u32::from(guid.Data3) << 16 | u32::from(guid.Data2));
        self.put(offset + 8, u32::from_le_bytes([a, b, c, d]));
        self.put(offset + 12, u32::from_le_bytes([e, f, g, h]))
    }

    pub fn bit(&mut self, offset: usize, bit: u32, value: bool) -> &mut Params<T> {
        let word = self.get(offset) & !(1 << bit) | u32::from(value) << bit;
        self.put(offset, word)
    }

    pub fn address(&self) -> usize {
        self.words.as_ptr() as usize
    }
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    // SAFETY: the simulated driver is on the library path; its initialisers only register a report.
    let load = || unsafe { Library::new("libnvidia-encode.so.1") }.expect("libnvidia-encode.so.1");
    LIBRARY.get_or_init(load)
}

pub fn max_supported_version() -> (u32, u32) {
    type Function = unsafe extern "C" fn(&mut u32) -> u32;
    let mut version = 0;
    // SAFETY: the type is the signature that nvEncodeAPI.h gives for the name.
    let function = unsafe { library().get::<Function>(b"NvEncodeAPIGetMaxSupportedVersion\0") };
    // SAFETY: the reference is valid for the write.
    (unsafe { function.expect("the export")(&mut version) }, version)
}

/// The status of `NvEncodeAPICreateInstance`, and the list it filled.
pub fn create_instance(version: u32) -> (u32, Params<NV_ENCODE_API_FUNCTION_LIST>) {
    type Function = unsafe extern "C" fn(usize) -> u32;
    let list = Params::<NV_ENCODE_API_FUNCTION_LIST>::new(version);
    // SAFETY: the type is the signature that nvEncodeAPI.h gives for the name, for a list by address.
    let function = unsafe { library().get::<Function>(b"NvEncodeAPICreateInstance\0") };
    // SAFETY: the list is a whole one, and stays in its Vec.
    (unsafe { function.expect("the export")(list.address()) }, list)
}

/// One open session, or what came in place of one.
pub struct Encoder {
    list: Params<NV_ENCODE_API_FUNCTION_LIST>,
    pub handle: usize,
}

macro_rules! slot {
    ($encoder:expr, $slot:ident: fn($($type:ty),*)) => {{
        let address = $encoder.list.pointer(offset_of!(NV_ENCODE_API_FUNCTION_LIST, $slot));
        assert_ne!(address, 0, "every slot is filled");
        // SAFETY: not null, so it is the function of that slot, and the type is its signature with
        // integers in place of pointers and enums.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($type),*) -> u32>(address) }
    }};
}

macro_rules! call {
    ($encoder:expr, $slot:ident($($value:expr => $type:ty),*)) => {{
        let function = slot!($encoder, $slot: fn(usize $(, $type)*));
        // SAFETY: addresses come from whole `Params` or from references that live through the call.
        unsafe { function($encoder.handle $(, $value)*) }
    }};
}

pub const H264: GUID = NV_ENC_CODEC_H264_GUID;
pub const NV12: u32 = 1;
pub const IYUV: u32 = 0x100;

impl Encoder {
    /// The function list with no session behind it.
    pub fn without_session() -> Encoder {
        let (status, list) = create_instance(NV_ENCODE_API_FUNCTION_LIST_VER);
        assert_eq!(status, 0);
        Encoder { list, handle: 0 }
    }

    pub fn open_params(context: usize) -> Params<NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS> {
        let mut params = Params::new(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER);
        params
            .put(offset_of!(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, deviceType), 1)
            .put(offset_of!(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, apiVersion), NVENCAPI_VERSION)
            .put_pointer(offset_of!(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, device), context);
        params
    }

    pub fn open_with(&mut self, params: &Params<NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS>) -> u32 {
        let function = slot!(self, nvEncOpenEncodeSessionEx: fn(usize, &mut usize));
        // SAFETY: both addresses are those of values that live through the call.
        unsafe { function(params.address(), &mut self.handle) }
    }

    /// A session on this context, or the status that refused it.
    pub fn open(context: usize) -> Result<Encoder, u32> {
        let mut encoder = Encoder::without_session();
        match encoder.open_with(&Encoder::open_params(context)) {
            0 => Ok(encoder),
            status => Err(status),
        }
    }

    pub fn caps(&self, number: u32) -> (u32, i32) {
        let mut params = Params::<NV_ENC_CAPS_PARAM>::new(NV_ENC_CAPS_PARAM_VER);
        params.put(offset_of!(NV_ENC_CAPS_PARAM, capsToQuery), number);
        let mut value = 0;
        let status = call!(self, nvEncGetEncodeCaps(H264 => GUID, params.address() => usize, &mut value => &mut i32));
        (status, value)
    }

    pub fn guid_count(&self) -> (u32, u32) {
        let mut count = 0;
        (call!(self, nvEncGetEncodeGUIDCount(&mut count => &mut u32)), count)
    }

    pub fn old_preset_config(&self) -> u32 {
        let params = Params::<NV_ENC_PRESET_CONFIG>::new(NV_ENC_PRESET_CONFIG_VER);
        call!(self, nvEncGetEncodePresetConfig(H264 => GUID, NV_ENC_PRESET_P4_GUID => GUID, params.address() => usize))
    }

    /// The low-latency configuration of P4, as the driver fills it.
    pub fn preset_config(&self, inner_version: u32) -> (u32, Params<NV_ENC_CONFIG>) {
        let mut params = Params::<NV_ENC_PRESET_CONFIG>::new(NV_ENC_PRESET_CONFIG_VER);
        let start = offset_of!(NV_ENC_PRESET_CONFIG, presetCfg);
        params.put(start, inner_version);
        let status = call!(self, nvEncGetEncodePresetConfigEx(
            H264 => GUID, NV_ENC_PRESET_P4_GUID => GUID, 2 => u32, params.address() => usize
        ));
        let mut config = Params::<NV_ENC_CONFIG>::new(0);
        let words = config.words.len();
        config.words.copy_from_slice(&params.words[start / 8..start / 8 + words]);
        (status, config)
    }

    pub fn initialize(&self, params: &Params<NV_ENC_INITIALIZE_PARAMS>) -> u32 {
        call!(self, nvEncInitializeEncoder(params.address() => usize))
    }

    /// Reconfigures to `init`, with `resetEncoder` and `forceIDR`.
    pub fn reconfigure(&self, init: &Params<NV_ENC_INITIALIZE_PARAMS>, reset: bool, idr: bool) -> u32 {
        let mut params = Params::<NV_ENC_RECONFIGURE_PARAMS>::new(NV_ENC_RECONFIGURE_PARAMS_VER);
        let start = offset_of!(NV_ENC_RECONFIGURE_PARAMS, reInitEncodeParams) / 8;
        params.words[start..start + init.words.len()].copy_from_slice(&init.words);
        let bits = offset_of!(NV_ENC_RECONFIGURE_PARAMS, _bitfield_1);
        params.bit(bits, 0, reset).bit(bits, 1, idr);
        call!(self, nvEncReconfigureEncoder(params.address() => usize))
    }

    pub fn create_bitstream(&self) -> (u32, usize) {
        let params = Params::<NV_ENC_CREATE_BITSTREAM_BUFFER>::new(NV_ENC_CREATE_BITSTREAM_BUFFER_VER);
        let status = call!(self, nvEncCreateBitstreamBuffer(params.address() => usize));
        (status, params.pointer(offset_of!(NV_ENC_CREATE_BITSTREAM_BUFFER, bitstreamBuffer)))
    }

    pub fn destroy_bitstream(&self, buffer: usize) -> u32 {
        call!(self, nvEncDestroyBitstreamBuffer(buffer => usize))
    }

    pub fn register(&self, resource: usize, kind: u32, size: (u32, u32), pitch: u32) -> (u32, usize) {
        self.register_as(NV12, resource, kind, size, pitch)
    }

    pub fn register_as(&self, format: u32, resource: usize, kind: u32, size: (u32, u32), pitch: u32) -> (u32, usize) {
        let mut params = Params::<NV_ENC_REGISTER_RESOURCE>::new(NV_ENC_REGISTER_RESOURCE_VER);
        params
            .put(offset_of!(NV_ENC_REGISTER_RESOURCE, resourceType), kind)
            .put(offset_of!(NV_ENC_REGISTER_RESOURCE, width), size.0)
            .put(offset_of!(NV_ENC_REGISTER_RESOURCE, height), size.1)
            .put(offset_of!(NV_ENC_REGISTER_RESOURCE, pitch), pitch)
            .put(offset_of!(NV_ENC_REGISTER_RESOURCE, bufferFormat), format)
            .put_pointer(offset_of!(NV_ENC_REGISTER_RESOURCE, resourceToRegister), resource);
        let status = call!(self, nvEncRegisterResource(params.address() => usize));
        (status, params.pointer(offset_of!(NV_ENC_REGISTER_RESOURCE, registeredResource)))
    }

    pub fn unregister(&self, resource: usize) -> u32 {
        call!(self, nvEncUnregisterResource(resource => usize))
    }

    pub fn map(&self, resource: usize) -> (u32, usize) {
        let mut params = Params::<NV_ENC_MAP_INPUT_RESOURCE>::new(NV_ENC_MAP_INPUT_RESOURCE_VER);
        params.put_pointer(offset_of!(NV_ENC_MAP_INPUT_RESOURCE, registeredResource), resource);
        let status = call!(self, nvEncMapInputResource(params.address() => usize));
        (status, params.pointer(offset_of!(NV_ENC_MAP_INPUT_RESOURCE, mappedResource)))
    }

    pub fn unmap(&self, mapped: usize) -> u32 {
        call!(self, nvEncUnmapInputResource(mapped => usize))
    }

    pub fn picture(size: (u32, u32), mapped: usize, buffer: usize, flags: u32) -> Params<NV_ENC_PIC_PARAMS> {
        let mut params = Params::<NV_ENC_PIC_PARAMS>::new(NV_ENC_PIC_PARAMS_VER);
        params
            .put(offset_of!(NV_ENC_PIC_PARAMS, inputWidth), size.0)
            .put(offset_of!(NV_ENC_PIC_PARAMS, inputHeight), size.1)
            .put(offset_of!(NV_ENC_PIC_PARAMS, encodePicFlags), flags)
            .put(offset_of!(NV_ENC_PIC_PARAMS, bufferFmt), NV12)
            .put(offset_of!(NV_ENC_PIC_PARAMS, pictureStruct), 1)
            .put_pointer(offset_of!(NV_ENC_PIC_PARAMS, inputBuffer), mapped)
            .put_pointer(offset_of!(NV_ENC_PIC_PARAMS, outputBitstream), buffer);
        params
    }

    pub fn encode(&self, picture: &Params<NV_ENC_PIC_PARAMS>) -> u32 {
        call!(self, nvEncEncodePicture(picture.address() => usize))
    }

    /// Maps an input, encodes `picture` from it, and fetches what came of it: the bytes of the access unit and the picture
    /// type, or the status of the call that failed.
    pub fn encode_from(
        &self,
        registered: usize,
        buffer: usize,
        picture: impl FnOnce(usize) -> Params<NV_ENC_PIC_PARAMS>,
    ) -> Result<(Vec<u8>, u32), u32> {
        let ok = |status: u32| if status == 0 { Ok(()) } else { Err(status) };
        let (status, mapped) = self.map(registered);
        ok(status)?;
        let fetched = ok(self.encode(&picture(mapped))).and_then(|()| {
            let (status, stream, kind) = self.lock(buffer);
            ok(status)?;
            ok(self.unlock(buffer))?;
            Ok((stream, kind))
        });
        ok(self.unmap(mapped))?;
        fetched
    }

    /// The status, the bytes of the access unit, and the picture type.
    pub fn lock(&self, buffer: usize) -> (u32, Vec<u8>, u32) {
        let mut params = Params::<NV_ENC_LOCK_BITSTREAM>::new(NV_ENC_LOCK_BITSTREAM_VER);
        params.put_pointer(offset_of!(NV_ENC_LOCK_BITSTREAM, outputBitstream), buffer);
        let status = call!(self, nvEncLockBitstream(params.address() => usize));
        if status != 0 {
            return (status, Vec::new(), 0);
        }
        let start = params.pointer(offset_of!(NV_ENC_LOCK_BITSTREAM, bitstreamBufferPtr)) as *const u8;
        let bytes = params.get(offset_of!(NV_ENC_LOCK_BITSTREAM, bitstreamSizeInBytes)) as usize;
        // SAFETY: a locked bitstream is readable until it is unlocked, which has not happened.
        let stream = unsafe { std::slice::from_raw_parts(start, bytes) }.to_vec();
        (0, stream, params.get(offset_of!(NV_ENC_LOCK_BITSTREAM, pictureType)))
    }

    pub fn unlock(&self, buffer: usize) -> u32 {
        call!(self, nvEncUnlockBitstream(buffer => usize))
    }

    pub fn sequence_params(&self, room: usize) -> (u32, Vec<u8>) {
        let mut buffer = vec![0_u8; room];
        let mut size = 0_u32;
        let mut params = Params::<NV_ENC_SEQUENCE_PARAM_PAYLOAD>::new(NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER);
        params
            .put(offset_of!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, inBufferSize), room as u32)
            .put_pointer(offset_of!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, spsppsBuffer), buffer.as_mut_ptr() as usize)
            .put_pointer(offset_of!(NV_ENC_SEQUENCE_PARAM_PAYLOAD, outSPSPPSPayloadSize), (&raw mut size) as usize);
        let status = call!(self, nvEncGetSequenceParams(params.address() => usize));
        buffer.truncate(size as usize);
        (status, buffer)
    }

    pub fn set_streams(&self, input: &mut usize, output: &mut usize) -> u32 {
        call!(self, nvEncSetIOCudaStreams(input => &mut usize, output => &mut usize))
    }

    pub fn last_error(&self) -> String {
        let address = self.list.pointer(offset_of!(NV_ENCODE_API_FUNCTION_LIST, nvEncGetLastErrorString));
        type Function = unsafe extern "C" fn(usize) -> *const std::ffi::c_char;
        // SAFETY: the slot's signature, as nvEncodeAPI.h gives it.
        let function = unsafe { std::mem::transmute::<usize, Function>(address) };
        // SAFETY: the text is a C string that lives until the session's next call.
        let text = unsafe { std::ffi::CStr::from_ptr(function(self.handle)) };
        text.to_string_lossy().into_owned()
    }

    pub fn destroy(&self) -> u32 {
        call!(self, nvEncDestroyEncoder())
    }
}

/// The configuration of a live stream at 30 pictures a second, to be changed by a test.
pub struct Settings {
    pub init: Params<NV_ENC_INITIALIZE_PARAMS>,
    pub config: Params<NV_ENC_CONFIG>,
}

impl Settings {
    pub fn live(encoder: &Encoder, size: (u32, u32)) -> Settings {
        let (status, mut config) = encoder.preset_config(NV_ENC_CONFIG_VER);
        assert_eq!(status, 0);
        // Nothing of the preset is kept, which may hold anything.
        config.words.fill(0);
        macro_rules! h264 {
            ($($field:tt)*) => { offset_of!(NV_ENC_CONFIG, encodeCodecConfig.h264Config.$($field)*) };
        }
        config
            .put(offset_of!(NV_ENC_CONFIG, version), NV_ENC_CONFIG_VER)
            .put_guid(offset_of!(NV_ENC_CONFIG, profileGUID), NV_ENC_H264_PROFILE_HIGH_GUID)
            .put(offset_of!(NV_ENC_CONFIG, frameIntervalP), 1)
            .put(offset_of!(NV_ENC_CONFIG, frameFieldMode), 1)
            .put(offset_of!(NV_ENC_CONFIG, rcParams.version), NV_ENC_RC_PARAMS_VER)
            .put(offset_of!(NV_ENC_CONFIG, rcParams.rateControlMode), 2)
            .put(h264!(chromaFormatIDC), 1)
            .put(h264!(sliceMode), 3)
            .put(h264!(sliceModeData), 1)
            .put(offset_of!(NV_ENC_CONFIG, gopLength), 5)
            .put(offset_of!(NV_ENC_CONFIG, rcParams.averageBitRate), 4_000_000)
            .put(h264!(idrPeriod), 5)
            .bit(h264!(_bitfield_1), 12, true) // repeatSPSPPS
            .put(h264!(h264VUIParameters.videoSignalTypePresentFlag), 1)
            .put(h264!(h264VUIParameters.videoFormat), 5)
            .put(h264!(h264VUIParameters.colourDescriptionPresentFlag), 1)
            .put(h264!(h264VUIParameters.colourPrimaries), 1)
            .put(h264!(h264VUIParameters.transferCharacteristics), 1)
            .put(h264!(h264VUIParameters.colourMatrix), 1)
            .put(h264!(h264VUIParameters.chromaSampleLocationFlag), 1)
            .put(h264!(h264VUIParameters.bitstreamRestrictionFlag), 1)
            .put(h264!(h264VUIParameters.timingInfoPresentFlag), 1);
        let mut init = Params::<NV_ENC_INITIALIZE_PARAMS>::new(NV_ENC_INITIALIZE_PARAMS_VER);
        init.put_guid(offset_of!(NV_ENC_INITIALIZE_PARAMS, encodeGUID), H264)
            .put_guid(offset_of!(NV_ENC_INITIALIZE_PARAMS, presetGUID), NV_ENC_PRESET_P4_GUID)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, encodeWidth), size.0)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, encodeHeight), size.1)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, darWidth), size.0)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, darHeight), size.1)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, frameRateNum), 30)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, frameRateDen), 1)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, enablePTD), 1)
            .put(offset_of!(NV_ENC_INITIALIZE_PARAMS, tuningInfo), 2)
            .put_pointer(offset_of!(NV_ENC_INITIALIZE_PARAMS, encodeConfig), config.address());
        Settings { init, config }
    }
}
