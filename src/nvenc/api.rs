//! libnvidia-encode: loading it, its version, its table of functions.

use super::params::{Param, get, set};
use super::status::{Status, stub_error};
use crate::error::Error;
use crate::nvidia::{API_FLOOR, driver_capabilities, driver_floor};
use crate::os::dl;
use nvidia_video_codec_sdk::sys::nvEncodeAPI as sys;
use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// Version of the API that this crate speaks, as `NvEncodeAPIGetMaxSupportedVersion` counts.
const NEEDED: u32 = sys::NVENCAPI_MAJOR_VERSION << 4 | sys::NVENCAPI_MINOR_VERSION;

const _: () = assert!(
    sys::NVENCAPI_MAJOR_VERSION == API_FLOOR.0 && sys::NVENCAPI_MINOR_VERSION == API_FLOOR.1,
    "the bindings speak the API of the oldest driver that is asked for"
);

const INSTALL_DRIVER: &str =
    concat!("install NVIDIA driver ", driver_floor!(), " or newer; in a container set ", driver_capabilities!());

type GetMaxSupportedVersion = unsafe extern "C" fn(*mut u32) -> u32;
type CreateInstance = unsafe extern "C" fn(*mut sys::NV_ENCODE_API_FUNCTION_LIST) -> u32;
type Handle = *mut c_void;

/// Declares the table of the functions that are used here: name, place in the vendor's list, and parameters. Each
/// gives its status as a number.
macro_rules! functions {
    ($($name:ident: $slot:ident($($parameter:ty),*);)+) => {
        /// libnvidia-encode, loaded.
        #[derive(Debug)]
        pub struct Api {
            version: u32,
            last_error: Option<unsafe extern "C" fn(Handle) -> *const c_char>,
            $(pub(super) $name: unsafe extern "C" fn($($parameter),*) -> u32,)+
        }

        impl Api {
            fn from_list(version: u32, list: *mut sys::NV_ENCODE_API_FUNCTION_LIST) -> Result<Self, String> {
                let mut missing = Vec::new();
                $(
                    let $name = get!(list, $slot);
                    let $name: Option<unsafe extern "C" fn($($parameter),*) -> u32> =
                        // SAFETY: both types are an optional address of a C function with these parameters; they differ
                        // only in how the status is named, which C passes as a 32-bit number.
                        unsafe { std::mem::transmute($name) };
                    if $name.is_none() {
                        missing.push(stringify!($slot));
                    }
                )+
                if !missing.is_empty() {
                    return Err(missing.join(", "));
                }
                Ok(Self {
                    version,
                    last_error: get!(list, nvEncGetLastErrorString),
                    $($name: $name.expect("none is missing"),)+
                })
            }
        }
    };
}

functions! {
    open_session: nvEncOpenEncodeSessionEx(*mut sys::NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS, *mut Handle);
    destroy_encoder: nvEncDestroyEncoder(Handle);
    encode_guid_count: nvEncGetEncodeGUIDCount(Handle, *mut u32);
    encode_guids: nvEncGetEncodeGUIDs(Handle, *mut sys::GUID, u32, *mut u32);
    encode_caps: nvEncGetEncodeCaps(Handle, sys::GUID, *mut sys::NV_ENC_CAPS_PARAM, *mut i32);
    preset_config: nvEncGetEncodePresetConfigEx(Handle, sys::GUID, sys::GUID, sys::NV_ENC_TUNING_INFO, *mut sys::NV_ENC_PRESET_CONFIG);
    initialize_encoder: nvEncInitializeEncoder(Handle, *mut sys::NV_ENC_INITIALIZE_PARAMS);
    create_bitstream: nvEncCreateBitstreamBuffer(Handle, *mut sys::NV_ENC_CREATE_BITSTREAM_BUFFER);
    destroy_bitstream: nvEncDestroyBitstreamBuffer(Handle, *mut c_void);
    register_resource: nvEncRegisterResource(Handle, *mut sys::NV_ENC_REGISTER_RESOURCE);
    unregister_resource: nvEncUnregisterResource(Handle, *mut c_void);
    map_input: nvEncMapInputResource(Handle, *mut sys::NV_ENC_MAP_INPUT_RESOURCE);
    unmap_input: nvEncUnmapInputResource(Handle, *mut c_void);
    encode_picture: nvEncEncodePicture(Handle, *mut sys::NV_ENC_PIC_PARAMS);
    lock_bitstream: nvEncLockBitstream(Handle, *mut sys::NV_ENC_LOCK_BITSTREAM);
    unlock_bitstream: nvEncUnlockBitstream(Handle, *mut c_void);
}

impl Api {
    /// Loads libnvidia-encode, once in a process.
    ///
    /// # Errors
    /// It is missing, incomplete, or speaks an older API.
    pub fn load() -> Result<&'static Self, Error> {
        static API: OnceLock<Api> = OnceLock::new();
        // Two threads may get here at once; then both load the same library and one result is kept.
        match API.get() {
            Some(api) => Ok(api),
            None => Self::load_now().map(|api| API.get_or_init(|| api)),
        }
    }

    fn load_now() -> Result<Self, Error> {
        let library = dl::open("libnvidia-encode.so.1").map_err(|why| {
            Error::machine("no-nvenc-library", "the NVIDIA driver has no NVENC library", INSTALL_DRIVER).caused_by(why)
        })?;
        let incomplete = |missing: String| {
            Error::machine(
                "nvidia-driver-old",
                format!("the NVIDIA driver's libnvidia-encode.so.1 lacks {missing}"),
                INSTALL_DRIVER,
            )
        };
        let [get_version, create] =
            dl::symbols(library, ["NvEncodeAPIGetMaxSupportedVersion", "NvEncodeAPICreateInstance"])
                .map_err(incomplete)?;
        // SAFETY: the addresses were found under these names, and the types are those of nvEncodeAPI.h, with the status
        // as the number that it is in C.
        let (get_version, create) = unsafe {
            (
                std::mem::transmute::<std::ptr::NonNull<c_void>, GetMaxSupportedVersion>(get_version),
                std::mem::transmute::<std::ptr::NonNull<c_void>, CreateInstance>(create),
            )
        };
        let check = |function: &str, status: u32| match Status(status) {
            Status::SUCCESS => Ok(()),
            status => Err(status.error(function, "")),
        };

        let mut found = 0;
        // SAFETY: the function writes one number.
        check("NvEncodeAPIGetMaxSupportedVersion", unsafe { get_version(&mut found) })?;
        if found == 0 {
            return Err(stub_error("NvEncodeAPIGetMaxSupportedVersion names no version"));
        }
        if found < NEEDED {
            return Err(Error::machine(
                "nvidia-driver-old",
                format!("the NVIDIA driver is too old: it speaks NVENC {}, {} is needed", show(found), show(NEEDED)),
                INSTALL_DRIVER,
            ));
        }
        let mut list = Param::<sys::NV_ENCODE_API_FUNCTION_LIST>::zeroed();
        set!(list.as_mut_ptr(), version, sys::NV_ENCODE_API_FUNCTION_LIST_VER);
        // SAFETY: the list is of the size that its version word says.
        check("NvEncodeAPICreateInstance", unsafe { create(list.as_mut_ptr()) })?;
        Self::from_list(found, list.as_mut_ptr()).map_err(incomplete)
    }

    /// The newest version of the API that the driver speaks, as `12.2`.
    pub fn version(&self) -> String {
        show(self.version)
    }

    /// What the driver says of the last failure in this session. Not to be relied on: it is often empty or wrong.
    pub(super) fn last_error(&self, session: Handle) -> String {
        let Some(last_error) = self.last_error else { return String::new() };
        // SAFETY: `session` is open, and the text is the driver's until the next call.
        let text = unsafe { last_error(session) };
        if text.is_null() {
            return String::new();
        }
        // SAFETY: the driver's texts end with a zero byte.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        text.trim_start_matches([':', ' ']).trim_end().to_owned()
    }
}

fn show(version: u32) -> String {
    format!("{}.{}", version >> 4, version & 0xf)
}
