//! Memory on the GPU for a picture.

use super::context::CudaContext;
use super::status::{check, is_dead, note};
use crate::error::Error;
use cudarc::driver::sys;

/// Rows of bytes in GPU memory, `pitch` bytes apart.
#[derive(Debug)]
pub struct PitchedBuffer {
    address: sys::CUdeviceptr,
    pitch: usize,
    width: usize,
    rows: usize,
    // Keeps the context alive until the memory is freed.
    context: CudaContext,
}

impl PitchedBuffer {
    /// Room for `rows` rows of `width` bytes. The driver chooses the pitch.
    ///
    /// # Errors
    /// The GPU is out of memory.
    pub fn new(context: &CudaContext, width: usize, rows: usize) -> Result<Self, Error> {
        let (mut address, mut pitch) = (0, 0);
        // Not stream-ordered memory: NVENC must not be given that.
        // SAFETY: `context` is current on this thread, both results are written by the call, and 16 is a legal element
        // size.
        let status = unsafe { (context.calls().cuMemAllocPitch_v2)(&mut address, &mut pitch, width, rows, 16) };
        check("cuMemAllocPitch", status)?;
        Ok(Self { address, pitch, width, rows, context: context.clone() })
    }

    /// Room for `rows` rows of `width` bytes with nothing between them.
    ///
    /// # Errors
    /// The GPU is out of memory.
    pub fn packed(context: &CudaContext, width: usize, rows: usize) -> Result<Self, Error> {
        let mut address = 0;
        // SAFETY: `context` is current on this thread, and the result is written by the call.
        check("cuMemAlloc", unsafe { (context.calls().cuMemAlloc_v2)(&mut address, width * rows) })?;
        Ok(Self { address, pitch: width, width, rows, context: context.clone() })
    }

    /// Bytes from one row to the next.
    pub fn pitch(&self) -> usize {
        self.pitch
    }

    pub(crate) fn address(&self) -> sys::CUdeviceptr {
        self.address
    }

    /// Copies `rows` rows of `width` bytes from a GL image to this buffer, from row `first` on. The copy runs on the
    /// default stream, which NVENC waits for.
    pub(crate) fn copy_from(&self, array: sys::CUarray, width: usize, rows: usize, first: usize) -> Result<(), Error> {
        assert!(width <= self.width && first + rows <= self.rows, "a copy inside the buffer");
        let copy = sys::CUDA_MEMCPY2D_st {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_ARRAY,
            srcHost: std::ptr::null(),
            srcDevice: 0,
            srcArray: array,
            srcPitch: 0,
            dstXInBytes: 0,
            dstY: first,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: self.address,
            dstArray: std::ptr::null_mut(),
            dstPitch: self.pitch,
            WidthInBytes: width,
            Height: rows,
        };
        // SAFETY: the destination lies inside this buffer as asserted; the driver checks the array's bounds, and the
        // caller holds it mapped.
        check("cuMemcpy2D", unsafe { (self.context.calls().cuMemcpy2D_v2)(&copy) })
    }
}

impl PitchedBuffer {
    /// Copies `bytes`, rows of `width` bytes, to `offset` bytes behind the start of this buffer, where rows are to be `pitch`
    /// bytes apart. `bytes` may change again when the call returns. The copy runs on the default stream, which NVENC waits
    /// for.
    ///
    /// The bytes need not be page-locked, and those of pictures are not: they are others each time, and to lock them costs
    /// more than it saves. The driver takes them through locked memory of its own, which costs what a copy into locked
    /// memory of ours would.
    ///
    /// # Errors
    /// The driver's.
    pub fn upload(&self, bytes: &[u8], width: usize, offset: usize, pitch: usize) -> Result<(), Error> {
        let rows = bytes.len() / width;
        let end = offset + rows.saturating_sub(1) * pitch + width;
        assert!(rows * width == bytes.len() && end <= self.pitch * self.rows, "a copy inside the buffer");
        let address = self.address + offset as sys::CUdeviceptr;
        if width == pitch {
            // SAFETY: the destination lies inside this buffer as asserted, the source is all of `bytes`, and the call
            // returns when they are read.
            let status = unsafe { (self.context.calls().cuMemcpyHtoD_v2)(address, bytes.as_ptr().cast(), bytes.len()) };
            return check("cuMemcpyHtoD", status);
        }
        let copy = sys::CUDA_MEMCPY2D_st {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            srcHost: bytes.as_ptr().cast(),
            srcDevice: 0,
            srcArray: std::ptr::null_mut(),
            srcPitch: width,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            dstHost: std::ptr::null_mut(),
            dstDevice: address,
            dstArray: std::ptr::null_mut(),
            dstPitch: pitch,
            WidthInBytes: width,
            Height: rows,
        };
        // SAFETY: as above.
        check("cuMemcpy2D", unsafe { (self.context.calls().cuMemcpy2D_v2)(&copy) })
    }

    /// Waits for what the default stream has to do and reads the buffer: rows without padding.
    ///
    /// # Errors
    /// The driver's.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; self.width * self.rows];
        let copy = sys::CUDA_MEMCPY2D_st {
            srcXInBytes: 0,
            srcY: 0,
            srcMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_DEVICE,
            srcHost: std::ptr::null(),
            srcDevice: self.address,
            srcArray: std::ptr::null_mut(),
            srcPitch: self.pitch,
            dstXInBytes: 0,
            dstY: 0,
            dstMemoryType: sys::CUmemorytype::CU_MEMORYTYPE_HOST,
            dstHost: bytes.as_mut_ptr().cast(),
            dstDevice: 0,
            dstArray: std::ptr::null_mut(),
            dstPitch: self.width,
            WidthInBytes: self.width,
            Height: self.rows,
        };
        // SAFETY: the source is this whole buffer, and `bytes` has room for its rows. A copy to pageable memory has
        // arrived when the call returns.
        check("cuMemcpy2D", unsafe { (self.context.calls().cuMemcpy2D_v2)(&copy) })?;
        Ok(bytes)
    }
}

impl Drop for PitchedBuffer {
    fn drop(&mut self) {
        if is_dead() {
            return;
        }
        // SAFETY: allocated in `new`, freed only here. After the device is lost this fails, and nothing is left to free.
        note(unsafe { (self.context.calls().cuMemFree_v2)(self.address) });
    }
}
