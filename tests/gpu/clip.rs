//! What checks the pictures of a clip.

use crate::folder::example;
use crate::support::process::{Process, mb_encode};
use std::process::{Command, Stdio};

#[test]
fn a_clip_with_other_pictures_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let clip = |name: &str, size: [&str; 2]| {
        let path = folder.path().join(name);
        let mut command = mb_encode();
        command.args(["--encoder", "openh264", "--frames", "3", "--no-pace", "--width", size[0], "--height", size[1]]);
        let ended = Process::start(command.arg("--out").arg(&path)).wait();
        assert_eq!(ended.code(), 0, "{}", ended.stderr);
        std::fs::read(path).expect("a clip")
    };
    let good = clip("good.h264", ["640", "360"]);
    let judge = |stream: &[u8], pictures: &str| {
        let path = folder.path().join("judged.h264");
        std::fs::write(&path, stream).unwrap();
        let mut judged = Vec::new();
        // From a file, and as it comes.
        for clip in [path.to_str().unwrap(), "-"] {
            let mut command = Command::new(example("check_clip"));
            let input = std::fs::File::open(&path).unwrap();
            let output = command.args([clip, pictures]).stdin(Stdio::from(input)).output().expect("it was just built");
            judged.push((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        assert_eq!(judged[0], judged[1]);
        judged.remove(0)
    };
    assert_eq!(judge(&good, "3"), (true, String::new()));
    for (stream, pictures, words) in [
        (good.clone(), "4", "3 pictures are there instead of 4"),
        (good.repeat(2), "6", "picture 3 shows frame 0"),
        (good[..good.len() - 5000].to_vec(), "3", ""),
    ] {
        let (right, said) = judge(&stream, pictures);
        assert!(!right && said.contains(words), "{words:?}: {said}");
    }
}

#[test]
fn a_stream_of_any_length_is_cut_where_its_units_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.h264");
    let mut command = mb_encode();
    command.args(["--encoder", "openh264", "--frames", "3", "--no-pace", "--width", "64", "--height", "64", "--out"]);
    let ended = Process::start(command.arg(&path)).wait();
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    let clip = std::fs::read(&path).unwrap();
    let last = clip.windows(4).rposition(|bytes| bytes == [0, 0, 0, 1]).expect("a picture");
    // A unit of filler before it, as large as what is read at once, and larger: start codes lie across the seam.
    let filler = |length: usize| [&[0, 0, 1, 12][..], &vec![0xFF; length - 5], &[0x80]].concat();
    let read_at_once = 1 << 20;
    for end in (read_at_once - 5..read_at_once + 2).chain([3 * read_at_once + 1]) {
        let length = end - last;
        std::fs::write(&path, [&clip[..last], &filler(length), &clip[last..]].concat()).unwrap();
        let mut command = Command::new(example("check_clip"));
        let output = command.arg("-").arg("3").stdin(std::fs::File::open(&path).unwrap()).output().unwrap();
        assert!(output.status.success(), "{length}: {}", String::from_utf8_lossy(&output.stderr));
        let mut command = Command::new(example("gpu_probe"));
        let output = command.args(["coded", "--idr", "1"]).stdin(std::fs::File::open(&path).unwrap()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("P: 2 pictures"), "{length}: {said}");
    }
}
