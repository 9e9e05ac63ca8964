//! Inputs: device memory registered with a session, mapped for a picture, and released again.
//!
//! As `NV_ENC_BUFFER_FORMAT_IYUV` the planes of Y, Cb and Cr adjoin, and rows of Cb and Cr are half the pitch apart.

use crate::caller::{Fields, Struct};
use crate::config::Config;
use crate::cuda::{Cuda, Place};
use crate::session::{Session, initialised, session};
use crate::status::{
    Answer, INVALID_CALL, INVALID_PARAM, INVALID_PTR, MAP_FAILED, RESOURCE_NOT_MAPPED, RESOURCE_NOT_REGISTERED,
    RESOURCE_REGISTER_FAILED, Refusal, UNSUPPORTED_PARAM, broken,
};
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sdk;
use sdk::{NV_ENC_MAP_INPUT_RESOURCE, NV_ENC_REGISTER_RESOURCE};

pub(crate) const NV12: u32 = 1;
pub(crate) const IYUV: u32 = 0x100;
const CUDADEVICEPTR: u32 = 1;
const CUDAARRAY: u32 = 2;
const SURFACE_LDST: u32 = 2;
const UNSIGNED_INT8: u32 = 1;

#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) place: Place,
    pub(crate) format: u32,
    pub(crate) width: u32,
    /// Also the row at which chroma begins.
    pub(crate) height: u32,
    /// The handle that stands for it while it is mapped.
    pub(crate) mapped: Option<usize>,
}

/// Where the registered memory lies, if it may be registered at all.
fn place(cuda: &Cuda, params: &Fields<'_, NV_ENC_REGISTER_RESOURCE>) -> Result<Place, Refusal> {
    macro_rules! word {
        ($field:ident) => {
            params.word(at!(NV_ENC_REGISTER_RESOURCE, $field)) as usize
        };
    }
    let resource = params.pointer(at!(NV_ENC_REGISTER_RESOURCE, resourceToRegister));
    if resource == 0 {
        return Err(broken(INVALID_PTR, "null-resource"));
    }
    let (width, height, pitch) = (word!(width), word!(height), word!(pitch));
    if pitch % 4 != 0 {
        return Err(broken(INVALID_PARAM, "pitch-not-a-multiple-of-4"));
    }
    if pitch < width {
        return Err(broken(INVALID_PARAM, "pitch-below-width"));
    }
    match word!(resourceType) as u32 {
        CUDADEVICEPTR => {
            let there = cuda.bytes_from(resource).ok_or(broken(RESOURCE_REGISTER_FAILED, "not-device-memory"))?;
            if there < pitch * (height + height / 2) {
                return Err(broken(RESOURCE_REGISTER_FAILED, "memory-too-small"));
            }
            Ok(Place::Pitched { address: resource, pitch })
        }
        CUDAARRAY => {
            if word!(bufferFormat) as u32 != NV12 {
                return Err(broken(UNSUPPORTED_PARAM, "planes-in-an-array"));
            }
            let array = cuda.array(resource).ok_or(broken(RESOURCE_REGISTER_FAILED, "not-an-array"))?;
            if array.flags & SURFACE_LDST == 0 {
                return Err(broken(RESOURCE_REGISTER_FAILED, "array-without-surface-ldst"));
            }
            let fits = array.width >= width
                && array.height >= height + height / 2
                && (array.depth, array.channels, array.format) == (0, 1, UNSIGNED_INT8);
            match fits {
                true => Ok(Place::Array(resource)),
                false => Err(broken(RESOURCE_REGISTER_FAILED, "array-format-or-size")),
            }
        }
        _ => Err(broken(UNSUPPORTED_PARAM, "resource-type-not-cuda")),
    }
}

pub(crate) fn covers(config: &Config, width: u32, height: u32) -> Answer {
    match width >= config.width && height >= config.height {
        true => Ok(()),
        false => Err(broken(INVALID_PARAM, "input-smaller-than-picture")),
    }
}

encoder_call! {
    fn NvEncRegisterResource(encoder; params: Struct<NV_ENC_REGISTER_RESOURCE>) {
        let params = params.open(sdk::NV_ENC_REGISTER_RESOURCE_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        macro_rules! word {
            ($field:ident) => { params.word(at!(NV_ENC_REGISTER_RESOURCE, $field)) };
        }
        let format = word!(bufferFormat);
        if !matches!(format, NV12 | IYUV) || word!(bufferUsage) != 0 {
            return Err(broken(UNSUPPORTED_PARAM, "not-a-420-input"));
        }
        let (width, height) = (word!(width), word!(height));
        covers(session.config()?, width, height)?;
        let place = place(&session.cuda()?, &params)?;
        if session.inputs.values().any(|input| input.place == place) {
            return Err(broken(RESOURCE_REGISTER_FAILED, "registered-twice"));
        }
        let handle = session.new_handle();
        session.inputs.insert(handle, Input { place, format, width, height, mapped: None });
        params.put_pointer(at!(NV_ENC_REGISTER_RESOURCE, registeredResource), handle);
        Ok(())
    }
}

encoder_call! {
    fn NvEncUnregisterResource(encoder; resource: usize) {
        let mut sessions = session(encoder)?;
        let session = Session::of(&mut sessions, encoder)?;
        match session.inputs.get(&resource) {
            None => Err(broken(RESOURCE_NOT_REGISTERED, "not-registered")),
            Some(input) if input.mapped.is_some() => {
                Err(broken(INVALID_CALL, "unregistered-while-mapped"))
            }
            Some(_) => {
                session.inputs.remove(&resource);
                Ok(())
            }
        }
    }
}

encoder_call! {
    fn NvEncMapInputResource(encoder; params: Struct<NV_ENC_MAP_INPUT_RESOURCE>) {
        let params = params.open(sdk::NV_ENC_MAP_INPUT_RESOURCE_VER)?;
        let mut sessions = session(encoder)?;
        let session = initialised(&mut sessions, encoder)?;
        let resource = params.pointer(at!(NV_ENC_MAP_INPUT_RESOURCE, registeredResource));
        let handle = session.new_handle();
        let input = session
            .inputs
            .get_mut(&resource)
            .ok_or(broken(RESOURCE_NOT_REGISTERED, "not-registered"))?;
        if input.mapped.is_some() {
            return Err(broken(MAP_FAILED, "mapped-twice"));
        }
        input.mapped = Some(handle);
        let format = input.format;
        params.put_pointer(at!(NV_ENC_MAP_INPUT_RESOURCE, mappedResource), handle);
        params.put_word(at!(NV_ENC_MAP_INPUT_RESOURCE, mappedBufferFmt), format);
        Ok(())
    }
}

encoder_call! {
    fn NvEncUnmapInputResource(encoder; mapped: usize) {
        let mut sessions = session(encoder)?;
        let session = Session::of(&mut sessions, encoder)?;
        let input = session.inputs.values_mut().find(|input| input.mapped == Some(mapped));
        input.ok_or(broken(RESOURCE_NOT_MAPPED, "not-mapped"))?.mapped = None;
        if session.outputs.values().any(|output| output.waits_for(mapped)) {
            // The vendor leaves open what happens; here the picture is complete already.
            crate::caller::LEDGER.violation(&CALL, "unmapped-before-lock");
        }
        Ok(())
    }
}
