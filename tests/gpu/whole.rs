//! The whole way, and machines on which there is none.

use crate::folder::{Folder, gpu_check, program};
use crate::{Checked, run, sim};

/// All parts, in their order.
pub const PARTS: [&str; 20] = [
    "strings",
    "doctor",
    "choice",
    "clip",
    "threads",
    "start",
    "kill",
    "memory",
    "openh264",
    "stages",
    "ten",
    "load",
    "user",
    "libgl",
    "key-frames",
    "presets",
    "sessions",
    "bitrate",
    "forced",
    "kernel",
];

/// What needs an encoder on the GPU.
const OF_ENCODER: [&str; 5] = ["key-frames", "presets", "sessions", "bitrate", "forced"];

/// What depends on who runs it and where.
fn may_be_skipped(part: &str) -> bool {
    ["user", "kernel"].contains(&part)
}

#[test]
fn with_both_drivers_it_goes_the_whole_way() {
    let folder = Folder::new();
    // Where a container's numbers of processes are others, only the sum is known.
    let tools = tempfile::tempdir().unwrap();
    let smi = "#!/bin/bash\ncase \"$*\" in *memory.used*) echo 1234 ;; *name*) echo '0, Some GPU, 570.86' ;; esac\n";
    let path = tools.path().join("nvidia-smi");
    program(&path, smi);
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let checked = Checked::run(&folder, &[], 2, &[("PATH", &path), ("MB_SIM_SESSION_LIMIT", "12")]);
    let Checked { said, results, .. } = &checked;
    said.assert_verdict(0, &["everything works, NVENC too", "Simulated GPU 0", "this says nothing of a GPU"]);

    let names: Vec<_> =
        results["parts"].as_array().unwrap().iter().map(|part| part["part"].as_str().unwrap()).collect();
    assert_eq!(names, PARTS);
    assert!(checked.all("skipped").into_iter().all(may_be_skipped), "{results:#}");
    assert_eq!((&results["works"], &results["simulated"]), (&true.into(), &true.into()));
    assert!(said.stdout.contains("2 pictures, each the right one"), "{}", said.stdout);

    for size in ["1280x720", "1920x1080", "3840x2160"] {
        let tables = said.stdout.split("\n\n").filter(|part| part.starts_with(size) && part.contains("\nmap "));
        let tables = tables.collect::<Vec<_>>();
        assert_eq!(tables.len(), 2, "{size}: with and without --sync:\n{}", said.stdout);
        for table in tables {
            let rows: Vec<_> = table.lines().skip(2).map(|row| row.split_whitespace().collect::<Vec<_>>()).collect();
            let stages: Vec<_> = rows.iter().map(|row| row[0]).collect();
            assert_eq!(stages, ["draw", "convert", "map", "copy", "unmap", "encode", "write", "cpu"], "{table}");
            for row in rows {
                let times: Vec<f64> = row[1..].iter().map(|time| time.parse().expect("a number")).collect();
                assert!(times.len() == 3 && times.is_sorted() && times[0] >= 0.0, "{table}");
            }
        }
        for name in [size.to_owned(), format!("{size}sync")] {
            let figure = &checked.part("stages")["figures"][&name]["stages"]["encode"];
            assert!(figure["p95_us"].as_f64().is_some_and(|time| time > 0.0), "{name}: {figure}");
        }
    }
    let figure = |part: &str, pointer: &str| {
        let figures = &checked.part(part)["figures"];
        figures.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {figures:#}")).clone()
    };
    for pointer in
        ["/drivers/egl/p50_ms", "/drivers/session/p99_ms", "/first_byte_idle/p95_ms", "/first_byte_held/p50_ms"]
    {
        assert!(figure("start", pointer).as_f64().is_some_and(|time| time > 0.0), "{pointer}");
    }
    assert_eq!(figure("strings", "/all/egl/device 0/CUDA device"), "0");
    assert_eq!(figure("strings", "/nvidia_smi"), "0, Some GPU, 570.86");
    assert_eq!(figure("choice", "/devices/chosen/1/device"), 0);
    assert_eq!(figure("doctor", "/report/encoder"), "nvenc");
    assert_eq!(figure("memory", "/gpu_with_stream_mib"), 1234);
    assert!(figure("memory", "/VmHWM_kib").as_u64().is_some_and(|kib| kib > 10_000));
    assert_eq!(figure("ten", "/with_openh264"), 0);
    assert_eq!(figure("key-frames", "/scales/4/idr/pictures"), 1);
    assert_eq!(figure("sessions", "/at_once/open"), 12);
    assert!(figure("sessions", "/at_once/refused").as_str().unwrap().contains("no NVENC session is free"));
    assert!(figure("bitrate", "/coded/mean_bits_per_second").as_u64().is_some_and(|bits| bits > 5_000_000));
    assert_eq!(figure("forced", "/coded/idr/pictures"), 2);
    assert!(checked.drivers.count("call.cuStreamSynchronize") > 0, "--sync waits for CUDA");
}

#[test]
fn what_ends_by_itself_leaves_nothing_in_the_drivers() {
    let checked = Checked::run(&Folder::new(), &["choice", "clip", "stages", "sessions", "libgl"], 2, &[]);
    checked.said.assert_verdict(0, &["everything works", "of all parts only: choice clip stages sessions libgl"]);
    checked.drivers.assert_clean();
}

#[test]
fn a_gpu_without_an_encoder_is_checked_up_to_it() {
    let only = [&["clip"][..], &OF_ENCODER].concat();
    let checked = Checked::run(&Folder::new(), &only, 2, &[("MB_SIM_FAULT", "open:2")]);
    let words = ["up to the encoder, which this GPU does not have", "NV_ENC_ERR_UNSUPPORTED_DEVICE (2)"];
    checked.said.assert_verdict(0, &words);
    assert!(checked.said.stdout.contains("2 pictures, each the right one"), "{}", checked.said.stdout);
    assert_eq!(checked.all("skipped"), OF_ENCODER);
    assert!(checked.results["no_nvenc"].as_str().unwrap().contains("UNSUPPORTED_DEVICE"), "{:#}", checked.results);
    checked.drivers.assert_clean();
}

#[test]
fn an_encoder_that_fails_is_no_success() {
    let checked = Checked::run(&Folder::new(), &["clip"], 2, &[("MB_SIM_FAULT", "open:21")]);
    let words = "everything works up to the encoder, and that does not";
    checked.assert_failed(&[("doctor", words)]);
    checked.said.assert_verdict(1, &["NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY (21)"]);
}

#[test]
fn a_gpu_that_does_not_draw_ends_it() {
    let checked = Checked::run(&Folder::new(), &[], 2, &[("MB_SIM_GL_DEVICE", "none")]);
    let words = ["the way from GL to CUDA does not work", "is not drawn by an NVIDIA GPU"];
    checked.said.assert_verdict(1, &words);
    let said = &checked.said.stderr;
    assert!(said.contains("What to do: ") && said.contains("10_nvidia.json"), "{said}");
    // What the drivers say of themselves is there all the same.
    assert_eq!((checked.all("ok"), checked.all("failed")), (vec!["strings"], vec!["doctor"]));
}

#[test]
fn without_a_gpu_it_says_so_and_what_to_do() {
    // A library that is none hides the machine's own driver, if it has one.
    let (parts, folder) = (Folder::new(), tempfile::tempdir().unwrap());
    for name in ["libcuda.so.1", "libcuda.so", "libnvidia-encode.so.1"] {
        std::fs::write(folder.path().join(name), "this is no library").unwrap();
    }
    let mut command = gpu_check();
    command.arg("--prebuilt").arg(parts.path()).env("LD_LIBRARY_PATH", sim::library_path(folder.path()));
    let said = run(&mut command);
    said.assert_verdict(1, &["no NVIDIA GPU to check", "no NVIDIA driver"]);
    assert!(said.stderr.contains("What to do: ") && said.stderr.contains("530.41.03"), "{}", said.stderr);
    assert!(!said.stdout.contains("p99") && !said.stdout.contains("simulated"), "{}", said.stdout);
}

#[test]
fn wrong_use_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    for (arguments, words) in [
        (vec!["--pictures", "0"], "--pictures is a whole number from 1 to"),
        (vec!["--device", "-1"], "--device is a whole number"),
        (vec!["--only", "clips"], "there is no part 'clips'"),
        (vec!["--prebuilt"], "--prebuilt needs a value"),
        (vec!["--prebuilt", missing.to_str().unwrap()], "--prebuilt names no folder"),
        (vec!["--pack", "x", "--simulated"], "--pack only builds"),
        (vec!["--frames"], "unknown argument: --frames"),
        (vec!["--frames=2"], "unknown argument: --frames"),
    ] {
        let said = run(gpu_check().args(&arguments));
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(words) && said.stderr.contains("--help"), "{arguments:?}: {}", said.stderr);
    }
    // A folder without the parts is the caller's to fill, too, but there is more to say about it.
    let said = run(gpu_check().arg("--prebuilt").arg(folder.path()));
    assert!(said.code == 1 && said.stderr.contains("lacks mb-encode"), "{}", said.stderr);
    assert!(said.stderr.contains("scripts/gpu-check --pack DIR"), "{}", said.stderr);
    // Its help names every part.
    let help = run(gpu_check().arg("--help")).stdout;
    assert!(PARTS.iter().all(|part| help.contains(&format!("    {part} "))), "{help}");
}
