//! A CUDA error that lasts as long as the process, while somebody watches: the stream goes on in another process, on the same
//! pipe, and its reader sees one IDR picture and nothing else of it.

use crate::annex_b::pictures;
use crate::demux::demux;
use crate::fifo;
use crate::losses::{WAITS, assert_one_stream, attempts, idrs, parameter_sets, run};
use crate::run::{Ended, Run, at_once};
use crate::support::decode;
use crate::support::go2rtc::free_ports;
use crate::support::http::{Stream, get};
use crate::support::process::{DEADLINE, Process, Reader, mb_encode, until};
use rustix::process::Signal;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (320, 180);
const SMALL: (u32, u32) = (160, 90);
/// Two planes make two copies, and the simulated encoder two more: with picture 4.
const AT_4: &str = "cuda:cuMemcpy2D_v2:700@16";

/// Lets the first process alone fail that comes to its order.
pub fn once(run: Run) -> Run {
    let path = run.folder.path().join("once").display().to_string();
    run.env(&[("MB_SIM_FAULT_ONCE", &path)])
}

fn in_a_new_process(waits: &[&str]) -> Vec<String> {
    waits.iter().map(|wait| format!("{wait}, in a new process")).collect()
}

fn assert_moved(ended: &Ended, what: &str) {
    assert_eq!(parameter_sets(&ended.stream), [1; 2], "{what}");
    assert_eq!(attempts(ended), in_a_new_process(&WAITS[..1]), "{what}");
    assert_eq!(ended.stderr.lines().count(), 1, "{what}: {}", ended.stderr);
}

#[test]
fn an_error_that_stays_costs_an_idr_and_no_picture_wherever_it_is_seen() {
    let orders = [
        ("cuda:cuMemcpy2D_v2:700@16", "cuMemcpy2D failed with CUDA_ERROR_ILLEGAL_ADDRESS (700)"),
        ("cuda:cuMemcpy2D_v2:702@17", "CUDA_ERROR_LAUNCH_TIMEOUT (702)"),
        ("cuda:cuMemcpy2D_v2:716@16", "CUDA_ERROR_MISALIGNED_ADDRESS (716)"),
        ("cuda:cuMemcpy2D_v2:226@16", "CUDA_ERROR_CONTAINED (226)"),
        ("cuda:cuGraphicsMapResources:719@4", "cuGraphicsMapResources failed with CUDA_ERROR_LAUNCH_FAILED (719)"),
        ("cuda:cuGraphicsMapResources:714@4", "CUDA_ERROR_HARDWARE_STACK_ERROR (714)"),
        ("cuda:cuGraphicsMapResources:715@4", "CUDA_ERROR_ILLEGAL_INSTRUCTION (715)"),
        ("cuda:cuGraphicsSubResourceGetMappedArray:717@8", "CUDA_ERROR_INVALID_ADDRESS_SPACE (717)"),
        ("cuda:cuGraphicsSubResourceGetMappedArray:718@9", "CUDA_ERROR_INVALID_PC (718)"),
        ("cuda:cuGraphicsUnmapResources:721@4", "CUDA_ERROR_TENSOR_MEMORY_LEAK (721)"),
        ("cuda:cuGraphicsUnmapResources:911@4", "CUDA_ERROR_EXTERNAL_DEVICE (911)"),
        // The encoder's own copies, of which it only says that something failed.
        ("cuda:cuMemcpy2D_v2:700@18", "cuStreamSynchronize failed with CUDA_ERROR_ILLEGAL_ADDRESS (700)"),
        ("cuda:cuMemcpy2D_v2:719@19", "cuStreamSynchronize failed with CUDA_ERROR_LAUNCH_FAILED (719)"),
    ];
    let orders: Vec<_> = orders.into_iter().enumerate().collect();
    at_once(&orders, |&(at, (order, seen))| {
        let encoder = ["nvenc", "auto"][at % 2];
        let ended = once(run(order, &["--frames", "9", "--encoder", encoder])).finish();
        let what = format!("{order}, {encoder}");
        assert_one_stream(&ended, 9, &[0, 4], &what);
        assert_eq!(ended.code, 0, "{what}: {}", ended.stderr);
        // What the encoder itself asks of a driver in ruins is its own affair.
        if !seen.contains("cuStreamSynchronize") {
            ended.assert_well();
        }
        assert_moved(&ended, &what);
        assert!(ended.stderr.contains(seen), "{what}: {}", ended.stderr);
    });
}

#[test]
fn a_driver_that_always_dies_ends_in_openh264_or_with_the_reason() {
    let ended = run(AT_4, &["--frames", "30", "--encoder", "auto"]).finish();
    assert_one_stream(ended.assert_well(), 30, &[0, 4, 8, 12, 16], "auto");
    assert_eq!(attempts(&ended), in_a_new_process(&WAITS), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("falling back to OpenH264").count(), 1, "{}", ended.stderr);

    let ended = run(AT_4, &["--frames", "30"]).finish();
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    ended.report.assert_clean();
    assert_eq!(attempts(&ended), in_a_new_process(&WAITS), "{}", ended.stderr);
    let (_, last) = ended.stderr.split_once(" ERROR ").unwrap_or_else(|| panic!("{}", ended.stderr));
    for words in ["NVENC failed and did not come back in 3 attempts", "(700)", "[nvenc-gone]", "--encoder auto"] {
        assert!(last.contains(words), "{words:?} is not in {last}");
    }
    assert_one_stream(&ended, 16, &[0, 4, 8, 12], "nvenc");
}

#[test]
fn a_loss_at_the_very_first_picture_is_no_loss_to_the_reader() {
    let ended = once(run("cuda:cuMemcpy2D_v2:700@0", &["--frames", "5"])).finish();
    assert_one_stream(ended.assert_well(), 5, &[0], "the first picture");
}

/// A stream that any other failure would only have had start over in its process.
#[test]
fn losses_of_both_kinds_are_one_account() {
    let ended = run("encode:5@3,cuda:cuMemcpy2D_v2:700@22x1", &["--frames", "40", "--encoder", "auto"]).finish();
    ended.assert_well();
    let told = attempts(&ended);
    assert_eq!(told.len(), 3, "{}", ended.stderr);
    assert!(ended.stderr.contains("falling back to OpenH264"), "{}", ended.stderr);
    decode::assert_frames_rise_by_one(&decode::all_marks(&ended.stream, SIZE));
    assert_eq!(pictures(&ended.stream), 40);
}

#[test]
fn a_file_goes_on_where_it_ended() {
    let mut run =
        Run::new(&["--no-pace", "--gop", "3600", "--width", "320", "--height", "180", "--frames", "9", "--out"]);
    let path = run.folder.path().join("clip.h264");
    run.command.arg(&path);
    let mut run = once(run.env(&[("MB_SIM_FAULT", AT_4)]));
    // The folder goes with what `finish` takes.
    let ended = Process::start(run.command.stdout(std::process::Stdio::null())).wait();
    let stream = std::fs::read(&path).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    let ended = Ended { code: ended.code(), stderr: ended.stderr, stream, report: run.report() };
    assert_one_stream(ended.assert_well(), 9, &[0, 4], "a file");
    assert_moved(&ended, "a file");
}

#[test]
fn the_times_of_a_transport_stream_go_on() {
    for how in ["--mpegts=native", "--mpegts=ffmpeg"] {
        let options = ["--stdout", "--no-pace", "--gop", "3600", "--width", "160", "--height", "64", "--frames", "20"];
        let run = Run::new(&[&options[..], &["--fps", "30", how]].concat());
        let ended = once(run.env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:700@7")])).finish();
        let pictures = demux(&ended.assert_well().stream);
        assert_eq!(pictures.len(), 20, "{how}: {}", ended.stderr);
        for (at, picture) in pictures.iter().enumerate() {
            assert_eq!(picture.is_idr, at == 0 || at == 7, "{how}: picture {at}");
            let expected = pictures[0].pts + at as u64 * 3000;
            assert!(picture.pts.abs_diff(expected) <= 3, "{how}: picture {at} at {}, not {expected}", picture.pts);
        }
    }
}

/// In real time a picture stands for what the process takes, and the times say so.
#[test]
fn a_picture_stands_no_longer_than_a_second_and_a_half_beside_what_a_driver_takes_to_start() {
    let options = ["--stdout", "--gop", "3600", "--width", "160", "--height", "64", "--fps", "30", "--frames", "60"];
    let run = Run::new(&[&options[..], &["--mpegts=native"]].concat());
    let mut run = once(run.env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:700@30")]));
    let begun = Instant::now();
    let mut process = Process::start(&mut run.command);
    let mut stdout = process.stdout();
    let first = stdout.take_bytes(188);
    let start = begun.elapsed();
    let stream = [first, stdout.all()].concat();
    let ended = process.wait();
    let pictures = demux(&stream);
    assert_eq!((ended.code(), pictures.len()), (0, 60), "{}", ended.stderr);
    let idrs: Vec<_> = (0..60).filter(|&at| pictures[at].is_idr).collect();
    // A transport stream that is watched has two more soon after its start, and none like that where it goes on.
    assert_eq!(idrs, [0, 2, 8, 30], "{}", ended.stderr);
    let stands = Duration::from_millis((pictures[30].pts - pictures[29].pts) / 90);
    assert!(stands < start + Duration::from_millis(1500), "{stands:?}, and it started in {start:?}");
    assert!((pictures[30].pts - pictures[0].pts) % 3000 <= 1, "on the grid of the stream's beginning");
}

/// A worker with simulated drivers, whose reader's process alone fails: the rehearsal does not come that far.
fn worker(run: &mut Run, to: &[&str]) -> Process {
    // So small that a picture as it is fits into one packet whose length can be stated.
    run.command.args(["--width", "160", "--height", "90", "--fps", "60", "--gop", "3600"]).args(to);
    Process::start(&mut run.command)
}

fn assert_goes_on(stream: &[u8], at: usize, worker: &Process) {
    decode::assert_frames_rise_by_one(&decode::all_marks(stream, SMALL));
    assert_eq!(idrs(stream), [0, at], "{:?}", worker.lines());
    assert_eq!(parameter_sets(stream), [1; 2]);
    assert_eq!(
        worker.lines().iter().filter(|line| line.contains("in a new process")).count(),
        1,
        "{:?}",
        worker.lines()
    );
}

#[test]
fn a_fifos_reader_is_carried_over_and_so_is_the_next_one() {
    let mut run = Run::new(&[]).env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:719@20")]);
    let path = run.folder.path().join("demo.h264");
    run = once(run);
    let worker = worker(&mut run, &["--fifo", path.to_str().expect("a plain path")]);
    worker.wait_for_line("waiting for a reader");
    let mut viewer = fifo::connect(&path);
    let stream = viewer.units(60);
    assert_goes_on(&stream, 20, &worker);
    drop(viewer);
    let gone = worker.wait_for_line("reader disconnected");
    let frames: u64 = gone.split_once("frames=").expect("a count").1.split(' ').next().unwrap().parse().unwrap();
    assert!(frames >= 60, "those of both processes: {gone}");
    let next = fifo::connect(&path).units(40);
    assert_eq!(idrs(&next), [0]);
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), 0);
    run.report().assert_clean();
}

/// Killed at any place, a process leaves whole packets behind all the same.
#[test]
fn a_transport_stream_goes_on_behind_a_hang() {
    for how in ["--mpegts=native", "--mpegts=ffmpeg"] {
        let mut run = Run::new(&["--hang-timeout", "1", how]);
        let (path, once) = (run.folder.path().join("demo.ts"), run.folder.path().join("once"));
        run = run.env(&[("MB_SIM_HANG", "nvEncLockBitstream@31"), ("MB_SIM_HANG_ROLE", "reader")]);
        run.command.env("MB_SIM_HANG_ONCE", once);
        let worker = worker(&mut run, &["--fifo", path.to_str().expect("a plain path")]);
        worker.wait_for_line("waiting for a reader");
        let mut reader = Reader::new(std::fs::File::open(&path).expect("the FIFO"));
        let pictures = demux_up_to(|| reader.take_bytes(188 * 20), 60);
        let idrs: Vec<_> = (0..60).filter(|&at| pictures[at].is_idr).collect();
        assert_eq!(idrs, [0, 2, 16, 30], "{how}: {:?}", worker.lines());
        let stands = (pictures[30].pts - pictures[29].pts) / 90;
        // Those of ffmpeg are counted, and the next process goes on by the clock.
        assert!((1000..5000).contains(&stands), "{how}: {stands} ms");
        worker.signal(Signal::TERM);
        assert_eq!(worker.wait().code(), 0);
    }
}

#[test]
fn readers_by_http_are_carried_over() {
    let [port] = free_ports();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut run = Run::new(&[]).env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:719@20")]);
    let worker = worker(&mut run, &["--listen", &address.to_string(), "--encoder", "auto"]);
    until(DEADLINE, &format!("it listens: {:?}", worker.lines()), || TcpStream::connect(address).ok());
    std::thread::scope(|scope| {
        let raw = scope.spawn(|| {
            let stream = Stream::open(address, "/stream.h264");
            assert_eq!(stream.head.status, 200);
            fifo::Viewer::new(Reader::new(stream.socket)).units(100)
        });
        let mut ts = Stream::open(address, "/stream.ts");
        assert_eq!(ts.head.status, 200);
        let ts = demux_up_to(|| ts.take(188 * 20), 100);
        let idrs: Vec<_> = (0..100).filter(|&at| ts[at].is_idr).collect();
        // Each of four processes loses its driver, and then OpenH264 goes on.
        assert_eq!(idrs, [0, 2, 16, 20, 40, 60, 80], "{:?}", worker.lines());
        let raw = raw.join().expect("no panic in it");
        assert_eq!(crate::losses::idrs(&raw), [0, 20, 40, 60, 80], "{:?}", worker.lines());
        decode::assert_frames_rise_by_one(&decode::all_marks(&raw, SMALL));
        let status: serde_json::Value = serde_json::from_slice(&get(address, "/status").body).expect("JSON");
        let metrics = get(address, "/metrics");
        assert!(metrics.text().contains("mb_encode_restarts_total 8"), "{}", metrics.text());
        // The other one has left.
        assert_eq!(status["stream"]["restarts"], 4, "{status}");
    });
    worker.signal(Signal::TERM);
    assert_eq!(worker.wait().code(), 0);
}

/// Reads a transport stream until so many pictures are there.
fn demux_up_to(mut take: impl FnMut() -> Vec<u8>, pictures: usize) -> Vec<crate::demux::Picture> {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(take());
        let whole = crate::demux::whole_pictures(&bytes);
        if !whole.is_empty() {
            let found = demux(whole);
            if found.len() >= pictures {
                return found;
            }
        }
    }
}

#[test]
fn a_supervisor_counts_what_its_streams_got_over() {
    let mut run = Run::new(&[]).env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:719@20")]);
    let temp = run.folder.path().join("temp");
    run = once(run);
    run.command.arg("supervise").arg("--temp").arg(&temp).args(["--workers", "1", "--"]);
    run.command.args(["--width", "320", "--height", "180", "--fps", "60", "--gop", "3600"]);
    let supervisor = Process::start(&mut run.command);
    let status = |json: bool| {
        let output = mb_encode().args(["status", "--temp"]).arg(&temp).args(json.then_some("--json")).output();
        String::from_utf8(output.expect("it can be run").stdout).expect("text")
    };
    until(DEADLINE, &format!("it waits: {:?}", supervisor.lines()), || status(false).contains("waiting").then_some(()));
    let path: &Path = &temp.join("streams/omega-0.h264");
    let mut viewer = fifo::connect(path);
    let stream = viewer.units(60);
    assert_eq!(idrs(&stream), [0, 20]);
    decode::assert_frames_rise_by_one(&decode::all_marks(&stream, SIZE));
    until(DEADLINE, "the status counts it", || {
        let (json, table) = (status(true), status(false));
        (json.contains("\"restarts\": 1") && table.contains("its driver was lost once")).then_some(())
    });
    drop(viewer);
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait().code(), 0);
    run.report().assert_clean();
}

/// A stop comes while the stream moves: before, within and behind the moment at which the process becomes another one.
#[test]
fn a_stop_is_obeyed_whatever_the_process_is_about_to_become() {
    let delays: Vec<u64> = (0..10).map(|step| step * 30).collect();
    at_once(&delays, |&delay| {
        let options = ["--stdout", "--width", "160", "--height", "64", "--fps", "30"];
        let mut run = Run::new(&options).env(&[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:700@3")]);
        let mut process = Process::start(&mut run.command);
        let stream = process.stdout();
        // Read all along, or no picture would be drawn.
        std::thread::spawn(move || { stream }.all());
        process.wait_for_line("in a new process");
        std::thread::sleep(Duration::from_millis(delay));
        process.signal(Signal::TERM);
        let asked = Instant::now();
        let ended = process.wait();
        // A busy machine takes longer for the start of a driver than a stop has.
        assert!([0, 128 + Signal::TERM.as_raw()].contains(&ended.code()), "{delay} ms: {}", ended.stderr);
        assert!(asked.elapsed() < Duration::from_secs(3), "{delay} ms: {:?}", asked.elapsed());
    });
}
