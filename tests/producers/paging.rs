//! The viewer's coming and leaving, as a producer behind mb-encode learns it.

use crate::frames::{now, rendered, start_loop};
use crate::rig::until;
use crate::seen::{Viewer, size};
use crate::support::process::{DEADLINE, Process, mb_encode};
use std::time::Duration;

#[test]
fn a_producer_renders_from_the_first_viewer_to_the_last() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("a.y4m"), folder.path().join("a.h264"));
    let encode = Process::start(mb_encode().arg("--fifo").arg(&output).arg("--input").arg(&input));
    until(DEADLINE, "both FIFOs are there", || (input.exists() && output.exists()).then_some(()));
    // At a rate that leaves mb-encode the time to notice, on a machine with much else to do.
    let producer = start_loop(&input, (320, 240), 10, "gray8", "60");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(producer.lines(), [""; 0], "nobody watches");

    for _ in 0..3 {
        let before = rendered(&producer.lines()).len();
        let came = now();
        let mut viewer = Viewer::open(&output);
        assert_eq!(viewer.frames(5, size(320, 240)).len(), 5);
        let left = now();
        drop(viewer);
        std::thread::sleep(Duration::from_millis(700));
        let moments = rendered(&producer.lines());
        assert!(moments[before] > came, "it was rendered before the viewer came");
        let after = moments.iter().filter(|&&at| at > left).count();
        assert!(after <= 1, "{after} frames were begun after the viewer had left");
    }
    assert!(encode.is_running() && producer.is_running());
}
