//! Streams as people have them: what is decoded of the transport stream is what is decoded of the source.

use crate::made::{changed, decoded, fields, from_first_idr, gstreamer, joined, kind, own, run, units, x264};
use crate::support::process::{self, Process};
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The ways of wrapping a stream.
const WAYS: [&[&str]; 3] = [&[], &["--fps", "30"], &["--fps", "30", "--how", "ffmpeg"]];

/// What wrapping a stream ends with: the transport stream, the exit code, and what was said.
fn wrap(stream: &[u8], way: &[&str]) -> (Vec<u8>, i32, String) {
    let mut command = process::mb_encode();
    let mut wrap = Process::start(command.arg("mpegts").args(way).stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut input = wrap.stdin();
    let source = stream.to_vec();
    let writer = std::thread::spawn(move || {
        // It may end before it has read everything.
        let _ = input.write_all(&source);
    });
    let mut wrapped = Vec::new();
    wrap.stdout().read_to_end(&mut wrapped).unwrap();
    writer.join().unwrap();
    let ended = wrap.wait();
    (wrapped, ended.code(), ended.stderr)
}

/// Runs `check` for every one of `all`, on as many threads as there are cores.
fn for_each<T: Sync>(all: &[T], check: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check(one);
                }
            });
        }
    });
}

/// A stream, and the same as ffmpeg is to decode it, for where it differs.
struct Made {
    name: &'static str,
    stream: Vec<u8>,
    clean: Option<Vec<u8>>,
}

fn made(name: &'static str, stream: Vec<u8>) -> Made {
    Made { name, stream, clean: None }
}

fn hidden(name: &'static str, stream: Vec<u8>, clean: &[u8]) -> Made {
    Made { name, stream, clean: Some(clean.to_vec()) }
}

fn every_stream() -> Vec<Made> {
    let plain = x264("160x120", 30, "bframes=0:keyint=10", &[]);
    let sliced = x264("160x120", 30, "bframes=0:keyint=10:slices=4", &[]);
    let intra = x264("160x120", 12, "keyint=1", &[]);
    let mut aud = true;
    let without_sets =
        |stream: &[u8]| changed(stream, |nal| if matches!(kind(&nal), 7 | 8) { vec![] } else { vec![nal] });
    let with_sets = |stream: &[u8]| {
        let sets: Vec<_> = units(stream).into_iter().filter(|nal| matches!(kind(nal), 7 | 8)).take(2).collect();
        [joined(&sets, 4), without_sets(stream)].concat()
    };
    vec![
        made("plain", plain.clone()),
        made("several slices", sliced.clone()),
        made("delimiters", x264("160x120", 30, "bframes=0:keyint=10:aud=1:slices=3", &[])),
        made(
            "filler",
            x264(
                "160x120",
                30,
                "bframes=0:keyint=10:nal-hrd=cbr:filler=1",
                &["-b:v", "600k", "-maxrate", "600k", "-bufsize", "60k"],
            ),
        ),
        made("intra refresh", x264("160x120", 40, "bframes=0:intra-refresh=1:keyint=10", &[])),
        made("MBAFF", x264("160x128", 30, "bframes=0:keyint=10:interlaced=1", &["-flags", "+ilme+ildct"])),
        made("MBAFF with B", x264("160x128", 30, "keyint=15:tff=1", &["-flags", "+ilme+ildct"])),
        made("PAFF", fields(12, false)),
        made("PAFF with delimiters", fields(12, true)),
        made("B", x264("160x120", 40, "keyint=15", &[])),
        made(
            "B in pyramids, open GOP",
            x264("160x120", 60, "keyint=15:bframes=7:b-pyramid=normal:open-gop=1:b-adapt=0", &[]),
        ),
        made("B later", [&plain[..], &x264("160x120", 30, "keyint=15", &[])].concat()),
        made("baseline", x264("160x120", 30, "keyint=10", &["-profile:v", "baseline"])),
        made("4:4:4 with 10 bits", x264("160x120", 20, "keyint=10:bframes=0", &["-pix_fmt", "yuv444p10le"])),
        made("IDR pictures alone", intra.clone()),
        made(
            "IDR pictures of one number",
            joined(&(0..6).flat_map(|_| units(&x264("160x120", 1, "keyint=1", &[]))).collect::<Vec<_>>(), 4),
        ),
        made("sets of another number", x264("160x120", 30, "bframes=0:keyint=10:sps-id=5", &[])),
        made(
            "sizes that change",
            [&plain[..], &x264("192x144", 20, "bframes=0:keyint=10:aud=1", &[]), &sliced].concat(),
        ),
        made("sets once", with_sets(&sliced)),
        made("sets once, IDR pictures alone", with_sets(&intra)),
        made(
            "pictures of one number without sets",
            with_sets(&joined(
                &(0..6).flat_map(|_| units(&x264("160x120", 1, "keyint=1", &[]))).collect::<Vec<_>>(),
                4,
            )),
        ),
        made("sets before every slice's picture", {
            let sets: Vec<_> = units(&plain).into_iter().filter(|nal| matches!(kind(nal), 7 | 8)).take(2).collect();
            changed(&plain, |nal| if kind(&nal) == 1 { [&sets[..], &[nal]].concat() } else { vec![nal] })
        }),
        made("the sets of two streams in front", {
            let other = x264("192x144", 20, "bframes=0:keyint=10:sps-id=3", &[]);
            let (sets, slices): (Vec<_>, Vec<_>) =
                [units(&plain), units(&other)].concat().into_iter().partition(|nal| matches!(kind(nal), 7 | 8));
            joined(&[&[0, 1, 6, 7].map(|at| sets[at].clone())[..], &slices].concat(), 4)
        }),
        hidden(
            "slices of another view",
            changed(&sliced, |nal| match kind(&nal) {
                8 => vec![vec![0x6f, 0x76, 0, 0x1e, 0xe5, 0x61, 0x42, 0x32], nal],
                1 => vec![nal, vec![0x74, 0x40, 0x80, 7, 0x9a, 0x5a]],
                _ => vec![nal],
            }),
            &sliced,
        ),
        made("short start codes", joined(&units(&sliced), 3)),
        made("long start codes", joined(&units(&sliced), 9)),
        made(
            "delimiter before every second picture",
            changed(&plain, |nal| {
                aud = !aud;
                if kind(&nal) == 1 && aud { vec![vec![9, 0xf0], nal] } else { vec![nal] }
            }),
        ),
        hidden("leading zeros", [&[0; 1000][..], &plain].concat(), &plain),
        hidden(
            "text in front",
            [b"Setting pipeline to PAUSED ...\nRedistribute latency...\n", &plain[..]].concat(),
            &plain,
        ),
        hidden(
            "text behind",
            [&plain[..], b"Got EOS from element \"pipeline0\".\nExecution ended after 0:00:01.0\n"].concat(),
            &plain,
        ),
        hidden(
            "text between",
            changed(&plain, |mut nal| {
                if kind(&nal) == 1 {
                    nal.extend_from_slice(b"New clock: GstSystemClock\n");
                }
                vec![nal]
            }),
            &plain,
        ),
        hidden("filler in front", [&[0, 0, 0, 1, 12, 0xff, 0x80][..], &plain].concat(), &plain),
        hidden("end of sequence in front", [&[0, 0, 1, 10, 0, 0, 1, 11][..], &plain].concat(), &plain),
        hidden(
            "ends of sequences",
            changed(&intra, |nal| if kind(&nal) == 5 { vec![nal, vec![10], vec![11]] } else { vec![nal] }),
            &intra,
        ),
        hidden(
            "prefixes",
            changed(&sliced, |nal| match kind(&nal) {
                1 | 5 => vec![vec![0x6e, 0x40, 0x80, 0x07], nal],
                _ => vec![nal],
            }),
            &sliced,
        ),
        hidden(
            "types without a meaning",
            changed(&sliced, |nal| vec![nal, vec![0x78, 1, 2], vec![0x1f, 3], vec![0x80, 1]]),
            &sliced,
        ),
        made("OpenH264 of this program", own(30)),
        made("OpenH264 of GStreamer", gstreamer(30, &["gop-size=10"], true)),
        made("OpenH264 in slices", gstreamer(30, &["gop-size=10", "slice-mode=n-slices", "num-slices=4"], true)),
        hidden(
            "gst-launch-1.0 without -q",
            gstreamer(30, &["gop-size=10"], false),
            &gstreamer(30, &["gop-size=10"], true),
        ),
    ]
}

#[test]
fn the_pictures_are_those_of_the_source_whatever_wraps_them() {
    for_each(&every_stream(), |Made { name, stream, clean }| {
        let source = decoded("h264", clean.as_ref().unwrap_or(stream));
        assert!(source.len() >= 6, "{name}: {}", source.len());
        for way in WAYS {
            let (wrapped, code, said) = wrap(stream, way);
            assert_eq!(code, 0, "{name} {way:?}: {said}");
            assert_eq!(decoded("mpegts", &wrapped), source, "{name} {way:?}: {said}");
            let times = times(&wrapped);
            assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{name} {way:?}: {times:?}");
        }
    });
}

/// When the pictures of a transport stream are shown, in the order in which they are.
fn times(stream: &[u8]) -> Vec<i64> {
    let folder = crate::folder();
    let file = folder.path().join("stream.ts");
    std::fs::write(&file, stream).unwrap();
    let mut command = Command::new("ffprobe");
    command.args(["-v", "fatal", "-select_streams", "v", "-show_entries", "frame=pts", "-of", "csv=p=0"]);
    let table = String::from_utf8(run(command.arg(&file))).unwrap();
    let times = table.lines().filter_map(|line| line.trim_matches(',').parse().ok());
    times.collect()
}

#[test]
fn a_stream_can_be_joined_anywhere() {
    let sources = [
        x264("160x120", 40, "bframes=0:keyint=10:slices=3", &[]),
        x264("160x120", 40, "keyint=10:aud=1", &[]),
        gstreamer(40, &["gop-size=10"], true),
        [x264("160x120", 20, "bframes=0:keyint=10", &[]), x264("192x144", 20, "bframes=0:keyint=5", &[])].concat(),
        x264("160x128", 40, "bframes=0:keyint=10", &["-flags", "+ilme+ildct"]),
    ];
    // The same places in every run, and all over the streams.
    let mut seed = 1u64;
    let places: Vec<_> = (0..50)
        .map(|at| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let source = &sources[at % sources.len()];
            &source[(seed >> 33) as usize % (source.len() * 3 / 4)..]
        })
        .collect();
    for_each(&places, |stream| {
        let from = format!("{} bytes from the end", stream.len());
        let source = decoded("h264", &from_first_idr(stream).expect("there is one"));
        for way in [WAYS[0], WAYS[2]] {
            let (wrapped, code, said) = wrap(stream, way);
            assert_eq!(code, 0, "{from} {way:?}: {said}");
            let pictures = decoded("mpegts", &wrapped);
            assert!(pictures.ends_with(&source), "{from} {way:?}: {} of {}: {said}", pictures.len(), source.len());
            assert!(said.lines().filter(|line| line.contains("passed over")).count() <= 1, "{from} {way:?}: {said}");
        }
    });
}

/// What is said about a source that has written `stream` and goes on without an end, until there is something.
fn said_while_it_runs(stream: &[u8]) -> (String, Duration) {
    let started = Instant::now();
    let mut wrap = Process::start(process::mb_encode().arg("mpegts").stdin(Stdio::piped()).stdout(Stdio::piped()));
    let mut input = wrap.stdin();
    let _ = input.write_all(stream);
    let line = wrap.wait_for_line("[");
    (line, started.elapsed())
}

#[test]
fn what_it_cannot_wrap_is_named_while_the_source_runs() {
    let plain = x264("160x120", 10, "bframes=0", &[]);
    let folder = crate::folder();
    let source = folder.path().join("source.264");
    std::fs::write(&source, &plain).unwrap();
    let ffmpeg = |options: &[&str]| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-f", "h264", "-i"]).arg(&source);
        run(command.args(options).arg("-"))
    };
    let no_sets = changed(&plain, |nal| if matches!(kind(&nal), 7 | 8) { vec![] } else { vec![nal] });
    let lengths: Vec<u8> =
        units(&plain).iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect();
    let h265 = |options: &str| {
        ffmpeg(&["-c:v", "libx265", "-x265-params", &format!("log-level=none:{options}"), "-f", "hevc"])
    };
    let slices_of_h265 =
        joined(&units(&h265("keyint=2")).into_iter().filter(|nal| nal[0] < 0x40).collect::<Vec<_>>(), 4);
    let table: &[(Vec<u8>, &[&str])] = &[
        (vec![], &["nothing has arrived"]),
        (b"Setting pipeline to PAUSED ...\n".to_vec(), &["31 bytes of text", "-q"]),
        (vec![0xaa; 500], &["500 bytes", "no start code", "[aa, aa, aa, aa]"]),
        (no_sets, &["10 frames", "SPS, PPS", "repeat"]),
        (joined(&units(&plain)[..2], 4), &["no whole H.264 frame"]),
        (lengths, &["AVCC"]),
        (h265("aud=1"), &["H.265"]),
        (h265("aud=0"), &["H.265"]),
        (slices_of_h265, &["H.265"]),
        (ffmpeg(&["-c", "copy", "-f", "mpegts"]), &["MPEG-TS"]),
        (ffmpeg(&["-c", "copy", "-f", "mpegts"])[1000..].to_vec(), &["MPEG-TS"]),
        (ffmpeg(&["-c", "copy", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4"]), &["MP4"]),
        (ffmpeg(&["-c", "copy", "-f", "matroska"]), &["Matroska"]),
        (ffmpeg(&["-c", "copy", "-f", "flv"]), &["FLV"]),
        (ffmpeg(&["-c", "copy", "-f", "avi"]), &["AVI"]),
        (ffmpeg(&["-c:v", "mjpeg", "-f", "mjpeg"]), &["JPEG"]),
        (ffmpeg(&["-c:v", "libvpx", "-f", "ivf"]), &["IVF"]),
        (ffmpeg(&["-f", "yuv4mpegpipe"]), &["Y4M"]),
        (ffmpeg(&["-c:v", "mpeg2video", "-f", "mpeg2video"]), &["MPEG-2"]),
        (ffmpeg(&["-c:v", "mpeg2video", "-f", "vob"]), &["program stream"]),
    ];
    for_each(table, |(stream, words)| {
        let (line, took) = said_while_it_runs(stream);
        assert!(words.iter().all(|word| line.contains(word)), "{words:?}: {line}");
        assert!(took < Duration::from_secs(10), "{words:?}: {took:?}");
    });
}

#[test]
fn each_thing_is_said_once_however_long_it_goes_on() {
    let deep = x264("160x120", 90, "keyint=10:tff=1", &["-pix_fmt", "yuv422p10le", "-flags", "+ilme+ildct"]);
    // Every picture lacks its parameter sets, and is written in two parts with a pause between.
    let text = b"Redistribute latency...\n";
    let (_, code, said) = wrap(&[&text[..], &deep, text, &deep].concat(), WAYS[2]);
    assert_eq!(code, 0, "{said}");
    for words in ["10-bit 4:2:2", "interlaced", "B frames in", "passed over", "without ffmpeg"] {
        assert_eq!(said.lines().filter(|line| line.contains(words)).count(), 1, "{words}: {said}");
    }
    assert_eq!(said.lines().count(), 5, "{said}");
}

#[test]
fn pictures_in_front_of_the_first_idr_picture_do_not_stop_it() {
    // The IDR picture was lost, and the parameter sets are there.
    let whole = x264("160x120", 60, "bframes=0:keyint=30", &[]);
    let sets: Vec<_> = units(&whole).into_iter().filter(|nal| matches!(kind(nal), 7 | 8)).take(2).collect();
    let lost = |nal: &Vec<u8>| matches!(kind(nal), 5..=8);
    let rest: Vec<_> = units(&whole).into_iter().skip_while(lost).collect();
    let never: Vec<_> = rest.iter().filter(|nal| kind(nal) == 1).cloned().collect();
    for (name, units) in [("again later", rest), ("never", never)] {
        let stream = joined(&[&sets[..], &units].concat(), 4);
        let source = from_first_idr(&stream).map_or(vec![], |stream| decoded("h264", &stream));
        for way in WAYS {
            let (wrapped, code, said) = wrap(&stream, way);
            assert_eq!(code, 0, "{name} {way:?}: {said}");
            let packets = units_of(&wrapped);
            assert!(packets >= if name == "never" { 58 } else { 59 }, "{name} {way:?}: {packets}");
            if !source.is_empty() {
                assert!(decoded("mpegts", &wrapped).ends_with(&source), "{name} {way:?}: {said}");
            }
        }
    }
}

/// How many PES packets there are.
fn units_of(stream: &[u8]) -> usize {
    let begins = |packet: &&[u8]| packet[1] & 0x5f == 0x41 && packet[2] == 0;
    stream.chunks(188).filter(begins).count()
}

#[test]
fn both_fields_of_a_frame_are_one_packet() {
    for (delimiters, way) in [(false, WAYS[0]), (true, WAYS[1]), (true, WAYS[2])] {
        let (wrapped, code, said) = wrap(&fields(12, delimiters), way);
        assert_eq!(code, 0, "{said}");
        assert_eq!(units_of(&wrapped), 12, "{way:?}: {said}");
    }
}
