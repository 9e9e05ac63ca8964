//! Producers that lie, flood, stall, or never listen.

use super::super::super::intake::Keep;
use super::super::wire::tests::{buffer, caps, message, payload, video_meta};
use super::super::*;
use super::peer::{GREY, GREY_BYTES, Peer, accept, broken, intake, left, memfd, memory, session, shown, with_client};
use crate::os::poll;
use rustix::fs::ftruncate;
use rustix::io::pwrite;

#[test]
fn a_producer_that_stops_amid_a_message_is_given_up() {
    with_client(|listener, intake| {
        let mut peer = accept(listener);
        peer.send(&caps(GREY)[..20], &[]);
        assert!(peer.is_left());
        let peer = accept(listener);
        peer.send(&caps(GREY), &[]);
        peer.picture(1, &memory(1));
        shown(intake);
    });
}

#[test]
fn a_producer_that_lies_about_its_memory_is_told_apart() {
    let (pipe, _write) = rustix::pipe::pipe().unwrap();
    let disk = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let zero = std::fs::File::open("/dev/zero").unwrap();
    let folder = std::fs::File::open("/").unwrap();
    for fd in [&pipe, &disk.into(), &zero.into(), &folder.into()] {
        let what = broken(|peer| {
            peer.send(&caps(GREY), &[]);
            peer.picture(1, fd);
        });
        assert!(what.contains("not memory"), "{what}");
    }
    let lie = |pieces: &[(u64, u64)], metas: &[Vec<u8>]| {
        broken(|peer| {
            peer.send(&caps(GREY), &[]);
            let fds: Vec<_> = pieces.iter().map(|_| memory(1)).collect();
            peer.send(&buffer(1, 0, pieces, metas), &fds.iter().collect::<Vec<_>>());
        })
    };
    for piece in [(0, 17), (1, 16), (u64::MAX, 16), (16, u64::MAX), (1 << 63, 1 << 63)] {
        let what = lie(&[piece], &[]);
        assert!(what.contains("of memory that has 16"), "{piece:?}: {what}");
    }
    for (piece, metas) in [
        ((0, 13), vec![]),
        ((16, 0), vec![]),
        ((0, 16), vec![video_meta(&[(5, 6)])]),
        ((0, 16), vec![video_meta(&[(u64::MAX, 6)])]),
        ((0, 16), vec![video_meta(&[(0, i32::MAX)])]),
    ] {
        let what = lie(&[piece], &metas);
        assert!(what.contains("less than a frame"), "{piece:?}: {what}");
    }
    for planes in [&[(0, -8)][..], &[(0, 5)], &[], &[(0, 8), (0, 8)]] {
        assert!(lie(&[(0, 16)], &[video_meta(planes)]).contains("planes"), "{planes:?}");
    }
    let shrunk = memfd("shrunk", &[1; GREY_BYTES as usize]);
    let (connection, peer) = Peer::pair();
    peer.send(&caps(GREY), &[]);
    peer.picture(1, &shrunk);
    ftruncate(&shrunk, 0).unwrap();
    let end =
        Session::new(&Address::new("test".into()), connection, &intake(Keep::Latest), &mut DeviceFrames::default())
            .run();
    assert!(format!("{end:?}").contains("of memory that has 0"), "{end:?}");
}

#[test]
fn memory_that_is_cut_and_written_to_while_it_is_read_does_no_harm() {
    const SIDE: u64 = 512;
    let text = format!("video/x-raw, format=(string)RGBA, width=(int){SIDE}, height=(int){SIDE}");
    let len = SIDE * SIDE * 4;
    let memory = memfd("cut", &vec![1; len as usize]);
    let show = || {
        let (end, shown, _) = session(|peer| {
            peer.send(&caps(&text), &[]);
            peer.send(&buffer(1, 0, &[(0, len)], &[]), &[&memory]);
        });
        match &end {
            End::Lost(Lost::Left) => assert!(shown.is_some()),
            End::Lost(Lost::Broken(Broken(what))) => assert!(what.contains("memory") && shown.is_none(), "{what}"),
            end => panic!("{end:?}"),
        }
        shown.is_some()
    };
    let until = Instant::now() + Duration::from_secs(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() < until {
                ftruncate(&memory, len / 2).unwrap();
                ftruncate(&memory, len).unwrap();
                pwrite(&memory, &[2; 4096], 0).unwrap();
            }
        });
        let shown: Vec<_> = std::iter::from_fn(|| (Instant::now() < until).then(show)).collect();
        assert!(shown.contains(&false), "it is cut at all");
    });
    assert!(show(), "whole again");
}

/// Descriptors of this process that are open on a file of this name in memory.
fn open_on(name: &str) -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    entries.filter_map(|it| std::fs::read_link(it.path()).ok()).filter(|it| it.to_string_lossy().contains(name)).count()
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let fd = memfd("unasked-for", &[1; GREY_BYTES as usize]);
    let many = |count| vec![&fd; count];
    assert!(broken(|peer| peer.send(&caps(GREY), &many(17))).contains("more than 16"));
    assert!(broken(|peer| peer.send(&buffer(1, 0, &[(0, 16); 250], &[]), &many(250))).contains("more than 16"));
    // One after the other, each with a byte of the message.
    let dribbled = broken(|peer| payload(1, 0, &[], &[]).iter().for_each(|_| peer.send(&[0], &many(8))));
    assert!(dribbled.contains("cut short") || dribbled.contains("more than 16"), "{dribbled}");
    for (sent, pieces) in [(0, 1), (1, 2), (2, 1), (3, 0)] {
        let what = broken(|peer| {
            peer.send(&caps(GREY), &[]);
            peer.send(&buffer(1, 0, &vec![(0, GREY_BYTES); pieces], &[]), &many(sent));
        });
        assert!(what.contains(&format!("{sent} descriptors for {pieces} ")), "{what}");
    }
    let (end, shown, released) = session(|peer| {
        peer.send(&caps(GREY), &many(16));
        (0..50).for_each(|_| peer.send(&message(77, b"?"), &many(16)));
        peer.picture(1, &fd);
    });
    assert!(left(&end) && shown.is_some() && released == [1], "{end:?}");
    assert_eq!(open_on("unasked-for"), 1);
}

#[test]
fn what_is_no_message_is_told_apart() {
    let text = |bytes: &[u8]| broken(|peer| peer.send(bytes, &[]));
    assert!(text(b"HTTP/1.1 400 Bad Request\r\n\r\n").contains("another protocol"));
    assert!(text(&[0; 8]).contains("cut short"));
    assert!(text(&message(0, b"")[..5]).contains("left amid a message"));
    assert!(text(&caps(GREY)[..30]).contains("left amid a message"));
    assert!(text(&message(2, b"video/x-raw")).contains("without an end"));
    assert!(text(&message(1, &[0; 8])).contains("released"));
    assert!(text(&[&2u32.to_ne_bytes()[..], &u32::MAX.to_ne_bytes(), b"v"].concat()).contains("another protocol"));
    let early = broken(|peer| peer.picture(1, &memory(1)));
    assert!(early.contains("before its caps"), "{early}");
}

#[test]
fn junk_and_floods_neither_end_the_stream_nor_hold_it_up() {
    with_client(|listener, intake| {
        for round in 0..2u32 {
            let mut peer = accept(listener);
            let until = Instant::now() + Duration::from_millis(300);
            let mut junk = 0x9e37_79b9u32 ^ round;
            while Instant::now() < until {
                // xorshift32, or commands that this version does not know.
                let bytes: Vec<u8> = match round {
                    0 => (0..16384)
                        .flat_map(|_| {
                            junk ^= junk << 13;
                            junk ^= junk >> 17;
                            junk ^= junk << 5;
                            junk.to_ne_bytes()
                        })
                        .collect(),
                    _ => message(1 << 20, b"").repeat(8192),
                };
                peer.send(&bytes, &[]);
            }
            if round == 0 {
                assert!(peer.is_left());
                continue;
            }
            peer.send(&caps(GREY), &[]);
            peer.picture(1, &memory(5));
            assert_eq!(shown(intake).samples, vec![5; 12]);
        }
    });
}

#[test]
fn a_producer_that_never_takes_a_buffer_back_is_left() {
    with_client(|listener, intake| {
        let peer = accept(listener);
        peer.send(&caps(GREY), &[]);
        let memory = memory(1);
        peer.0.set_nonblocking(true).unwrap();
        let mut picture = 0;
        // Nothing is read here, until the client has enough of it.
        while !poll::look(&peer.0, rustix::event::PollFlags::OUT).intersects(poll::GONE) {
            peer.picture(picture, &memory);
            picture += 1;
            assert!(picture < 10_000_000, "the client waits");
        }
        let _ = intake.take();
        let peer = accept(listener);
        peer.send(&caps(GREY), &[]);
        peer.picture(1, &memory);
        shown(intake);
    });
}
