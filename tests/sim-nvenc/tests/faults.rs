//! Every fault that a test can order is shown, at its time and as often as ordered; and the report
//! says what was leaked.

#[path = "../../support/rig/mod.rs"]
mod rig;
#[path = "../../support/sim.rs"]
mod sim;

use rig::live::{Live, picture};
use rig::nvenc::{Encoder, Settings, create_instance, max_supported_version};
use rig::process::scenes;
use rig::{cuda, process};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const SIZE: (u32, u32) = (160, 64);

/// Writes a line for the parent to compare.
fn tell(line: impl std::fmt::Display) {
    use std::io::Write;
    let path = process::scene_folder().join("told");
    let file = std::fs::File::options().append(true).create(true).open(path);
    writeln!(file.expect("the scene's folder"), "{line}").expect("a line");
}

fn told(ended: &process::Ended) -> Vec<String> {
    let text = std::fs::read_to_string(ended.folder.join("told")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn opens() {
    let context = cuda::start();
    for _ in 0..3 {
        match Encoder::open(context) {
            Ok(encoder) => {
                tell("open");
                assert_eq!(encoder.destroy(), 0);
            }
            Err(status) => tell(status),
        }
    }
    assert_eq!(cuda::cuDevicePrimaryCtxRelease_v2(0), 0);
}

#[test]
fn an_open_fails_with_the_status_ordered() {
    scenes!(opens);
    for status in ["1", "2", "4", "5", "8", "10", "15", "20", "21", "777"] {
        let fault = format!("open:{status}");
        let ended = process::run("opens", &format!("open-{status}"), &[("MB_SIM_FAULT", &fault)]);
        ended.assert_passed().report.assert_clean();
        assert_eq!(told(&ended), [status, status, status]);
        assert_eq!(ended.report.count("fault.NvEncOpenEncodeSessionEx"), 3);
    }
    let ended = process::run("opens", "open-twice", &[("MB_SIM_FAULT", "open:21x2")]);
    assert_eq!(told(&ended), ["21", "21", "open"]);
    let ended = process::run("opens", "open-second", &[("MB_SIM_FAULT", "open:10@1")]);
    assert_eq!(told(&ended), ["open", "10", "open"]);
}

/// Four lives of five pictures, each as far as it gets.
fn lives() {
    for _ in 0..4 {
        let live = Live::start(SIZE, false, |_| {});
        let mut line = Vec::new();
        for number in 0..5 {
            match live.push(&picture(SIZE, number), 0) {
                Ok((_, kind)) => line.push(format!("t{kind}")),
                Err(status) => line.push(format!("e{status}")),
            }
        }
        tell(line.join(" "));
        live.end();
    }
}

#[test]
fn a_fault_at_a_picture_comes_there_and_loses_the_device_where_it_must() {
    scenes!(lives);
    let whole = "t3 t0 t0 t0 t0";
    for (fault, first, then) in [
        ("encode:5@2", "t3 t0 e5 e5 e5", [whole, whole, whole]),
        ("encode:5@2x3", "t3 t0 e5 e5 e5", ["t3 t0 e5 e5 e5", "t3 t0 e5 e5 e5", whole]),
        ("lock:20@1", "t3 e20 e20 e20 e20", [whole, whole, whole]),
        ("map:4@0", "e4 e4 e4 e4 e4", [whole, whole, whole]),
        ("encode:18@3", "t3 t0 t0 e18 t0", [whole, whole, whole]),
        ("lock:13@1,encode:8@3", "t3 e13 t0 e8 t0", [whole, whole, whole]),
    ] {
        let name = fault.replace([':', ','], "-");
        let ended = process::run("lives", &name, &[("MB_SIM_FAULT", fault)]);
        ended.assert_passed().report.assert_clean();
        let lives = told(&ended);
        assert_eq!(lives[0], first, "{fault}");
        assert_eq!(lives[1..], then, "{fault}");
        assert_eq!(ended.report.count("peak.sessions"), 1);
    }
}

/// A thousand encoders one after the other, as a stream whose reader comes and goes makes them.
fn a_thousand_lives() {
    let live = Live::start(SIZE, false, |_| {});
    let context = cuda::start();
    for _ in 1..1000 {
        let encoder = Encoder::open(context).expect("a session");
        let settings = Settings::live(&encoder, SIZE);
        assert_eq!(encoder.initialize(&settings.init), 0);
        let (_, buffer) = encoder.create_bitstream();
        assert_eq!((encoder.destroy_bitstream(buffer), encoder.destroy()), (0, 0));
    }
    live.end();
    assert_eq!(cuda::cuDevicePrimaryCtxRelease_v2(0), 0);
}

#[test]
fn a_thousand_lives_leave_nothing_behind() {
    scenes!(a_thousand_lives);
    let ended = process::run("a_thousand_lives", "thousand", &[("MB_SIM_SESSION_LIMIT", "2")]);
    ended.assert_passed().report.assert_clean();
    assert_eq!(ended.report.count("call.NvEncDestroyEncoder"), 1000);
    assert_eq!(ended.report.count("peak.sessions"), 2);
}

fn maps_of_textures() {
    let live = Live::start(SIZE, false, |_| {});
    for _ in 0..6 {
        let status = cuda::cuGraphicsMapResources(2, &live.resources, 0);
        tell(status);
        if status == 0 {
            assert_eq!(cuda::cuGraphicsUnmapResources(2, &live.resources, 0), 0);
        }
    }
    live.end();
}

#[test]
fn a_cuda_call_fails_where_ordered() {
    scenes!(maps_of_textures, cuda_starts);
    let ended = process::run("maps_of_textures", "map-999", &[("MB_SIM_FAULT", "cuda:cuGraphicsMapResources:999@2x2")]);
    ended.assert_passed().report.assert_clean();
    assert_eq!(told(&ended), ["0", "0", "999", "0", "0", "999"]);
    for (fault, status) in [("cuda:cuInit:100", 100), ("cuda:cuInit:803", 803)] {
        let ended = process::run("cuda_starts", &format!("init-{status}"), &[("MB_SIM_FAULT", fault)]);
        ended.assert_passed();
        assert_eq!(told(&ended), [status.to_string()]);
    }
}

fn cuda_starts() {
    tell(cuda::cuInit(0));
}

fn versions() {
    use nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENCODE_API_FUNCTION_LIST_VER;
    let (status, version) = max_supported_version();
    let (created, _) = create_instance(NV_ENCODE_API_FUNCTION_LIST_VER);
    let mut driver = 0;
    assert_eq!(cuda::cuDriverGetVersion(&mut driver), 0);
    tell(format!("{status} {}.{} {created} {driver}", version >> 4, version & 15));
}

#[test]
fn versions_are_those_ordered() {
    scenes!(versions);
    for (encoder, driver, line) in [
        ("12.1", "12020", "0 12.1 0 12020"),
        ("13.0", "13000", "0 13.0 0 13000"),
        ("11.1", "11040", "0 11.1 15 11040"),
        ("12.0", "12000", "0 12.0 15 12000"),
    ] {
        let settings = [("MB_SIM_NVENC_VERSION", encoder), ("MB_SIM_DRIVER_VERSION", driver)];
        let ended = process::run("versions", encoder, &settings);
        ended.assert_passed();
        assert_eq!(told(&ended), [line]);
    }
    let fault = [("MB_SIM_FAULT", "max-version:20,instance:8")];
    assert_eq!(told(process::run("versions", "faulty", &fault).assert_passed()), ["20 0.0 8 12020"]);
}

fn capabilities() {
    let context = cuda::start();
    let encoder = Encoder::open(context).expect("a session");
    tell(format!("{:?} {:?} {:?}", encoder.caps(16), encoder.caps(26), encoder.caps(17)));
    let mut settings = Settings::live(&encoder, (2048, 1024));
    settings.config.put(
        std::mem::offset_of!(nvidia_video_codec_sdk::sys::nvEncodeAPI::NV_ENC_CONFIG, rcParams.vbvBufferSize),
        100_000,
    );
    tell(encoder.initialize(&settings.init));
    tell(encoder.last_error());
}

#[test]
fn capabilities_are_those_ordered_and_are_kept_to() {
    scenes!(capabilities);
    let plain = process::run("capabilities", "plain", &[]);
    assert_eq!(told(plain.assert_passed()), ["(0, 4096) (0, 1) (0, 4096)", "0", ""]);
    let narrow = process::run("capabilities", "narrow", &[("MB_SIM_CAPS", "WIDTH_MAX=1920")]);
    let error = "NvEncInitializeEncoder: width-out-of-range";
    assert_eq!(told(narrow.assert_passed()), ["(0, 1920) (0, 1) (0, 4096)", "8", error]);
    let no_vbv =
        process::run("capabilities", "no-vbv", &[("MB_SIM_CAPS", "NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE=0,17=8192")]);
    let error = "NvEncInitializeEncoder: vbv-without-capability";
    assert_eq!(told(no_vbv.assert_passed()), ["(0, 4096) (0, 0) (0, 8192)", "12", error]);
    // What is not told is there all the same.
    let silent = process::run("capabilities", "silent", &[("MB_SIM_CAPS", "WIDTH_MAX=refused,26=refused:12")]);
    let error = "NvEncGetEncodeCaps: EncodeAPI Internal Error.";
    assert_eq!(told(silent.assert_passed()), ["(8, 0) (12, 0) (0, 4096)", "0", error]);
    assert!(silent.report.all("violation.").is_empty(), "it was no fault of the caller's");
}

fn leaks() {
    let live = Live::start(SIZE, false, |_| {});
    live.push(&picture(SIZE, 0), 0).expect("a picture");
    let (status, _mapped) = live.encoder.map(live.registered);
    assert_eq!(status, 0);
    if std::env::var_os("SCENE_DESTROY").is_some() {
        assert_eq!(live.encoder.destroy(), 0);
        assert_eq!(cuda::cuDevicePrimaryCtxRelease_v2(0), 0);
    }
    if std::env::var_os("SCENE_VANISH").is_some() {
        std::process::abort();
    }
}

#[test]
fn whatever_is_not_released_is_in_the_report() {
    scenes!(leaks);
    let ended = process::run("leaks", "exit", &[]);
    ended.assert_passed();
    let live = BTreeMap::from([
        ("live.allocations", 1),
        ("live.bitstream_buffers", 1),
        ("live.contexts", 1),
        ("live.graphics_resources", 2),
        ("live.mapped_inputs", 1),
        ("live.registered_resources", 1),
        ("live.sessions", 1),
    ]);
    assert_eq!(ended.report.all("live."), live);
    let leaked = BTreeMap::from([
        ("leak.allocations", 1),
        ("leak.bitstream_buffers", 1),
        ("leak.graphics_resources", 2),
        ("leak.mapped_inputs", 1),
        ("leak.registered_resources", 1),
    ]);
    let destroy = ("SCENE_DESTROY", "1");
    let ended = process::run("leaks", "destroy", &[destroy]);
    assert_eq!(ended.assert_passed().report.all("leak."), leaked);
    let rule = "violation.NvEncDestroyEncoder.stream-not-ended";
    assert_eq!(ended.report.all("violation.NvEncDestroyEncoder"), BTreeMap::from([(rule, 1)]));
    assert_eq!(ended.report.all("live."), BTreeMap::new());
    // A process that never reaches its end has left a line when its session ended.
    let ended = process::run("leaks", "vanish", &[destroy, ("SCENE_VANISH", "1")]);
    assert!(!ended.output.status.success());
    assert_eq!(ended.report.all("leak."), leaked);
}

fn a_held_session() {
    let context = cuda::start();
    match Encoder::open(context) {
        Ok(_held) => {
            // The parent kills this process, which is how its slot gets free.
            std::fs::write(process::scene_folder().join("held"), "").expect("a file");
            std::thread::sleep(std::time::Duration::from_secs(60));
        }
        Err(status) => tell(status),
    }
}

#[test]
fn the_session_limit_holds_for_all_processes_of_a_folder() {
    scenes!(a_held_session, opens);
    let slots = process::folder("slots");
    let limit = [("MB_SIM_SESSION_LIMIT", "1"), ("MB_SIM_SESSION_DIR", slots.to_str().expect("text"))];
    let folder = process::folder("holder");
    let mut holder: Command = process::command("a_held_session", sim::drivers(), &folder, &limit);
    let mut holder = holder.stdout(Stdio::piped()).spawn().expect("this program can be run again");
    let lines = BufReader::new(holder.stdout.take().expect("a pipe"));
    while !folder.join("held").exists() {
        assert!(holder.try_wait().expect("a child").is_none(), "the holder ended");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let refused = |name, status: Option<&str>| {
        let status = status.map(|status| ("MB_SIM_SESSION_STATUS", status));
        let settings: Vec<_> = limit.into_iter().chain(status).collect();
        told(process::run("opens", name, &settings).assert_passed())
    };
    assert_eq!(refused("second", None), ["21", "21", "21"]);
    assert_eq!(refused("second-old", Some("10")), ["10", "10", "10"]);
    holder.kill().expect("a child");
    holder.wait().expect("a child");
    drop(lines.lines());
    assert_eq!(refused("third", None), ["open", "open", "open"]);
}

fn three_at_once() {
    let context = cuda::start();
    let opened: Vec<_> = (0..3).map(|_| Encoder::open(context)).collect();
    for encoder in opened {
        match encoder {
            Ok(encoder) => tell(format!("destroyed {}", encoder.destroy())),
            Err(status) => tell(status),
        }
    }
}

#[test]
fn the_session_limit_holds_within_a_process() {
    scenes!(three_at_once);
    let ended = process::run("three_at_once", "limit", &[("MB_SIM_SESSION_LIMIT", "2")]);
    assert_eq!(told(ended.assert_passed()), ["destroyed 0", "destroyed 0", "21"]);
    assert_eq!(ended.report.count("peak.sessions"), 2);
}

#[test]
fn a_crash_comes_at_the_function_ordered() {
    scenes!(opens, cuda_starts);
    let ended = process::run("opens", "crash", &[("MB_SIM_CRASH", "NvEncOpenEncodeSessionEx")]);
    assert!(!ended.output.status.success());
    let ended = process::run("cuda_starts", "crash-cuda", &[("MB_SIM_CRASH", "cuInit")]);
    assert!(!ended.output.status.success() && told(&ended).is_empty());
}

fn symbols() {
    let missing = std::env::var("SCENE_SYMBOL").expect("a scene is started by its parent");
    for (library, symbols) in [
        ("libcuda.so.1", &["cuInit", "cuGraphicsGLRegisterImage", "cuMemcpy2D_v2"][..]),
        ("libnvidia-encode.so.1", &["NvEncodeAPICreateInstance", "NvEncodeAPIGetMaxSupportedVersion"]),
    ] {
        // SAFETY: the simulated drivers' initialisers only register a report.
        let library = unsafe { libloading::Library::new(library) }.expect("the library");
        for symbol in symbols {
            // SAFETY: the symbol is looked up and never called.
            let found = unsafe { library.get::<unsafe extern "C" fn()>(symbol.as_bytes()) };
            assert_eq!(found.is_ok(), *symbol != missing, "{symbol}");
        }
    }
}

#[test]
fn a_symbol_can_be_missing() {
    scenes!(symbols);
    for symbol in ["cuGraphicsGLRegisterImage", "NvEncodeAPICreateInstance", "cuInit"] {
        let drivers = sim::drivers_without(symbol);
        process::run_with("symbols", symbol, &drivers, &[("SCENE_SYMBOL", symbol)]).assert_passed();
    }
    process::run("symbols", "none", &[("SCENE_SYMBOL", "")]).assert_passed();
}

#[test]
fn an_order_that_cannot_be_read_ends_the_program() {
    scenes!(cuda_starts);
    let ended = process::run("cuda_starts", "unreadable", &[("MB_SIM_FAULT", "opne:2")]);
    assert!(!ended.output.status.success());
}
