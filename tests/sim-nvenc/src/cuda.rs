//! The CUDA driver calls that an encoder needs, from whatever `libcuda.so.1` the process has.
//!
//! It copies from device memory to host memory and asks about handles; it never allocates or writes
//! device memory.

use std::sync::OnceLock;

type Status = u32;

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ArrayDescriptor {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) depth: usize,
    pub(crate) format: u32,
    pub(crate) channels: u32,
    pub(crate) flags: u32,
}

/// One side of `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Default)]
struct End {
    x_in_bytes: usize,
    y: usize,
    memory_type: u32,
    host: usize,
    device: usize,
    array: usize,
    pitch: usize,
}

/// `CUDA_MEMCPY2D`.
#[repr(C)]
struct Copy2d {
    source: End,
    target: End,
    width_in_bytes: usize,
    height: usize,
}

/// Where a picture lies on the device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// An address and the bytes from one row to the next.
    Pitched {
        address: usize,
        pitch: usize,
    },
    Array(usize),
}

struct Functions {
    push: unsafe extern "C" fn(usize) -> Status,
    pop: unsafe extern "C" fn(*mut usize) -> Status,
    copy: unsafe extern "C" fn(*const Copy2d) -> Status,
    range: unsafe extern "C" fn(*mut usize, *mut usize, usize) -> Status,
    descriptor: unsafe extern "C" fn(*mut ArrayDescriptor, usize) -> Status,
    wait: unsafe extern "C" fn(usize) -> Status,
    device: unsafe extern "C" fn(*mut i32) -> Status,
    uuid: unsafe extern "C" fn(*mut [u8; 16], i32) -> Status,
}

impl Functions {
    fn load() -> Option<Functions> {
        // SAFETY: the caller of the encoder loaded this very library before, so its initialisers
        // have run; it goes into a static for good.
        let cuda = Box::leak(Box::new(unsafe { libloading::Library::new("libcuda.so.1") }.ok()?));
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field's type is the signature that cuda.h gives for the name.
                *unsafe { cuda.get($name) }.ok()?
            };
        }
        Some(Functions {
            push: symbol!(b"cuCtxPushCurrent_v2\0"),
            pop: symbol!(b"cuCtxPopCurrent_v2\0"),
            copy: symbol!(b"cuMemcpy2D_v2\0"),
            range: symbol!(b"cuMemGetAddressRange_v2\0"),
            descriptor: symbol!(b"cuArray3DGetDescriptor_v2\0"),
            wait: symbol!(b"cuStreamSynchronize\0"),
            device: symbol!(b"cuCtxGetDevice\0"),
            uuid: symbol!(b"cuDeviceGetUuid\0"),
        })
    }
}

/// The driver with a session's context current; what was current before is so again when dropped.
pub(crate) struct Cuda {
    functions: &'static Functions,
}

/// Why the driver could not be used.
#[derive(Debug, PartialEq)]
pub(crate) enum Unusable {
    NoLibrary,
    BadContext,
}

impl Cuda {
    pub(crate) fn with(context: usize) -> Result<Cuda, Unusable> {
        static FUNCTIONS: OnceLock<Option<Functions>> = OnceLock::new();
        let functions = FUNCTIONS.get_or_init(Functions::load).as_ref();
        let functions = functions.ok_or(Unusable::NoLibrary)?;
        // SAFETY: the caller of the API promised that the session's device is a CUDA context that
        // outlives the session.
        match unsafe { (functions.push)(context) } {
            0 => Ok(Cuda { functions }),
            _ => Err(Unusable::BadContext),
        }
    }

    /// The machine's number of the GPU that the context is on, which ends its UUID.
    pub(crate) fn gpu(&self) -> Option<u8> {
        let (mut device, mut uuid) = (0, [0; 16]);
        // SAFETY: a context is current, and both out-pointers are ours.
        let known =
            unsafe { (self.functions.device)(&mut device) == 0 && (self.functions.uuid)(&mut uuid, device) == 0 };
        known.then(|| uuid[15])
    }

    /// The bytes from `address` to the end of its allocation.
    pub(crate) fn bytes_from(&self, address: usize) -> Option<usize> {
        let (mut base, mut bytes) = (0, 0);
        // SAFETY: both out-pointers are ours; the driver checks the address.
        let status = unsafe { (self.functions.range)(&mut base, &mut bytes, address) };
        (status == 0).then(|| (base + bytes).saturating_sub(address))
    }

    pub(crate) fn array(&self, array: usize) -> Option<ArrayDescriptor> {
        let mut descriptor = ArrayDescriptor::default();
        // SAFETY: the out-pointer is ours; the caller of the API promised that this is an array.
        let status = unsafe { (self.functions.descriptor)(&mut descriptor, array) };
        (status == 0).then_some(descriptor)
    }

    pub(crate) fn wait_for(&self, stream: usize) -> bool {
        // SAFETY: the caller of the API gave this stream for the session and promised it lives.
        unsafe { (self.functions.wait)(stream) == 0 }
    }

    /// Copies `height` rows of `width` bytes, from row `first_row` on, to rows `pitch` bytes apart.
    pub(crate) fn fetch(
        &self,
        from: Place,
        first_row: usize,
        (width, height): (usize, usize),
        to: &mut [u8],
        pitch: usize,
    ) -> bool {
        assert!(width <= pitch && to.len() >= pitch * height, "room for the rows");
        let mut source = End { y: first_row, ..End::default() };
        match from {
            Place::Pitched { address, pitch } => {
                (source.memory_type, source.device, source.pitch) = (2, address, pitch);
            }
            Place::Array(array) => (source.memory_type, source.array) = (3, array),
        }
        let target = End { memory_type: 1, host: to.as_mut_ptr() as usize, pitch, ..End::default() };
        let copy = Copy2d { source, target, width_in_bytes: width, height };
        // SAFETY: `to` has `pitch * height` bytes by the assertion, and the call returns after the
        // copy; the driver knows the bounds of the source.
        unsafe { (self.functions.copy)(&copy) == 0 }
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        let mut popped = 0;
        // SAFETY: `with` pushed a context on this thread, and `Cuda` stays on it for one call.
        unsafe { (self.functions.pop)(&mut popped) };
    }
}
