//! Pictures in the memory of a device. Sealed memory stands for it, which any program can make; a driver that imports takes it
//! or not, and then it is mapped.

use super::super::wire::tests::{buffer, caps, video_meta};
use super::super::*;
use super::peer::{broken, left, memfd, session};
use crate::settings::PixelFormat;
use rustix::fs::{SealFlags, fcntl_add_seals};

/// A layout of no device.
const TILED: &str = "0x1d000000000000ff";

/// What calls itself a device's.
fn device(bytes: &[u8]) -> OwnedFd {
    let fd = memfd("device", bytes);
    fcntl_add_seals(&fd, SealFlags::SHRINK).unwrap();
    fd
}

fn text(feature: &str, format: &str) -> String {
    format!("video/x-raw{feature}, format=(string){format}, width=(int)3, height=(int)3")
}

/// Caps of ordinary memory, and both kinds of a device's, for one format by its two names.
fn linear(name: &str, fourcc: &str) -> [String; 3] {
    [
        text("", name),
        text("(memory:DMABuf)", name),
        text("(memory:DMABuf)", &format!("DMA_DRM, drm-format=(string){fourcc}")),
    ]
}

#[test]
fn planes_are_packed_from_wherever_they_lie() {
    let expected: Vec<u8> = (1..=9).chain(20..=27).collect();
    for text in linear("NV12", "NV12") {
        let usual = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0, 20, 21, 22, 23, 24, 25, 26, 27];
        let told = [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 20, 21, 22, 23, 0, 24, 25, 26, 27];
        for (bytes, pieces, metas) in [
            (&usual[..], &[(0, 24)][..], vec![]),
            (&told, &[(0, 21)], vec![video_meta(&[(2, 3), (12, 5)])]),
            (&told, &[(2, 9), (12, 9)], vec![video_meta(&[(0, 3), (9, 5)])]),
            (&told, &[(3, 0), (2, 9), (0, 0), (12, 9)], vec![video_meta(&[(0, 3), (9, 5)])]),
        ] {
            let (end, shown, released) = session(|peer| {
                peer.send(&caps(&text), &[]);
                let fds: Vec<_> = pieces.iter().map(|_| device(bytes)).collect();
                peer.send(&buffer(5, 1, pieces, &metas), &fds.iter().collect::<Vec<_>>());
            });
            assert!(left(&end), "{text}: {end:?}");
            let shown = shown.unwrap();
            assert_eq!(
                (shown.shape.format, &shown.samples, released),
                (PixelFormat::Nv12, &expected, vec![5]),
                "{text}"
            );
        }
    }
}

#[test]
fn red_green_and_blue_are_what_they_were() {
    let bgra: Vec<u8> = (0..9).flat_map(|at| [at, 10 + at, 20 + at, 255]).collect();
    for text in linear("BGRx", "XR24") {
        let (end, shown, _) = session(|peer| {
            peer.send(&caps(&text), &[]);
            peer.send(&buffer(1, 1, &[(0, 36)], &[]), &[&device(&bgra)]);
        });
        assert!(left(&end), "{text}: {end:?}");
        let Arrived { samples, shape, .. } = shown.unwrap();
        let bgr = |pixel: &[u8]| {
            if shape.format == PixelFormat::Bgra {
                [pixel[0], pixel[1], pixel[2]]
            } else {
                [pixel[2], pixel[1], pixel[0]]
            }
        };
        let seen: Vec<_> = samples.chunks_exact(4).map(bgr).collect();
        assert_eq!(seen, (0..9).map(|at| [at, 10 + at, 20 + at]).collect::<Vec<_>>(), "{text}");
    }
}

#[test]
fn lies_about_a_devices_memory_are_told_apart() {
    let (pipe, _write) = rustix::pipe::pipe().unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let [ordinary, ..] = linear("GRAY8", "R8");
    let tiled = text("(memory:DMABuf)", &format!("DMA_DRM, drm-format=NV12:{TILED}"));
    for fd in [&memfd("may shrink", &[1; 64]), &pipe, &zero.into()] {
        let what = broken(|peer| {
            peer.send(&caps(&ordinary), &[]);
            peer.send(&buffer(1, 1, &[(0, 12)], &[]), &[fd]);
        });
        assert!(what.contains("neither a dma-buf nor sealed"), "{what}");
    }
    let lie = |text: &str, kind: u8, pieces: &[(u64, u64)], metas: &[Vec<u8>]| {
        broken(|peer| {
            peer.send(&caps(text), &[]);
            let fds: Vec<_> = pieces.iter().map(|_| device(&[1; 16])).collect();
            peer.send(&buffer(1, kind, pieces, metas), &fds.iter().collect::<Vec<_>>());
        })
    };
    for text in linear("GRAY8", "R8") {
        for piece in [(0, 17), (1, 16), (u64::MAX, 16), (16, u64::MAX), (1 << 63, 1 << 63)] {
            let what = lie(&text, 1, &[piece], &[]);
            assert!(what.contains("memory that has 16"), "{piece:?}: {what}");
        }
        for (pieces, planes) in [
            (&[(6, 10)][..], None),
            (&[(0, 16)], Some((9, 4))),
            (&[(0, 16)], Some((0, 7))),
            (&[(0, 16)], Some((16, 4))),
            (&[(0, 16)], Some((u64::MAX, 4))),
            (&[(0, 16)], Some((0, i32::MAX))),
            (&[(0, 8), (8, 8)], Some((9, 4))),
        ] {
            let metas: Vec<_> = planes.iter().map(|plane| video_meta(&[*plane])).collect();
            let what = lie(&text, 1, pieces, &metas);
            assert!(what.contains("less than a frame"), "{pieces:?}, {planes:?}: {what}");
        }
        for planes in [&[(0, -8)][..], &[(0, 2)], &[], &[(0, 4), (0, 4)]] {
            assert!(lie(&text, 1, &[(0, 16)], &[video_meta(planes)]).contains("planes"), "{planes:?}");
        }
    }
    assert!(lie(&tiled, 1, &[(0, 16)], &[]).contains("where its planes lie"));
    for planes in [&[(0, 16)][..], &[(0, 16), (0, 16), (0, 16)], &[(0, -1), (0, 16)]] {
        assert!(lie(&tiled, 1, &[(0, 16)], &[video_meta(planes)]).contains("planes"), "{planes:?}");
    }
    assert!(lie(&tiled, 1, &[(0, 16)], &[video_meta(&[(0, 16), (16, 16)])]).contains("less than a frame"));
    assert!(lie(&tiled, 0, &[(0, 16)], &[video_meta(&[(0, 8), (8, 8)])]).contains("ordinary memory as tiled"));
}

#[test]
fn what_no_driver_here_reads_ends_the_stream() {
    for format in ["NV12", "AR24"] {
        let (end, shown, _) = session(|peer| {
            peer.send(&caps(&text("(memory:DMABuf)", &format!("DMA_DRM, drm-format={format}:{TILED}"))), &[]);
            let planes = [(0, 16), (64, 16)];
            let metas = [video_meta(if format == "NV12" { &planes } else { &planes[..1] })];
            peer.send(&buffer(1, 1, &[(0, 128)], &metas), &[&device(&[1; 128])]);
        });
        let End::Hopeless(error) = end else { panic!("{end:?}") };
        assert!(error.code() == "unixfd-dmabuf" && error.cause().contains(TILED) && shown.is_none(), "{error:?}");
        assert!(error.cause().contains("the driver"), "{}", error.cause());
    }
}
