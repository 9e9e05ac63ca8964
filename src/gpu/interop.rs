//! GL textures as CUDA sees them, where it does.

use crate::cuda::{self, CudaContext, Driver, PitchedBuffer, check, described, failed};
use crate::error::Error;
use crate::gl::Plane;
use crate::nvidia::whose_libcuda;
use cudarc::driver::sys;
use std::ffi::c_uint;

/// `GL_TEXTURE_2D`.
const TEXTURE_2D: u32 = 0x0DE1;
/// `CU_GRAPHICS_REGISTER_FLAGS_READ_ONLY`.
const READ_ONLY: u32 = 1;

/// Whether `error` says that GL and CUDA do not share pictures on this machine, or not those of what draws. NVENC can be
/// given them through host memory then.
pub fn is_apart(error: &Error) -> bool {
    matches!(error.code(), "gl-cuda-interop" | "gpu-hidden" | "not-nvidia-gl" | "nvenc-elsewhere")
}

/// The error for a call about what GL has: names whose libcuda it is that cannot have any of that.
pub(super) fn failed_on_gl(driver: &Driver, function: &str, status: c_uint) -> Error {
    cuda::note(status);
    let error = failed(function, status);
    if !is_apart(&error) {
        return error;
    }
    match driver.file().as_deref().map(|file| (whose_libcuda(file), file)) {
        Some((Some(whose), file)) => {
            error.caused_by(format!("{}; libcuda is {whose}, {}", described(function, status), file.display()))
        }
        _ => error,
    }
}

/// Textures that CUDA reads: registered once, mapped for each picture.
#[derive(Debug)]
pub struct GlImages<const N: usize> {
    resources: [sys::CUgraphicsResource; N],
    registered: usize,
    context: CudaContext,
}

/// Textures between map and unmap. GL must not touch them meanwhile, which the borrow of the planes ensures.
#[derive(Debug)]
pub struct Mapped<'a, const N: usize> {
    images: &'a mut GlImages<N>,
    planes: &'a [Plane; N],
}

impl<const N: usize> GlImages<N> {
    /// Registers `planes` for reading.
    ///
    /// # Errors
    /// The driver refuses a texture.
    pub fn register(context: &CudaContext, planes: &[Plane; N]) -> Result<Self, Error> {
        let mut this = Self { resources: [std::ptr::null_mut(); N], registered: 0, context: context.clone() };
        for (plane, resource) in planes.iter().zip(&mut this.resources) {
            // SAFETY: the plane's GL context and the CUDA context are current on this thread, and the texture exists.
            let status =
                unsafe { (context.calls().cuGraphicsGLRegisterImage)(resource, plane.name(), TEXTURE_2D, READ_ONLY) };
            if status != 0 {
                return Err(failed_on_gl(context.driver(), "cuGraphicsGLRegisterImage", status));
            }
            this.registered += 1;
        }
        Ok(this)
    }

    /// Maps the textures for CUDA until the result is dropped. CUDA work that follows waits for the GL calls before.
    ///
    /// # Errors
    /// The driver's.
    pub fn map<'a>(&'a mut self, planes: &'a [Plane; N]) -> Result<Mapped<'a, N>, Error> {
        let map = self.context.calls().cuGraphicsMapResources;
        // SAFETY: the resources are registered and not mapped, which only `Mapped` is; the null stream is the default
        // one.
        let status = unsafe { map(N as u32, self.resources.as_mut_ptr(), std::ptr::null_mut()) };
        check("cuGraphicsMapResources", status)?;
        Ok(Mapped { images: self, planes })
    }
}

impl<const N: usize> Mapped<'_, N> {
    /// Copies the textures into `buffer`, one below the other.
    ///
    /// # Errors
    /// The driver's.
    pub fn copy_to(&self, buffer: &PitchedBuffer) -> Result<(), Error> {
        let mapped_array = self.images.context.calls().cuGraphicsSubResourceGetMappedArray;
        let mut first = 0;
        for (plane, &resource) in self.planes.iter().zip(&self.images.resources) {
            let mut array = std::ptr::null_mut();
            // SAFETY: the resource is mapped; a texture of one level and one layer has this sub-resource.
            let status = unsafe { mapped_array(&mut array, resource, 0, 0) };
            check("cuGraphicsSubResourceGetMappedArray", status)?;
            buffer.copy_from(array, plane.row_bytes(), plane.rows(), first)?;
            first += plane.rows();
        }
        Ok(())
    }

    /// Unmaps the textures, for GL to use again.
    ///
    /// # Errors
    /// The driver's.
    pub fn unmap(self) -> Result<(), Error> {
        let status = self.release();
        std::mem::forget(self);
        check("cuGraphicsUnmapResources", status)
    }

    fn release(&self) -> c_uint {
        let unmap = self.images.context.calls().cuGraphicsUnmapResources;
        let mut resources = self.images.resources;
        // SAFETY: the resources are mapped, and by `unmap` consuming `self` or by `drop` this runs once.
        unsafe { unmap(N as u32, resources.as_mut_ptr(), std::ptr::null_mut()) }
    }
}

impl<const N: usize> Drop for Mapped<'_, N> {
    fn drop(&mut self) {
        // Reached only after another error, which is the one to tell.
        if !cuda::is_dead() {
            cuda::note(self.release());
        }
    }
}

impl<const N: usize> Drop for GlImages<N> {
    fn drop(&mut self) {
        for &resource in &self.resources[..self.registered] {
            if cuda::is_dead() {
                return;
            }
            // SAFETY: registered in `register`, not mapped (`Mapped` borrows `self`), unregistered only here.
            cuda::note(unsafe { (self.context.calls().cuGraphicsUnregisterResource)(resource) });
        }
    }
}
