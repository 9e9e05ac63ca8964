//! Every call that a test orders to hang never returns, from its number on, in the process that is meant; and nothing
//! else changes.

#[path = "../../support/rig/mod.rs"]
mod rig;
#[path = "../../support/sim.rs"]
mod sim;

use glow::HasContext as _;
use rig::egl::Context;
use rig::live::{Live, picture};
use rig::process::scenes;
use rig::{cuda, nvenc, process};
use std::os::unix::thread::JoinHandleExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SIZE: (u32, u32) = (160, 64);
const DEADLINE: Duration = Duration::from_secs(20);
/// How long a process is watched that is to do nothing.
const A_WHILE: Duration = Duration::from_millis(300);

/// Writes a line for the parent to compare.
fn tell(line: impl std::fmt::Display) {
    use std::io::Write;
    let path = process::scene_folder().join("told");
    let file = std::fs::File::options().append(true).create(true).open(path);
    writeln!(file.expect("the scene's folder"), "{line}").expect("a line");
}

fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !reached() {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A scene that is being played. It is killed when this is dropped.
struct Scene {
    child: Child,
    folder: PathBuf,
}

impl Scene {
    fn start(scene: &str, name: &str, settings: &[(&str, &str)]) -> Scene {
        let folder = process::folder(name);
        let mut command: Command = process::command(scene, sim::drivers(), &folder, settings);
        command.env("__EGL_VENDOR_LIBRARY_FILENAMES", sim::egl_vendor());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("this program can be run again");
        Scene { child, folder }
    }

    fn told(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("told")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn hung(&self, function: &str) -> u64 {
        sim::Report::read(&self.folder.join("report.json")).count(&format!("hang.{function}"))
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_some()
    }

    /// Waits until a call of `function` hangs, and sees that it stays so.
    fn assert_hangs(mut self, function: &str) -> Scene {
        until(&format!("{function} hangs"), || self.hung(function) > 0 || self.has_ended());
        std::thread::sleep(A_WHILE);
        assert!(!self.has_ended(), "it ended, and was to hang in {function}: {:?}", self.told());
        assert_eq!(self.hung(function), 1, "{function}");
        self
    }

    /// Waits until the scene is over, which has no hanging call.
    fn assert_ends(mut self) -> Scene {
        until("the scene ends", || self.has_ended());
        assert!(self.child.wait().expect("it has ended").success(), "{:?}", self.told());
        self
    }

    /// User and system time in ticks of 10 ms.
    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        [11, 12].iter().map(|&at: &usize| fields[at].parse::<u64>().expect("a number")).sum()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Both fail on a scene that is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls one function of CUDA five times.
fn five_calls() {
    cuda::start();
    for number in 1..=5 {
        tell(number);
        assert_eq!(cuda::cuCtxGetCurrent(&mut 0), 0);
    }
    tell("over");
}

#[test]
fn the_call_with_the_number_ordered_hangs() {
    scenes!(five_calls);
    for (order, told) in [
        ("cuCtxGetCurrent@3", &["1", "2", "3"][..]),
        ("cuCtxGetCurrent", &["1"]),
        ("cuCtxGetCurrent@5;cuCtxGetCurrent@2", &["1", "2"]),
        ("glFinish@1, cuCtxGetCurrent@1", &["1"]),
    ] {
        let scene = Scene::start("five_calls", &order.replace(['@', ';', ','], "-"), &[("MB_SIM_HANG", order)]);
        assert_eq!(scene.assert_hangs("cuCtxGetCurrent").told(), told, "{order}");
    }
    for order in ["", "cuCtxGetCurrent@6", "cuCtxGetDevice@1"] {
        let scene = Scene::start("five_calls", &format!("none-{order}"), &[("MB_SIM_HANG", order)]);
        assert_eq!(scene.assert_ends().told(), ["1", "2", "3", "4", "5", "over"], "{order}");
    }
}

#[test]
fn an_order_that_cannot_be_read_is_no_quiet_one() {
    scenes!(five_calls);
    for (name, value) in [("MB_SIM_HANG", "cuInit@0"), ("MB_SIM_HANG", "init"), ("MB_SIM_HANG_ROLE", "worker")] {
        let mut scene = Scene::start("five_calls", &format!("unreadable-{value}"), &[(name, value)]);
        until("it ends", || scene.has_ended());
        assert!(!scene.child.wait().expect("it has ended").success(), "{name}={value}");
        assert_eq!(scene.told(), [""; 0], "{name}={value}");
    }
}

#[test]
fn only_the_role_ordered_hangs() {
    scenes!(five_calls);
    let roles = [None, Some("4711"), Some("4711 3")];
    for (wanted, hangs) in
        [("any", [true, true, true]), ("rehearsal", [false, true, false]), ("reader", [false, false, true])]
    {
        for (role, hangs) in roles.into_iter().zip(hangs) {
            let mut settings = vec![("MB_SIM_HANG", "cuCtxGetCurrent@2"), ("MB_SIM_HANG_ROLE", wanted)];
            settings.extend(role.map(|role| ("MB_ENCODE_WORKERS_CHILD", role)));
            let scene = Scene::start("five_calls", &format!("{wanted}-{role:?}"), &settings);
            match hangs {
                true => drop(scene.assert_hangs("cuCtxGetCurrent")),
                false => drop(scene.assert_ends()),
            }
        }
    }
}

#[test]
fn one_process_alone_hangs_where_one_is_to() {
    scenes!(five_calls);
    let once = process::folder("once").join("taken");
    let settings = [("MB_SIM_HANG", "cuCtxGetCurrent@2"), ("MB_SIM_HANG_ONCE", once.to_str().expect("a plain path"))];
    let first = Scene::start("five_calls", "once-1", &settings).assert_hangs("cuCtxGetCurrent");
    assert_eq!(std::fs::read_to_string(&once).expect("made by the first"), first.child.id().to_string());
    for next in ["once-2", "once-3"] {
        Scene::start("five_calls", next, &settings).assert_ends();
    }
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

/// A call that hangs, and signals to the thread that makes it.
fn signalled() {
    extern "C" fn handle(_: i32) {
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    let handler: extern "C" fn(i32) = handle;
    // SAFETY: the handler only counts, which is safe in one.
    unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
    let thread = std::thread::spawn(|| cuda::cuInit(0));
    let report = process::scene_folder().join("report.json");
    until("it hangs", || sim::Report::read(&report).count("hang.cuInit") > 0);
    std::thread::sleep(Duration::from_millis(50));
    for number in 1..=5 {
        // SAFETY: the thread is not joined yet.
        assert_eq!(unsafe { libc::pthread_kill(thread.as_pthread_t(), libc::SIGUSR1) }, 0);
        until("a handler runs", || HANDLED.load(Ordering::Relaxed) == number);
    }
    std::thread::sleep(Duration::from_millis(50));
    tell(if thread.is_finished() { "returned" } else { "hangs" });
    let _ = thread.join();
}

#[test]
fn no_signal_makes_it_return_and_it_takes_no_time() {
    scenes!(signalled);
    let scene = Scene::start("signalled", "signalled", &[("MB_SIM_HANG", "cuInit@1")]).assert_hangs("cuInit");
    until("the signals came", || !scene.told().is_empty());
    assert_eq!(scene.told(), ["hangs"]);
    let before = scene.ticks();
    std::thread::sleep(A_WHILE);
    assert_eq!(scene.ticks(), before, "a hang takes no time of the processor");
}

/// The process is to end while a call hangs.
fn exits() {
    std::thread::spawn(|| cuda::cuInit(0));
    let report = process::scene_folder().join("report.json");
    until("it hangs", || sim::Report::read(&report).count("hang.cuInit") > 0);
    tell("exits");
    std::thread::sleep(Duration::from_millis(50));
    std::process::exit(0);
}

#[test]
fn exit_waits_for_the_call_as_a_driver_does() {
    scenes!(exits);
    let scene = Scene::start("exits", "exits", &[("MB_SIM_HANG", "cuInit@1")]).assert_hangs("cuInit");
    assert_eq!(scene.told(), ["exits"]);
}

/// Two lives of five pictures.
fn two_lives() {
    for life in 0..2 {
        let live = Live::start(SIZE, false, |_| {});
        for number in 0..5 {
            tell(format!("{life}.{number}"));
            live.push(&picture(SIZE, number), 0).expect("a picture");
        }
        live.end();
    }
    tell("over");
}

#[test]
fn every_library_hangs_where_it_is_to() {
    scenes!(two_lives);
    // What is told last, and by what name the report calls it.
    for (order, last, name) in [
        ("eglGetPlatformDisplay@1", "", "eglGetPlatformDisplay"),
        ("eglInitialize@1", "", "eglInitialize"),
        ("eglCreateContext@1", "", "eglCreateContext"),
        ("eglMakeCurrent@1", "", "eglMakeCurrent"),
        ("glGenTextures@1", "", "glGenTextures"),
        ("glTexSubImage2D@3", "0.1", "glTexSubImage2D"),
        ("cuInit@1", "", "cuInit"),
        ("cuCtxSetCurrent@2", "0.4", "cuCtxSetCurrent"),
        ("cuGraphicsMapResources@4", "0.3", "cuGraphicsMapResources"),
        ("NvEncodeAPICreateInstance@1", "", "NvEncodeAPICreateInstance"),
        ("nvEncOpenEncodeSessionEx@1", "", "NvEncOpenEncodeSessionEx"),
        ("nvEncInitializeEncoder@2", "0.4", "NvEncInitializeEncoder"),
        // A process's calls are counted, not a session's.
        ("nvEncLockBitstream@7", "1.1", "NvEncLockBitstream"),
        ("NvEncEncodePicture@2", "0.1", "NvEncEncodePicture"),
        ("nvEncDestroyEncoder@1", "0.4", "NvEncDestroyEncoder"),
    ] {
        let scene = Scene::start("two_lives", &format!("live-{order}"), &[("MB_SIM_HANG", order)]);
        let told = scene.assert_hangs(name).told();
        assert_eq!(told.last().map_or("", String::as_str), last, "{order}");
    }
}

/// Pixels through calls with many parameters, on the stack and in registers of both kinds.
fn pixels() {
    let context = Context::new();
    let (width, height) = (5, 3);
    let drawn: Vec<u8> = (0..width * height * 4).map(|at| (at * 7 + 1) as u8).collect();
    let texture = context.texture(glow::RGBA8, (width, height), Some(&drawn));
    let gl = &context.gl;
    let mut read = vec![0; drawn.len()];
    let mut colour = [0.0; 4];
    // SAFETY: the context is current, and the slices have room for what is read.
    unsafe {
        let framebuffer = gl.create_framebuffer().expect("a framebuffer");
        gl.bind_framebuffer(glow::FRAMEBUFFER, Some(framebuffer));
        gl.framebuffer_texture_2d(glow::FRAMEBUFFER, glow::COLOR_ATTACHMENT0, glow::TEXTURE_2D, Some(texture), 0);
        let pixels = glow::PixelPackData::Slice(Some(&mut read));
        gl.read_pixels(0, 0, width as i32, height as i32, glow::RGBA, glow::UNSIGNED_BYTE, pixels);
        gl.clear_color(0.125, 0.25, 0.5, 1.0);
        gl.get_parameter_f32_slice(glow::COLOR_CLEAR_VALUE, &mut colour);
        gl.finish();
    }
    assert_eq!((read, colour), (drawn, [0.125, 0.25, 0.5, 1.0]));
    tell("same");
}

#[test]
fn a_call_that_does_not_hang_yet_gets_through_unchanged() {
    scenes!(pixels);
    let order =
        "glTexSubImage2D@99,glReadPixels@99,glClearColor@99,glTexStorage2D@99,glGetError@9999,eglMakeCurrent@99";
    for (name, order) in [("pixels", ""), ("pixels-gated", order)] {
        assert_eq!(Scene::start("pixels", name, &[("MB_SIM_HANG", order)]).assert_ends().told(), ["same"]);
    }
    let order = format!("{order},glFinish@1");
    let scene = Scene::start("pixels", "pixels-finish", &[("MB_SIM_HANG", &order)]);
    assert_eq!(scene.assert_hangs("glFinish").told(), [""; 0]);
}

/// The encoder's functions are there under a hang as they are without.
fn versions() {
    tell(nvenc::max_supported_version().0);
}

#[test]
fn the_first_call_of_all_hangs() {
    scenes!(versions);
    let order = [("MB_SIM_HANG", "NvEncodeAPIGetMaxSupportedVersion@1")];
    Scene::start("versions", "versions", &order).assert_hangs("NvEncodeAPIGetMaxSupportedVersion");
    Scene::start("versions", "versions-none", &[]).assert_ends();
}
