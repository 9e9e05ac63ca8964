//! The driver's functions that this crate calls, each answering with the number that C gives.
//!
//! cudarc has them answer with a Rust enum of the statuses of its time, and a newer driver's status in that would be
//! undefined behaviour. Its types and its signatures are what these are checked against; they come from the one library
//! that was opened, and one that it lacks is told of before any is called.

#![allow(non_snake_case, reason = "the driver's own names")]

use crate::os::dl;
use cudarc::driver::sys;
use libloading::Library;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::ptr::NonNull;

macro_rules! calls {
    (
        known to cudarc { $($known:ident($($known_parameter:ty),*);)* }
        unknown to cudarc { $($unknown:ident($($unknown_parameter:ty),*);)* }
    ) => {
        $(const _: unsafe fn($($known_parameter),*) -> sys::CUresult = sys::$known;)*

        #[derive(Debug)]
        pub(crate) struct Calls {
            $(pub(crate) $known: unsafe extern "C" fn($($known_parameter),*) -> c_uint,)*
            $(pub(crate) $unknown: unsafe extern "C" fn($($unknown_parameter),*) -> c_uint,)*
        }

        impl Calls {
            /// Finds them all.
            ///
            /// # Errors
            /// The names that `library` lacks.
            pub(crate) fn find(library: &Library) -> Result<Self, String> {
                let names = [$(stringify!($known),)* $(stringify!($unknown),)*];
                let [$($known,)* $($unknown,)*] = dl::symbols(library, names)?;
                // SAFETY: the addresses were found under these names. The parameters are those that cudarc gives to each,
                // made from cuda.h and checked above, or those of cudaGL.h; a C enum without a negative value is
                // returned as an unsigned int.
                unsafe {
                    Ok(Self {
                        $($known: std::mem::transmute::<
                            NonNull<c_void>, unsafe extern "C" fn($($known_parameter),*) -> c_uint
                        >($known),)*
                        $($unknown: std::mem::transmute::<
                            NonNull<c_void>, unsafe extern "C" fn($($unknown_parameter),*) -> c_uint
                        >($unknown),)*
                    })
                }
            }
        }
    };
}

calls! {
    known to cudarc {
        cuDriverGetVersion(*mut c_int);
        cuInit(c_uint);
        cuDeviceGet(*mut sys::CUdevice, c_int);
        cuDeviceGetCount(*mut c_int);
        cuDeviceGetName(*mut c_char, c_int, sys::CUdevice);
        cuDeviceGetAttribute(*mut c_int, sys::CUdevice_attribute, sys::CUdevice);
        cuDevicePrimaryCtxRetain(*mut sys::CUcontext, sys::CUdevice);
        cuDevicePrimaryCtxRelease_v2(sys::CUdevice);
        cuCtxSetCurrent(sys::CUcontext);
        cuCtxSetLimit(sys::CUlimit, usize);
        cuMemAlloc_v2(*mut sys::CUdeviceptr, usize);
        cuMemAllocPitch_v2(*mut sys::CUdeviceptr, *mut usize, usize, usize, c_uint);
        cuMemFree_v2(sys::CUdeviceptr);
        cuMemcpy2D_v2(*const sys::CUDA_MEMCPY2D);
        cuMemcpyHtoD_v2(sys::CUdeviceptr, *const c_void, usize);
        cuStreamSynchronize(sys::CUstream);
        cuGraphicsMapResources(c_uint, *mut sys::CUgraphicsResource, sys::CUstream);
        cuGraphicsUnmapResources(c_uint, *mut sys::CUgraphicsResource, sys::CUstream);
        cuGraphicsSubResourceGetMappedArray(*mut sys::CUarray, sys::CUgraphicsResource, c_uint, c_uint);
        cuGraphicsUnregisterResource(sys::CUgraphicsResource);
    }

    unknown to cudarc {
        cuGLGetDevices_v2(*mut c_uint, *mut sys::CUdevice, c_uint, c_uint);
        cuGraphicsGLRegisterImage(*mut sys::CUgraphicsResource, c_uint, c_uint, c_uint);
    }
}
