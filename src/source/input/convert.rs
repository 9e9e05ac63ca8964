//! placeholder until conv lands
use crate::encoder::HostPicture;
use crate::error::Error;
use crate::settings::*;
use crate::source::Planes;
pub struct Converter {}
impl Converter {
    pub fn new(shape: &Shape, size: Size) -> Result<Self, Error> {
        if is_native(shape, size) { Ok(Self {}) } else { Err(Error::input("input-format", "not yet", "")) }
    }
    pub fn convert(&mut self, planes: &Planes<'_>, picture: &mut HostPicture) {
        let (y, cb, cr) = picture.planes_mut();
        y.copy_from_slice(planes.plane(0).0);
        cb.copy_from_slice(planes.plane(1).0);
        cr.copy_from_slice(planes.plane(2).0);
    }
}
pub fn is_native(shape: &Shape, size: Size) -> bool {
    (shape.width, shape.height, shape.format, shape.range, shape.matrix)
        == (size.width(), size.height(), PixelFormat::Yuv420p, ColorRange::Limited, Matrix::Bt709)
}
pub fn size_for(width: u32, height: u32, w: Option<u32>, h: Option<u32>) -> Result<Size, Error> {
    Size::new(w.unwrap_or(width & !1), h.unwrap_or(height & !1))
}
