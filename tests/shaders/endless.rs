//! A shader whose loop never ends: the process that draws it is killed, and nobody else.

use crate::support::process::{DEADLINE, Process, mb_encode, until};
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Draws grey, and loops where the condition `when` holds. Mesa's software renderer ends any loop after 65,536 rounds, which
/// takes minutes for a picture as large as these, and a moment for a small one.
fn shader(when: &str) -> String {
    format!(
        "void mainImage(out vec4 c, in vec2 p) {{
    c = vec4(0.5);
    if ({when}) {{
        for (float i = p.x + 1.0; i > 0.0; i += 1.0) c.r = fract(c.r * 1.7 + sin(i * c.r) + cos(c.r));
    }}
}}
"
    )
}

fn folder(when: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("endless.glsl"), shader(when)).expect("it can be written");
    folder
}

fn endless(command: &mut Command) -> &mut Command {
    command.args([
        "--width",
        "1280",
        "--height",
        "720",
        "--fps",
        "30",
        "--encoder",
        "openh264",
        "--shader",
        "endless.glsl",
    ]);
    command.args(["--hang-timeout", "1", "--start-timeout", "3"])
}

/// Reads a FIFO to its end, and gives how many bytes there were.
fn read(path: &Path) -> usize {
    let mut bytes = Vec::new();
    std::fs::File::open(path).expect("a FIFO").read_to_end(&mut bytes).expect("it can be read");
    bytes.len()
}

#[test]
fn a_later_picture_that_never_ends_costs_its_reader_and_not_the_worker() {
    let folder = folder("iFrame > 5");
    let mut command = mb_encode();
    let fifo = folder.path().join("demo.h264");
    let worker = Process::start(endless(command.current_dir(folder.path()).args(["--fifo", "demo.h264"])));
    worker.wait_for_line("waiting for a reader");
    assert!(read(&fifo) > 0, "the pictures before");
    let said = worker.wait_for_line("no progress for 1 s");
    assert!(said.contains("drawing") || said.contains("reading back"), "{said}");
    let said = worker.wait_for_line("the shader endless.glsl");
    assert!(said.contains("a loop that never ends"), "{said}");
    // The same worker serves who comes next.
    assert!(worker.is_running());
    until(DEADLINE, "a second reader is served", || (read(&fifo) > 0).then_some(()));
    assert!(worker.is_running());
}

#[test]
fn a_first_picture_that_never_ends_is_told_at_the_start() {
    let folder = folder("iFrame >= 0");
    for output in ["--fifo=demo.h264", "--out=clip.h264", "--stdout"] {
        let mut command = mb_encode();
        command.current_dir(folder.path()).arg(output).stdout(Stdio::null());
        let begun = Instant::now();
        let ended = Process::start(endless(&mut command)).wait_for(DEADLINE);
        assert_eq!(ended.code(), 1, "{output}: {}", ended.stderr);
        assert!(ended.stderr.contains("no progress for"), "{output}: {}", ended.stderr);
        assert!(ended.stderr.contains("the shader endless.glsl may have a loop that never ends"), "{}", ended.stderr);
        assert!(begun.elapsed() < Duration::from_secs(10), "{output}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_supervisor_keeps_the_others_and_shows_why_one_is_down() {
    let folder = folder("iFrame >= 0");
    let mut command = mb_encode();
    command.current_dir(folder.path()).args(["supervise", "--temp", "temp", "--workers", "2", "--"]);
    let supervisor = Process::start(endless(&mut command));
    let status = || -> Value {
        let output = mb_encode().current_dir(folder.path()).args(["status", "--json", "--temp", "temp"]).output();
        serde_json::from_slice(&output.expect("it can be run").stdout).unwrap_or_default()
    };
    until(DEADLINE, "both are down, and the status says why", || {
        let told = status().to_string();
        let is_down = told.contains(r#""down""#) || told.contains("starting");
        (told.matches("no progress for").count() >= 2 && told.contains("endless.glsl") && is_down).then_some(())
    });
    assert!(supervisor.is_running());
    // The shader is mended, and the supervisor left alone.
    std::fs::write(folder.path().join("endless.glsl"), shader("false")).expect("it can be written");
    until(DEADLINE, "both wait for readers", || {
        (status().to_string().matches(r#""waiting""#).count() >= 2).then_some(())
    });
    assert!(read_some(&folder.path().join("temp/streams/omega-1.h264")) > 0);
}

/// Reads the first bytes of a stream.
fn read_some(path: &Path) -> usize {
    let mut bytes = [0; 4096];
    std::fs::File::open(path).expect("a FIFO").read(&mut bytes).expect("it can be read")
}
