//! The CUDA driver API by name, every status as a number.

#![allow(dead_code)] // Every test program uses its own part.

use libloading::Library;
use std::sync::OnceLock;

pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    // SAFETY: the simulated driver is on the library path; its initialisers only register a report.
    LIBRARY.get_or_init(|| unsafe { Library::new("libcuda.so.1") }.expect("libcuda.so.1"))
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Copy2d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_type: u32,
    pub src_host: usize,
    pub src_device: usize,
    pub src_array: usize,
    pub src_pitch: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_type: u32,
    pub dst_host: usize,
    pub dst_device: usize,
    pub dst_array: usize,
    pub dst_pitch: usize,
    pub width: usize,
    pub height: usize,
}

pub const HOST: u32 = 1;
pub const DEVICE: u32 = 2;
pub const ARRAY: u32 = 3;

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ArrayDescriptor {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
    pub format: u32,
    pub channels: u32,
    pub flags: u32,
}

macro_rules! calls {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(
            #[allow(non_snake_case)]
            pub fn $name($($arg: $type),*) -> u32 {
                type Function = unsafe extern "C" fn($($type),*) -> u32;
                let name = concat!(stringify!($name), "\0");
                // SAFETY: the type is the signature that cuda.h or cudaGL.h gives for the name.
                let function = unsafe { library().get::<Function>(name.as_bytes()) };
                let function = function.unwrap_or_else(|problem| panic!("{problem}"));
                // SAFETY: references stand for pointers to filled values, and the numbers of the
                // tests are handles and addresses that the driver itself checks.
                unsafe { function($($arg),*) }
            }
        )*
    };
}

calls! {
    cuInit(flags: u32);
    cuDriverGetVersion(version: &mut i32);
    cuDeviceGetCount(count: &mut i32);
    cuDeviceGet(device: &mut i32, ordinal: i32);
    cuDeviceGetName(name: &mut [u8; 64], size: i32, device: i32);
    cuDeviceGetPCIBusId(text: &mut [u8; 64], size: i32, device: i32);
    cuDeviceGetUuid_v2(uuid: &mut [u8; 16], device: i32);
    cuDeviceGetAttribute(value: &mut i32, attribute: u32, device: i32);
    cuGLGetDevices_v2(count: &mut u32, devices: &mut [i32; 4], capacity: u32, list: u32);
    cuDevicePrimaryCtxRetain(context: &mut usize, device: i32);
    cuDevicePrimaryCtxRelease_v2(device: i32);
    cuCtxSetCurrent(context: usize);
    cuCtxGetCurrent(context: &mut usize);
    cuCtxPushCurrent_v2(context: usize);
    cuCtxPopCurrent_v2(context: &mut usize);
    cuGraphicsGLRegisterImage(resource: &mut usize, texture: u32, target: u32, flags: u32);
    cuGraphicsMapResources(count: u32, resources: &[usize; 2], stream: usize);
    cuGraphicsUnmapResources(count: u32, resources: &[usize; 2], stream: usize);
    cuGraphicsSubResourceGetMappedArray(array: &mut usize, resource: usize, layer: u32, level: u32);
    cuGraphicsUnregisterResource(resource: usize);
    cuMemAlloc_v2(address: &mut usize, bytes: usize);
    cuMemAllocPitch_v2(address: &mut usize, pitch: &mut usize, width: usize, height: usize, element: u32);
    cuMemFree_v2(address: usize);
    cuMemcpy2D_v2(copy: &Copy2d);
    cuMemcpyHtoD_v2(to: usize, from: usize, bytes: usize);
    cuMemcpy2DAsync_v2(copy: &Copy2d, stream: usize);
    cuArray3DCreate_v2(array: &mut usize, descriptor: &ArrayDescriptor);
    cuArray3DGetDescriptor_v2(descriptor: &mut ArrayDescriptor, array: usize);
    cuArrayDestroy(array: usize);
    cuStreamCreate(stream: &mut usize, flags: u32);
    cuStreamSynchronize(stream: usize);
    cuStreamDestroy_v2(stream: usize);
    cuGetErrorName(error: u32, name: &mut *const std::ffi::c_char);
    cuLaunchKernel();
}

/// `cuInit` and the primary context of device 0, current on this thread.
pub fn start() -> usize {
    let mut context = 0;
    assert_eq!(cuInit(0), 0);
    assert_eq!(cuDevicePrimaryCtxRetain(&mut context, 0), 0);
    assert_eq!(cuCtxSetCurrent(context), 0);
    context
}
