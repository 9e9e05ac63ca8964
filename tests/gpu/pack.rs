//! What `--pack` makes: one folder, with which a machine that has nothing is checked.

use crate::folder::{EXAMPLES, example, gpu_check, program};
use crate::{run, sim};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a library that this test's process would load.
fn library(name: &str) -> PathBuf {
    let output = Command::new("ldconfig").arg("-p").env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with(&format!("{name} "))).expect("it is installed");
    line.rsplit("=> ").next().expect("a path").into()
}

/// A folder with a `cargo` that has built everything already, and an `apt-get` that has one package to give.
fn tools(folder: &Path) {
    let cargo = env!("CARGO");
    program(
        &folder.join("cargo"),
        &format!(
            "#!/bin/bash\n[[ $1 == build ]] || exec '{cargo}' \"$@\"\necho \"$*\" >>'{}/built'\n",
            folder.display()
        ),
    );
    let package = folder.join("package");
    let libraries = package.join("usr/lib/some-linux-gnu");
    std::fs::create_dir_all(package.join("DEBIAN")).unwrap();
    std::fs::create_dir_all(&libraries).unwrap();
    std::fs::write(
        package.join("DEBIAN/control"),
        "Package: libegl1\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: EGL's loader\n",
    )
    .unwrap();
    for name in ["libEGL.so.1", "libGLdispatch.so.0"] {
        std::fs::copy(library(name), libraries.join(name)).unwrap();
    }
    let mut build = Command::new("dpkg-deb");
    build.args(["--build", "--root-owner-group"]).arg(&package).arg(folder.join("libegl1.deb"));
    assert!(build.output().expect("dpkg-deb can be run").status.success());
    program(
        &folder.join("apt-get"),
        &format!(
            "#!/bin/bash\n[[ \" $* \" == *' download '*' libegl1 '* ]] && cp '{}/libegl1.deb' .\n",
            folder.display()
        ),
    );
}

/// What a release build would have made.
fn target(folder: &Path) {
    let release = folder.join("release");
    std::fs::create_dir_all(release.join("examples")).unwrap();
    symlink(env!("CARGO_BIN_EXE_mb-encode"), release.join("mb-encode")).unwrap();
    for name in EXAMPLES {
        symlink(example(name), release.join("examples").join(name)).unwrap();
    }
    let drivers = sim::drivers();
    symlink(drivers.join("libcuda.so.1"), release.join("libsim_cuda.so")).unwrap();
    symlink(drivers.join("libnvidia-encode.so.1"), release.join("libsim_nvenc.so")).unwrap();
    symlink(sim::egl_library(), release.join("libsim_egl.so")).unwrap();
}

#[test]
fn one_folder_is_enough_for_a_machine_that_has_nothing() {
    let here = tempfile::tempdir().unwrap();
    let (bin, built, packed) = (here.path().join("bin"), here.path().join("target"), here.path().join("packed"));
    std::fs::create_dir(&bin).unwrap();
    tools(&bin);
    target(&built);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let said = run(gpu_check().arg("--pack").arg(&packed).env("PATH", path).env("CARGO_TARGET_DIR", &built));
    assert_eq!(said.code, 0, "{}", said.stderr);
    let commands = std::fs::read_to_string(bin.join("built")).unwrap();
    for name in EXAMPLES {
        assert!(
            commands.contains("--release --locked --bin mb-encode") && commands.contains(&format!("--example {name}"))
        );
    }
    assert!(said.stderr.contains("with EGL's loaders"), "{}", said.stderr);

    // Elsewhere: nothing of this repository, of its tools, or of this environment.
    let elsewhere = tempfile::tempdir().unwrap();
    let there = elsewhere.path().join("copy");
    assert!(Command::new("cp").arg("-R").arg(&packed).arg(&there).status().unwrap().success());
    std::fs::remove_dir_all(here.path()).unwrap();
    let bare = |options: &[&str]| {
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin"]).arg(there.join("gpu-check")).args(options);
        command.current_dir(elsewhere.path());
        command
    };
    let out = elsewhere.path().join("out");
    let options =
        ["--simulated", "--pictures", "2", "--only", "clip", "--only", "choice", "--out", out.to_str().unwrap()];
    let said = run(&mut bare(&options));
    said.assert_verdict(0, &["everything works, NVENC too"]);
    let results = std::fs::read_to_string(out.join("gpu-check.json")).unwrap();
    let results: serde_json::Value = serde_json::from_str(&results).unwrap();
    assert_eq!(results["works"], true);
    assert!(!said.stderr.contains("has no libEGL"), "{}", said.stderr);

    // Without EGL it takes what was packed.
    let hidden = elsewhere.path().join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    for name in ["libEGL.so.1", "libGLdispatch.so.0"] {
        std::fs::write(hidden.join(name), "this is no library").unwrap();
    }
    let mut command = Command::new("env");
    command.arg("-i").arg(format!("LD_LIBRARY_PATH={}", hidden.display())).arg("PATH=/usr/bin:/bin");
    command.arg(there.join("gpu-check")).args(options).current_dir(elsewhere.path());
    let said = run(&mut command);
    said.assert_verdict(0, &["everything works, NVENC too"]);
    assert!(said.stderr.contains("has no libEGL: taking the one that was packed"), "{}", said.stderr);

    // What was packed packs nothing, and there is nothing to build there.
    let said = run(&mut bare(&["--pack", "again"]));
    assert!(said.code == 2 && said.stderr.contains("this is a packed folder"), "{}", said.stderr);
    // The other way to start it.
    let said = run(gpu_check().arg("--prebuilt").arg(&there).args(&options[..5]));
    said.assert_verdict(0, &["everything works"]);
}
