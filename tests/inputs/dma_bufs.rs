//! Producers that share the memory of a device, as GStreamer's `unixfdsink` does behind VA, V4L2 or GL.
//!
//! Sealed memory stands for a device's, and the simulated EGL vendor for a driver that imports it: it checks what it is told
//! as EGL's specifications say, and Mesa draws.

use crate::sim;
use crate::support::decode::{Decoder, Form, Source};
use crate::support::process::{DEADLINE, Process, mb_encode};
use mb_encode::parts::ycbcr_from_rgb;
use mb_encode::settings::Size;
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::pwrite;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{IoSlice, Read as _};
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

const WIDTH: usize = 96;
const HEIGHT: usize = 64;
/// A quarter each, from the top left on by rows.
const COLOURS: [[u8; 3]; 4] = [[200, 40, 40], [30, 160, 60], [40, 60, 190], [220, 220, 120]];
/// A layout of no device that the simulated driver knows: every byte is inverted.
const INVERTED: &str = ":0x1d00000000000001";

/// What somebody shares: for each plane its bytes, and how many of them go from one row to the next.
type Shared = Vec<(Vec<u8>, usize)>;

fn colour(x: usize, y: usize) -> [u8; 3] {
    COLOURS[usize::from(x >= WIDTH / 2) + 2 * usize::from(y >= HEIGHT / 2)]
}

/// A plane of `parts` bytes for each `step` pixels in both directions, whose rows are padded with what is seen if it is shown.
fn plane(step: usize, parts: usize, value: impl Fn([u8; 3], usize) -> u8) -> (Vec<u8>, usize) {
    let pitch = WIDTH / step * parts + 32;
    let bytes = (0..HEIGHT / step).flat_map(|y| {
        let value = &value;
        (0..pitch).map(move |at| {
            if at / parts < WIDTH / step { value(colour(at / parts * step, y * step), at % parts) } else { 0x77 }
        })
    });
    (bytes.collect(), pitch)
}

/// `order` says which part of red, green and blue each byte of a pixel is.
fn rgb(order: [usize; 4]) -> Shared {
    vec![plane(1, 4, |rgb, at| if order[at] < 3 { rgb[order[at]] } else { 255 })]
}

/// Luma and chroma by these weights of red and blue, in full range or not.
fn nv12((kr, kb): (f64, f64), full: bool) -> Shared {
    let code = move |rgb: [u8; 3], part: usize| {
        let [r, g, b] = rgb.map(|part| f64::from(part) / 255.0);
        let y = kr * r + (1.0 - kr - kb) * g + kb * b;
        let chroma = if part == 1 { (b - y) / (2.0 - 2.0 * kb) } else { (r - y) / (2.0 - 2.0 * kr) };
        let code = match (part, full) {
            (0, true) => 255.0 * y,
            (0, false) => 16.0 + 219.0 * y,
            (_, true) => 128.0 + 255.0 * chroma,
            (_, false) => 128.0 + 224.0 * chroma,
        };
        code.round() as u8
    };
    vec![plane(1, 1, move |rgb, _| code(rgb, 0)), plane(2, 2, move |rgb, at| code(rgb, 1 + at))]
}

const BT709: (f64, f64) = (0.2126, 0.0722);
const BT601: (f64, f64) = (0.299, 0.114);

fn i420() -> Shared {
    let [y, cb, cr] =
        [0, 1, 2].map(|part| plane(if part == 0 { 1 } else { 2 }, 1, move |rgb, _| ycbcr_from_rgb(rgb)[part]));
    vec![y, cb, cr]
}

fn inverted(mut shared: Shared) -> Shared {
    shared.iter_mut().flat_map(|(bytes, _)| bytes).for_each(|byte| *byte = !*byte);
    shared
}

fn sealed(bytes: &[u8]) -> OwnedFd {
    let fd = memfd_create("device", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    assert_eq!(pwrite(&fd, bytes, 0).unwrap(), bytes.len());
    fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
    fd
}

fn caps(feature: &str, format: &str, colorimetry: &str) -> Vec<u8> {
    let text = format!(
        "video/x-raw{feature}, format=(string){format}, width=(int){WIDTH}, height=(int){HEIGHT}, \
         colorimetry=(string){colorimetry}\0"
    );
    [&2u32.to_ne_bytes()[..], &(text.len() as u32).to_ne_bytes(), text.as_bytes()].concat()
}

/// A buffer of the kind of a device, with each plane in a memory of its own or all in one, behind `before` bytes.
fn send(viewer: &UnixStream, id: u64, shared: &Shared, before: usize, in_one: bool) -> Vec<OwnedFd> {
    let padding = vec![0x77; before];
    let memories: Vec<Vec<u8>> = if in_one {
        vec![shared.iter().fold(padding, |all, (bytes, _)| [&all[..], bytes].concat())]
    } else {
        shared.iter().map(|(bytes, _)| [&padding[..], bytes].concat()).collect()
    };
    let mut offset = 0u64;
    let mut offsets = Vec::new();
    for (bytes, _) in shared {
        offsets.push(offset);
        offset += bytes.len() as u64;
    }
    let mut meta = [0u32, 23, WIDTH as u32, HEIGHT as u32, shared.len() as u32].map(u32::to_le_bytes).concat();
    offsets.iter().for_each(|offset| meta.extend(offset.to_le_bytes()));
    shared.iter().for_each(|(_, pitch)| meta.extend((*pitch as i32).to_le_bytes()));
    meta.extend(vec![0; 16 + 4 * shared.len()]);
    let name = b"GstVideoMeta";
    let head = [(10 + name.len() + meta.len()) as u32, name.len() as u32].map(u32::to_le_bytes).concat();
    let meta = [&head[..], name, &[0, 0], &meta].concat();

    let mut payload = id.to_ne_bytes().to_vec();
    payload.extend([0xff; 40]);
    payload.extend([0, 0, 0, 0, 1, memories.len() as u8]);
    payload.extend(1u16.to_ne_bytes());
    for memory in &memories {
        payload.extend([(memory.len() - before) as u64, before as u64].map(u64::to_ne_bytes).concat());
    }
    payload.extend(meta);
    let message = [&0u32.to_ne_bytes()[..], &(payload.len() as u32).to_ne_bytes(), &payload].concat();
    let fds: Vec<_> = memories.iter().map(|bytes| sealed(bytes)).collect();
    let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&borrowed)));
    let _ = sendmsg(viewer, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL);
    fds
}

/// A viewer on a machine whose driver is told so, or of which nothing is to be loaded where it is told nothing.
fn viewer(socket: &Path, driver: &[(&str, &str)], report: &Path, frames: usize) -> Process {
    let mut command = mb_encode();
    command.arg("--stdout").arg("--input").arg(format!("unix:{}", socket.display()));
    command.args(["--encoder", "openh264", "--bitrate", "8M", "--log-level", "info", "--frames", &frames.to_string()]);
    simulate(&mut command, driver, report);
    Process::start(command.stdout(Stdio::piped()))
}

fn simulate(command: &mut Command, driver: &[(&str, &str)], report: &Path) {
    match driver {
        [] => command.env("LD_LIBRARY_PATH", sim::library_path(&sim::drivers_without_gl())),
        told => command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor()).envs(told.iter().copied()),
    };
    command.env("MB_SIM_REPORT", report);
}

/// How a stream went whose producer sends `shared`, again and again.
struct Shown {
    frames: usize,
    stream: Vec<u8>,
    said: String,
    code: i32,
    report: sim::Report,
}

fn show(driver: &str, caps: (&str, &str, &str), shared: &Shared, in_one: bool) -> Shown {
    let driver = [("MB_SIM_DMA_BUF", driver)];
    show_with(if driver[0].1 == "no GL" { &[] } else { &driver }, 3, caps, shared, in_one)
}

fn show_with(
    driver: &[(&str, &str)],
    frames: usize,
    (feature, format, colorimetry): (&str, &str, &str),
    shared: &Shared,
    in_one: bool,
) -> Shown {
    let folder = tempfile::tempdir().unwrap();
    let (socket, report) = (folder.path().join("frames"), folder.path().join("report"));
    let listener = UnixListener::bind(&socket).unwrap();
    let mut viewer = viewer(&socket, driver, &report, frames);
    let mut stdout = viewer.stdout();
    let stream = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut viewer = listener.accept().unwrap().0;
            viewer.set_read_timeout(Some(DEADLINE)).unwrap();
            std::io::Write::write_all(&mut viewer, &caps(feature, format, colorimetry)).unwrap();
            let mut released = [0; 16];
            for id in 1.. {
                let fds = send(&viewer, id, shared, 64 * id as usize % 192, in_one);
                if viewer.read_exact(&mut released).is_err() {
                    break;
                }
                // What was given back is drawn into again.
                for fd in &fds {
                    pwrite(fd, &[0x40; 1 << 12], 0).unwrap();
                }
            }
        });
        stdout.all()
    });
    let ended = viewer.wait();
    let code = ended.code();
    Shown { frames, stream, said: ended.stderr, code, report: sim::Report::read(&report) }
}

impl Shown {
    /// Every colour within 2 of 255, in its place.
    fn assert_right(&self, what: &str) {
        assert_eq!(self.code, 0, "{what}: {}", self.said);
        let size = Size::new(WIDTH as u32, HEIGHT as u32).unwrap();
        let mut decoder = Decoder::start(Source::Bytes(self.stream.clone()), size, Form::Yuv420p, None);
        let pictures = decoder.take_pictures(self.frames);
        decoder.finish();
        for picture in pictures {
            let (y, chroma) = picture.bytes.split_at(WIDTH * HEIGHT);
            let (cb, cr) = chroma.split_at(chroma.len() / 2);
            // An encoder smooths what lies beside an edge.
            let is_inside = |at: usize, edge: usize| at.abs_diff(edge) >= 8;
            let all = (0..HEIGHT).flat_map(|row| (0..WIDTH).map(move |column| (row, column)));
            for (row, column) in
                all.filter(|(row, column)| is_inside(*row, HEIGHT / 2) && is_inside(*column, WIDTH / 2))
            {
                let half = row / 2 * (WIDTH / 2) + column / 2;
                let seen = [y[row * WIDTH + column], cb[half], cr[half]];
                let expected = ycbcr_from_rgb(colour(column, row));
                let near = seen.iter().zip(expected).all(|(seen, expected)| seen.abs_diff(expected) <= 2);
                assert!(near, "{what}: {seen:?} at ({column}, {row}), where {expected:?} was shared");
            }
        }
        self.assert_nothing_left(what);
    }

    fn assert_nothing_left(&self, what: &str) {
        assert_eq!(self.report.all("refused."), Default::default(), "{what}");
        assert_eq!(self.report.all("live."), Default::default(), "{what}");
        assert_eq!(self.report.count("call.eglCreateImage"), self.report.count("call.eglDestroyImage"), "{what}");
    }
}

/// Of a device, in a format by drm_fourcc.h's name.
fn drm(format: &str) -> String {
    format!("DMA_DRM, drm-format=(string){format}")
}

const DEVICE: &str = "(memory:DMABuf)";

#[test]
fn a_driver_draws_every_format_from_wherever_its_planes_lie() {
    let (bgra, rgba) = ([2, 1, 0, 3], [0, 1, 2, 3]);
    for (driver, format, colorimetry, shared, in_one, images) in [
        ("import", "NV12", "bt709", nv12(BT709, false), true, 2),
        ("import", &drm("NV12"), "1:4:0:0", nv12(BT601, true), false, 2),
        ("modifiers", &drm("NV12"), "bt601", nv12(BT601, false), true, 2),
        ("modifiers", &drm(&format!("NV12{INVERTED}")), "bt709", inverted(nv12(BT709, false)), false, 2),
        ("modifiers", &drm("YU12"), "bt709", i420(), true, 3),
        ("import", "BGRx", "sRGB", rgb(bgra), true, 1),
        ("modifiers", &drm("AR24"), "sRGB", rgb(bgra), true, 1),
        ("modifiers", &drm(&format!("XB24{INVERTED}")), "sRGB", inverted(rgb(rgba)), true, 1),
    ] {
        let shown = show(driver, (DEVICE, format, colorimetry), &shared, in_one);
        let what = format!("{format}, {colorimetry}, {driver}");
        shown.assert_right(&what);
        assert!(shown.said.contains("draws the frames of a device (DMABuf"), "{what}: {}", shown.said);
        let made = shown.report.count("call.eglCreateImage");
        assert!(made >= 3 * images && made % images == 0, "{what}: {made} images");
        assert_eq!(shown.report.count("peak.images"), 1, "{what}: one after the other");
    }
}

#[test]
fn a_gpu_that_is_reset_is_opened_again_and_no_frame_of_a_device_comes_out_black() {
    // Both planes of the second frame are read from a context of their own.
    for order in ["egl:glReadPixels:33364@2", "egl:glReadPixels:33363@3"] {
        let driver = [("MB_SIM_DMA_BUF", "import"), ("MB_SIM_FAULT", order)];
        let shown = show_with(&driver, 3, (DEVICE, "NV12", "bt709"), &nv12(BT709, false), true);
        shown.assert_right(order);
        assert_eq!(shown.report.count("resets"), 1, "{order}");
        assert_eq!(shown.report.count("contexts.robust"), 2, "{order}");
        assert_eq!(shown.said.matches("the GPU was reset").count(), 1, "{order}: {}", shown.said);
    }
    // One frame in each context.
    let driver = [("MB_SIM_DMA_BUF", "import"), ("MB_SIM_FAULT", "egl:glReadPixels:33364@2x999")];
    let shown = show_with(&driver, 200, (DEVICE, "NV12", "bt709"), &nv12(BT709, false), true);
    shown.assert_right("200 resets");
    let resets = shown.report.count("resets");
    assert!(resets > 100, "{resets} resets");
    assert_eq!(shown.report.count("contexts.robust"), resets + 1);
}

#[test]
fn rows_one_below_the_other_are_mapped_where_no_driver_imports_or_the_caps_are_of_ordinary_memory() {
    for (driver, feature, format) in
        [("no GL", DEVICE, drm("NV12")), ("no GL", DEVICE, "NV12".into()), ("import", "", "NV12".into())]
    {
        let shown = show(driver, (feature, &format, "bt709"), &nv12(BT709, false), false);
        let what = format!("{format}, {driver}");
        shown.assert_right(&what);
        assert!(shown.said.contains("are mapped"), "{what}: {}", shown.said);
        assert_eq!(shown.report.count("call.eglGetPlatformDisplay"), 0, "{what}: no GL is opened");
    }
}

#[test]
fn what_no_driver_imports_ends_the_stream_with_what_it_lacks_and_what_to_change() {
    let tiled = inverted(nv12(BT709, false));
    let unknown = ":0x0100000000000002";
    for (driver, modifier, lacks) in [
        ("no GL", INVERTED, "libEGL.so.1"),
        ("import", INVERTED, "lacks EGL_EXT_image_dma_buf_import_modifiers"),
        ("modifiers", unknown, "the driver does not import it"),
    ] {
        let shown = show(driver, (DEVICE, &drm(&format!("NV12{modifier}")), "bt709"), &tiled, true);
        assert!(shown.code == 2 && shown.stream.is_empty(), "{driver}: {}", shown.said);
        for words in ["[unixfd-dmabuf]", lacks, modifier, "vapostproc"] {
            assert!(shown.said.contains(words), "{driver}: {words:?} in {}", shown.said);
        }
    }
}
