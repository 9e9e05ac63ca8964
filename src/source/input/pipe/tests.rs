//! What comes out of a pipe, however its bytes come, and what is left in it.

use super::super::Wanted;
use super::super::intake::{Keep, Next};
use super::*;
use crate::settings::PixelFormat;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io::Write as _;

const Y4M: Form = Form::Y4m(InputSettings { matrix: crate::settings::Matrix::Bt709, range: None });

/// Writes pieces by themselves, and returns the first samples of what arrives, and how it ended.
fn through(form: &Form, pieces: &[&[u8]]) -> (Vec<u8>, End) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    // Pictures of a few bytes are scaled to one that a stream can have.
    let wanted = Wanted { width: Some(64), height: Some(64), frame_rate: None };
    let intake = Intake::new(Keep::Every).unwrap().for_stream(wanted);
    let mut seen = Vec::new();
    let end = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut write = std::fs::File::from(write);
            for piece in pieces {
                // It may have been refused by then.
                let _ = write.write_all(piece);
                std::thread::yield_now();
            }
        });
        let intake = &intake;
        let reading = scope.spawn(move || {
            let end = Pipe::new(&read, intake).read(form, &|| true);
            intake.end(Ok(()));
            end
        });
        loop {
            crate::os::poll::wait_for(&intake.arrivals(), PollFlags::IN, None);
            match intake.take().unwrap() {
                Next::Picture(Arrived { samples, .. }) => {
                    seen.push(samples[0]);
                    intake.give_back(samples);
                }
                Next::Ended => break,
                _ => {}
            }
        }
        reading.join().unwrap()
    });
    (seen, end)
}

#[test]
fn pictures_come_out_whole_however_their_bytes_come() {
    let mut stream = b"YUV4MPEG2 W4 H2 F30:1 Cmono\n".to_vec();
    for at in 0..5u8 {
        stream.extend_from_slice(if at == 2 { b"FRAME Ip XSOME=THING\n" } else { b"FRAME\n" });
        stream.extend_from_slice(&[at; 8]);
    }
    for size in [1, 2, 3, 7, 13, 64, stream.len()] {
        let pieces: Vec<_> = stream.chunks(size).collect();
        let (seen, end) = through(&Y4M, &pieces);
        assert_eq!(seen, [0, 1, 2, 3, 4], "in pieces of {size}");
        assert!(matches!(end, End::Closed { pictures: 5, cut: false }), "{end:?}");
    }
}

/// Takes one picture, and leaves when the next one has come, or a part of it. Returns what the next process is told.
fn left_behind(form: &Form, behind: Vec<u8>, bytes: &[u8], keep: Keep) -> (Vec<u8>, u64) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let wanted = Wanted { width: Some(64), height: Some(64), frame_rate: None };
    let intake = Intake::new(keep).unwrap().for_stream(wanted);
    std::fs::File::from(write.try_clone().unwrap()).write_all(bytes).unwrap();
    let taken = std::thread::scope(|scope| {
        let reading = scope.spawn(|| Pipe::new(&read, &intake).behind(behind).read(form, &|| true));
        crate::os::poll::wait_for(&intake.arrivals(), PollFlags::IN, None);
        let Next::Picture(taken) = intake.take().unwrap() else { panic!("a picture has arrived") };
        // As much as is there is read meanwhile.
        while rustix::io::ioctl_fionread(&read).unwrap() > 0 && keep == Keep::Latest {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        intake.close();
        assert!(matches!(reading.join().unwrap(), End::Over));
        taken
    });
    // What was not read is there for whoever reads on.
    drop(write);
    let mut unread = Vec::new();
    std::io::Read::read_to_end(&mut std::fs::File::from(read), &mut unread).unwrap();
    ([intake.unshown(None), unread].concat(), taken.ends_at)
}

#[test]
fn what_was_not_shown_can_be_read_behind_what_was() {
    let header = b"YUV4MPEG2 W4 H2 F30:1 Cmono\n";
    let frames: Vec<_> = (0..5u8).map(|at| [&b"FRAME\n"[..], &[at; 8]].concat()).collect();
    let stream = [&header[..], &frames.concat()].concat();
    for cut in header.len() + 14..=stream.len() {
        let (rest, ends_at) = left_behind(&Y4M, Vec::new(), &stream[..cut], Keep::Every);
        assert_eq!(ends_at, header.len() as u64 + 14);
        assert_eq!(rest, [&header[..], &stream[ends_at as usize..cut]].concat(), "cut at {cut}");
    }
    // And once more, from what was left behind, with what comes then.
    let (rest, _) = left_behind(&Y4M, Vec::new(), &stream[..header.len() + 20], Keep::Every);
    let (rest, _) = left_behind(&Y4M, rest, &stream[header.len() + 20..], Keep::Every);
    assert_eq!(rest, [&header[..], &frames[2..].concat()].concat());
    let (matrix, range) = Default::default();
    let raw = Form::Raw(Shape { width: 2, height: 2, format: PixelFormat::Rgb24, matrix, range });
    let bytes: Vec<u8> = (0..30).collect();
    assert_eq!(left_behind(&raw, Vec::new(), &bytes, Keep::Every).0, bytes[12..]);
    let (latest, _) = left_behind(&raw, Vec::new(), &bytes, Keep::Latest);
    assert!(bytes.ends_with(&latest) && latest.len() >= 6, "no part of a picture is lost: {latest:?}");
}

#[test]
fn a_file_is_read_from_where_another_process_has_come_to() {
    let mut file = tempfile::tempfile().unwrap();
    let frames: Vec<_> = (0..5u8).map(|at| [&b"FRAME Ip\n"[..], &[at; 8]].concat()).collect();
    file.write_all(&[&b"YUV4MPEG2 W4 H2 Cmono\n"[..], &frames.concat()].concat()).unwrap();
    let wanted = Wanted { width: Some(64), height: Some(64), frame_rate: None };
    for (from, first) in [(22, 0), (22 + 17, 1), (22 + 4 * 17, 4)] {
        std::io::Seek::rewind(&mut file).unwrap();
        let intake = Intake::new(Keep::Every).unwrap().for_stream(wanted);
        std::thread::scope(|scope| {
            scope.spawn(|| Pipe::new(&file, &intake).from(from).read(&Y4M, &|| true));
            crate::os::poll::wait_for(&intake.arrivals(), PollFlags::IN, None);
            let Next::Picture(taken) = intake.take().unwrap() else { panic!("a picture has arrived") };
            assert_eq!((taken.samples[0], taken.ends_at), (first, from + 17));
            intake.close();
        });
    }
}

#[test]
fn raw_pictures_are_told_apart_by_their_size() {
    let (matrix, range) = Default::default();
    let form = Form::Raw(Shape { width: 2, height: 2, format: PixelFormat::Rgb24, matrix, range });
    let bytes: Vec<u8> = (0..30).collect();
    let (seen, end) = through(&form, &[&bytes[..5], &bytes[5..25], &bytes[25..]]);
    assert_eq!(seen, [0, 12]);
    assert!(matches!(end, End::Closed { pictures: 2, cut: true }), "{end:?}");
    let (_, end) = through(&form, &[&bytes[..24]]);
    assert!(matches!(end, End::Closed { pictures: 2, cut: false }), "{end:?}");
}

#[test]
fn a_picture_that_is_cut_short_is_not_shown() {
    for cut in
        [&b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FRAME\n1234567"[..], b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FRA"]
    {
        let (seen, end) = through(&Y4M, &[cut]);
        assert_eq!(seen, *b"1");
        assert!(matches!(end, End::Closed { pictures: 1, cut: true }), "{end:?}");
    }
    let (_, end) = through(&Y4M, &[b"YUV4MP"]);
    assert!(matches!(end, End::Closed { pictures: 0, cut: true }), "{end:?}");
}

#[test]
fn what_is_no_y4m_is_refused_at_its_first_bytes() {
    let junk: Vec<u8> = (0..200_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let endless = [b"YUV4MPEG2 ".to_vec(), vec![b'X'; 1 << 20]].concat();
    for (bytes, code) in [
        (junk.as_slice(), "input-not-y4m"),
        (b"YUV4MPEG3 W4 H2\nFRAME\n", "input-not-y4m"),
        (&endless, "input-not-y4m"),
        (b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n12345678FROG\n", "input-out-of-step"),
        (b"YUV4MPEG2 W4 H2 Cmono\nFRAME\n123456789", "input-out-of-step"),
    ] {
        let (_, end) = through(&Y4M, &[bytes]);
        assert!(matches!(&end, End::Bad(error) if error.code() == code), "{end:?}");
    }
}
