//! CUDA arrays: opaque two-dimensional memory, made by the caller or shown by a mapped texture.
//!
//! An array of a texture can be copied from only while its texture is mapped, and is never the
//! caller's to destroy.

use crate::caller::{In, Out};
use crate::context::current;
use crate::driver::{Driver, Handle, driver};
use crate::status::{INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY, Refusal, broken, failed};

/// `CUDA_ARRAY_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Descriptor2d {
    width: usize,
    height: usize,
    format: u32,
    channels: u32,
}

/// `CUDA_ARRAY3D_DESCRIPTOR`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Descriptor3d {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) depth: usize,
    pub(crate) format: u32,
    pub(crate) channels: u32,
    pub(crate) flags: u32,
}

pub(crate) struct Array {
    pub(crate) context: Handle,
    pub(crate) descriptor: Descriptor3d,
    pub(crate) pixels: Vec<u8>,
    pub(crate) of_texture: bool,
    /// Always, but for a texture that is not mapped.
    pub(crate) accessible: bool,
}

/// LAYERED, SURFACE_LDST, CUBEMAP, TEXTURE_GATHER, DEPTH_TEXTURE, COLOR_ATTACHMENT.
const KNOWN_FLAGS: u32 = 0x3F;
const SURFACE_LDST: u32 = 0x02;

impl Descriptor3d {
    fn bytes_per_element(&self) -> Option<usize> {
        let channel = match self.format {
            0x01 | 0x08 => 1,
            0x02 | 0x09 | 0x10 => 2,
            0x03 | 0x0A | 0x20 => 4,
            _ => return None,
        };
        matches!(self.channels, 1 | 2 | 4).then_some(channel * self.channels as usize)
    }

    /// Bytes of one row; 0 for a format that does not exist.
    pub(crate) fn row_bytes(&self) -> usize {
        self.width * self.bytes_per_element().unwrap_or(0)
    }
}

fn create(driver: &mut Driver, descriptor: Descriptor3d) -> Result<Handle, Refusal> {
    let context = current(driver)?;
    if descriptor.bytes_per_element().is_none() || descriptor.width == 0 {
        return Err(broken(INVALID_VALUE, "array-format-or-size"));
    }
    if descriptor.flags & !KNOWN_FLAGS != 0 {
        return Err(broken(INVALID_VALUE, "array-flags"));
    }
    if descriptor.depth != 0 || descriptor.flags & !SURFACE_LDST != 0 {
        return Err(failed(NOT_SUPPORTED));
    }
    if descriptor.width > 131_072 || descriptor.height > 65_536 {
        return Err(failed(OUT_OF_MEMORY));
    }
    let bytes = descriptor.row_bytes() * descriptor.height.max(1);
    let handle = driver.new_handle();
    driver
        .arrays
        .insert(handle, Array { context, descriptor, pixels: vec![0xCD; bytes], of_texture: false, accessible: true });
    Ok(handle)
}

fn descriptor_of(driver: &Driver, array: Handle) -> Result<Descriptor3d, Refusal> {
    current(driver)?;
    driver
        .arrays
        .get(&array)
        .filter(|array| array.accessible)
        .map(|array| array.descriptor)
        .ok_or(broken(INVALID_HANDLE, "not-an-array"))
}

driver_call! {
    fn cuArrayCreate_v2(array: Out<Handle>, descriptor: In<Descriptor2d>) {
        let Descriptor2d { width, height, format, channels } = descriptor.get()?;
        let whole = Descriptor3d { width, height, depth: 0, format, channels, flags: 0 };
        array.put(create(&mut *driver()?, whole)?)
    }
}

driver_call! {
    fn cuArray3DCreate_v2(array: Out<Handle>, descriptor: In<Descriptor3d>) {
        array.put(create(&mut *driver()?, descriptor.get()?)?)
    }
}

driver_call! {
    fn cuArrayGetDescriptor_v2(descriptor: Out<Descriptor2d>, array: Handle) {
        let Descriptor3d { width, height, format, channels, .. } = descriptor_of(&*driver()?, array)?;
        descriptor.put(Descriptor2d { width, height, format, channels })
    }
}

driver_call! {
    fn cuArray3DGetDescriptor_v2(descriptor: Out<Descriptor3d>, array: Handle) {
        descriptor.put(descriptor_of(&*driver()?, array)?)
    }
}

driver_call! {
    fn cuArrayDestroy(array: Handle) {
        let mut driver = driver()?;
        current(&driver)?;
        if driver.arrays.get(&array).is_none_or(|one| one.of_texture) {
            return Err(broken(INVALID_HANDLE, "not-an-array-of-the-caller"));
        }
        crate::copy::arrive(&mut driver, |_| true);
        driver.arrays.remove(&array);
        Ok(())
    }
}
