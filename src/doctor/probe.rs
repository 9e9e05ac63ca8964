//! What the processes of a self-check do: one group of parts, one after the other, told line by line.

mod checks;
mod cuda;
mod devices;
mod gl;
mod interop;
mod nvenc;
mod openh264;
mod pictures;

use super::group::Group;
use crate::settings::{EncoderChoice, Settings, Size};
use checks::Probe;
use std::io::Write;

/// Looks at the parts of `group` and writes what it finds to `out`, for [`examine`](crate::doctor::examine) to read.
///
/// # Errors
/// `out` cannot be written.
pub fn probe(group: Group, device: Option<u32>, out: &mut dyn Write) -> std::io::Result<()> {
    let size = Size::new(640, 360).expect("a legal size");
    let settings = Settings { device, size, encoder: EncoderChoice::Nvenc, ..Settings::default() };
    let mut probe = Probe { settings, out, broken: Ok(()) };
    match group {
        Group::Egl => gl::egl(&mut probe),
        Group::Devices => devices::devices(&mut probe),
        Group::Cuda => cuda::driver(&mut probe),
        Group::Gl => gl::renderer(&mut probe),
        Group::Interop => interop::interop(&mut probe),
        Group::NvencLibrary => nvenc::library(&mut probe),
        Group::Nvenc => nvenc::encoder(&mut probe),
        Group::NvencUpload => nvenc::upload(&mut probe),
        Group::Openh264 => openh264::encoder(&mut probe),
    };
    probe.broken
}
