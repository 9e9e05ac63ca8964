//! What is made of what right producers do, and of what a person has to mend.

mod device;
mod lies;
mod peer;

use super::super::intake::Keep;
use super::wire::tests::{buffer, caps, message, meta, video_meta};
use super::*;
use crate::settings::PixelFormat;
use peer::{GREY, GREY_BYTES, Peer, accept, intake, left, memfd, memory, session, shown, with_client};
use rustix::fs::{SealFlags, fcntl_add_seals};
use rustix::io::pwrite;
use std::os::unix::net::UnixListener;

#[test]
fn the_latest_picture_is_shown_and_every_buffer_given_back() {
    for last in [message(99, b"of a later version"), message(3, b"")] {
        let (end, shown, released) = session(|peer| {
            peer.send(&caps("NULL"), &[]);
            peer.send(&caps(GREY), &[]);
            (1..=3).for_each(|at| peer.picture(at.into(), &memory(at)));
            // A gap has no memory.
            peer.send(&buffer(4, 0, &[], &[]), &[]);
            peer.send(&last, &[&memory(9)]);
        });
        assert!(left(&end) || matches!(end, End::Finished), "{end:?}");
        assert_eq!((shown.unwrap().samples, released), (vec![3; 12], vec![1, 2, 4, 3]));
    }
}

#[test]
fn planes_are_packed_from_wherever_they_lie() {
    let text = "video/x-raw, format=(string)NV12, width=(int)3, height=(int)3";
    let expected: Vec<u8> = (1..=9).chain(20..=27).collect();
    // As usual, in one piece of memory.
    let usual = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0, 20, 21, 22, 23, 24, 25, 26, 27];
    let (end, shown, _) = session(|peer| {
        peer.send(&caps(text), &[]);
        peer.send(&buffer(1, 0, &[(0, 24)], &[meta("Other", 0, b"")]), &[&memfd("usual", &usual)]);
    });
    assert!(left(&end), "{end:?}");
    let shown = shown.unwrap();
    assert_eq!((shown.samples, shown.shape.format), (expected.clone(), PixelFormat::Nv12));
    // Elsewhere, in two, mapped and not.
    let luma = [9, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9];
    let chroma = [20, 21, 22, 23, 0, 24, 25, 26, 27];
    let metas = [video_meta(&[(2, 3), (12, 5)])];
    let fds = [memfd("luma", &luma), memfd("chroma", &chroma)];
    fcntl_add_seals(&fds[0], SealFlags::SHRINK).unwrap();
    let (end, shown, released) = session(|peer| {
        peer.send(&caps(text), &[]);
        // It is mapped when it comes again, but this one is passed over unread.
        for id in [7, 8] {
            peer.send(&buffer(id, 0, &[(0, 12), (0, 9)], &metas), &[&fds[0], &fds[1]]);
        }
    });
    assert!(left(&end), "{end:?}");
    assert_eq!((shown.unwrap().samples, released), (expected, vec![7, 8]));
}

#[test]
fn pictures_are_shown_as_they_come_with_new_caps_in_new_sizes() {
    with_client(|listener, intake| {
        let mut peer = accept(listener);
        peer.send(&caps(GREY), &[]);
        let memories = [memory(0), memory(0)];
        for at in 0..20u8 {
            let memory = &memories[usize::from(at % 2)];
            pwrite(memory, &[at; GREY_BYTES as usize], 0).unwrap();
            peer.picture(at.into(), memory);
            let Arrived { samples, shape, .. } = shown(intake);
            assert_eq!((&samples, shape.width, peer.released(1)), (&vec![at; 12], 6, vec![at.into()]));
            intake.give_back(samples);
        }
        peer.send(&caps(&GREY.replace("=(int)6", "=(int)4")), &[]);
        peer.send(&buffer(9, 0, &[(8, 8)], &[]), &[&memories[0]]);
        let Arrived { samples, shape, .. } = shown(intake);
        assert_eq!((samples, shape.width), (vec![18; 8], 4));
    });
}

#[test]
fn a_producer_that_leaves_or_lies_is_connected_to_again() {
    with_client(|listener, intake| {
        for at in 0..3u8 {
            let mut peer = accept(listener);
            peer.send(&caps(GREY), &[]);
            peer.picture(at.into(), &memory(at));
            assert_eq!((shown(intake).samples, peer.released(1)), (vec![at; 12], vec![at.into()]));
            match at {
                0 => drop(peer),
                1 => {
                    peer.send(&[0xff; 8], &[]);
                    assert!(peer.is_left());
                }
                _ => {
                    // Its end, though it stays.
                    peer.send(&message(3, b""), &[]);
                    assert!(peer.is_left());
                }
            }
        }
    });
}

#[test]
fn nobody_is_connected_to_before_there_is_a_producer_and_nobody_after_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames");
    let intake = Intake::new(Keep::Latest).unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| UnixFd::new(path.clone()).run(&intake));
        std::thread::sleep(Duration::from_millis(50));
        // A socket that somebody has left behind is none yet, either.
        drop(UnixListener::bind(&path).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        std::fs::remove_file(&path).unwrap();
        let mut peer = accept(&UnixListener::bind(&path).unwrap());
        intake.close();
        assert!(peer.is_left());
        client.join().unwrap().unwrap();
    });
}

#[test]
fn what_a_person_has_to_mend_ends_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let datagrams = folder.path().join("datagrams");
    let _bound = std::os::unix::net::UnixDatagram::bind(&datagrams).unwrap();
    let long = folder.path().join("x".repeat(108));
    let intake = Intake::new(Keep::Latest).unwrap();
    for (path, code) in [
        (&file, "unixfd-no-socket"),
        (&folder.path().to_owned(), "unixfd-no-socket"),
        (&datagrams, "unixfd-no-socket"),
        (&file.join("below"), "unixfd-path"),
        (&long, "unixfd-path"),
    ] {
        assert_eq!(UnixFd::new(path.clone()).run(&intake).unwrap_err().code(), code, "{path:?}");
    }
    for (text, code) in [
        ("audio/x-raw", "unixfd-format"),
        ("video/x-raw, format=(string)v210, width=(int)8, height=(int)8", "unixfd-format"),
        ("video/x-raw, format=(string)RGB, width=(int)99999, height=(int)99999", "unixfd-format"),
        ("video/x-raw(memory:DMABuf), format=(string)DMA_DRM", "unixfd-dmabuf"),
        ("video/x-raw(memory:CUDAMemory), format=(string)NV12", "unixfd-memory"),
        (&format!("{GREY}, interlace-mode=(string)mixed"), "unixfd-interlaced"),
        (&format!("{}, colorimetry=bt2020", GREY.replace("GRAY8", "I420")), "unixfd-colorimetry"),
    ] {
        let (end, ..) = session(|peer| peer.send(&caps(text), &[]));
        assert!(matches!(&end, End::Hopeless(error) if error.code() == code), "{text}: {end:?}");
    }
    // A size that no stream has, as soon as it is said.
    let (connection, peer) = Peer::pair();
    peer.send(&caps(GREY), &[]);
    let intake = Intake::new(Keep::Latest).unwrap();
    let end = Session::new(&Address::new("test".into()), connection, &intake, &mut DeviceFrames::default()).run();
    assert!(matches!(&end, End::Hopeless(error) if error.code() == "input-scale"), "{end:?}");
}

#[test]
fn where_every_picture_is_wanted_none_is_passed_over() {
    let (connection, mut peer) = Peer::pair();
    let intake = intake(Keep::Every);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            Session::new(&Address::new("test".into()), connection, &intake, &mut DeviceFrames::default()).run()
        });
        peer.send(&caps(GREY), &[]);
        (1..=9).for_each(|at| peer.picture(at.into(), &memory(at)));
        let seen: Vec<_> = (1..=9).map(|_| shown(&intake).samples[0]).collect();
        assert_eq!((seen, peer.released(9)), ((1..=9).collect(), (1..=9).collect()));
        intake.close();
    });
}
