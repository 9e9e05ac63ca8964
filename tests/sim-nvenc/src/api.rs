//! The library's two exports, and the function list with every slot filled.

use crate::caller::{LEDGER, Out, Struct, answer};
use crate::status::{Answer, UNIMPLEMENTED, failed};
use crate::{encode, input, output, query, session, version};
use nvidia_video_codec_sdk::sys::nvEncodeAPI::{NV_ENCODE_API_FUNCTION_LIST, NV_ENCODE_API_FUNCTION_LIST_VER};
use sim_ledger::{Call, setting};

/// The newest API version: `major << 4 | minor`.
///
/// # Safety
///
/// `version` is null or valid for a write.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn NvEncodeAPIGetMaxSupportedVersion(version: Out<u32>) -> u32 {
    static CALL: Call = Call::new("NvEncodeAPIGetMaxSupportedVersion");
    if let Some(status) = LEDGER.enter(&CALL) {
        return status;
    }
    let (major, minor) = version::newest();
    answer(&CALL, 0, version.put(major << 4 | minor))
}

/// Fills the function list.
///
/// # Safety
///
/// `list` is null or a whole function list.
#[unsafe(no_mangle)]
#[allow(non_snake_case)]
pub unsafe extern "C" fn NvEncodeAPICreateInstance(list: Struct<NV_ENCODE_API_FUNCTION_LIST>) -> u32 {
    static CALL: Call = Call::new("NvEncodeAPICreateInstance");
    if let Some(status) = LEDGER.enter(&CALL) {
        return status;
    }
    answer(&CALL, 0, fill(&list))
}

encoder_call! {
    fn NvEncNotSimulated(encoder;) { Err(failed(UNIMPLEMENTED)) }
}

fn fill(list: &Struct<NV_ENCODE_API_FUNCTION_LIST>) -> Answer {
    let list = list.open(NV_ENCODE_API_FUNCTION_LIST_VER)?;
    macro_rules! fill {
        ($($slot:ident = $function:path,)*) => {
            $(
                let missing = setting::is(setting::MISSING_SLOT, stringify!($slot));
                let address = if missing { 0 } else { $function as *const () as usize };
                list.put_pointer(at!(NV_ENCODE_API_FUNCTION_LIST, $slot), address);
            )*
        };
    }
    fill! {
        nvEncOpenEncodeSession = NvEncNotSimulated,
        nvEncGetEncodeGUIDCount = query::NvEncGetEncodeGUIDCount,
        nvEncGetEncodeProfileGUIDCount = query::NvEncGetEncodeProfileGUIDCount,
        nvEncGetEncodeProfileGUIDs = query::NvEncGetEncodeProfileGUIDs,
        nvEncGetEncodeGUIDs = query::NvEncGetEncodeGUIDs,
        nvEncGetInputFormatCount = query::NvEncGetInputFormatCount,
        nvEncGetInputFormats = query::NvEncGetInputFormats,
        nvEncGetEncodeCaps = query::NvEncGetEncodeCaps,
        nvEncGetEncodePresetCount = query::NvEncGetEncodePresetCount,
        nvEncGetEncodePresetGUIDs = query::NvEncGetEncodePresetGUIDs,
        nvEncGetEncodePresetConfig = query::NvEncGetEncodePresetConfig,
        nvEncGetEncodePresetConfigEx = query::NvEncGetEncodePresetConfigEx,
        nvEncInitializeEncoder = session::NvEncInitializeEncoder,
        nvEncCreateInputBuffer = NvEncNotSimulated,
        nvEncDestroyInputBuffer = NvEncNotSimulated,
        nvEncCreateBitstreamBuffer = output::NvEncCreateBitstreamBuffer,
        nvEncDestroyBitstreamBuffer = output::NvEncDestroyBitstreamBuffer,
        nvEncEncodePicture = encode::NvEncEncodePicture,
        nvEncLockBitstream = output::NvEncLockBitstream,
        nvEncUnlockBitstream = output::NvEncUnlockBitstream,
        nvEncLockInputBuffer = NvEncNotSimulated,
        nvEncUnlockInputBuffer = NvEncNotSimulated,
        nvEncGetEncodeStats = NvEncNotSimulated,
        nvEncGetSequenceParams = encode::NvEncGetSequenceParams,
        nvEncGetSequenceParamEx = encode::NvEncGetSequenceParamEx,
        nvEncRegisterAsyncEvent = NvEncNotSimulated,
        nvEncUnregisterAsyncEvent = NvEncNotSimulated,
        nvEncMapInputResource = input::NvEncMapInputResource,
        nvEncUnmapInputResource = input::NvEncUnmapInputResource,
        nvEncDestroyEncoder = session::NvEncDestroyEncoder,
        nvEncInvalidateRefFrames = NvEncNotSimulated,
        nvEncOpenEncodeSessionEx = session::NvEncOpenEncodeSessionEx,
        nvEncRegisterResource = input::NvEncRegisterResource,
        nvEncUnregisterResource = input::NvEncUnregisterResource,
        nvEncReconfigureEncoder = session::NvEncReconfigureEncoder,
        nvEncCreateMVBuffer = NvEncNotSimulated,
        nvEncDestroyMVBuffer = NvEncNotSimulated,
        nvEncRunMotionEstimationOnly = NvEncNotSimulated,
        nvEncGetLastErrorString = session::NvEncGetLastErrorString,
        nvEncSetIOCudaStreams = session::NvEncSetIOCudaStreams,
        nvEncRestoreEncoderState = NvEncNotSimulated,
        nvEncLookaheadPicture = NvEncNotSimulated,
    }
    Ok(())
}
