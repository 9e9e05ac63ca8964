//! A folder as `--pack` fills it, with the programs of this build, some of which may be made to fail.

use crate::sim;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// The examples that belong to it.
pub const EXAMPLES: [&str; 3] = ["gpu_probe", "stage_times", "check_clip"];

/// A program among the examples, built as this test was.
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let programs = Path::new(env!("CARGO_BIN_EXE_mb-encode")).parent().expect("it lies in a folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(REPOSITORY);
        cargo.args(["build", "--quiet", "--locked"]).args(EXAMPLES.iter().flat_map(|name| ["--example", name]));
        cargo.arg("--target-dir").arg(programs.parent().expect("the target folder"));
        if programs.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().expect("cargo runs: it runs this test").success(), "the examples do not build");
        programs.join("examples")
    });
    folder.join(name)
}

/// The script, with nothing in the environment that would change what it finds.
pub fn gpu_check() -> Command {
    let mut command = Command::new(Path::new(REPOSITORY).join("scripts/gpu-check"));
    for variable in ["CUDA_VISIBLE_DEVICES", "MB_ENCODE_DEVICE", "MB_ENCODE_LOG_LEVEL"] {
        command.env_remove(variable);
    }
    command
}

/// Writes a file that can be run.
pub fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a folder of our own");
    std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a file of our own");
}

pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let link =
            |to: &Path, name: &str| symlink(to, folder.path().join(name)).expect("a link in a folder of our own");
        link(Path::new(env!("CARGO_BIN_EXE_mb-encode")), "mb-encode");
        for name in EXAMPLES {
            link(&example(name), name);
        }
        link(&Path::new(REPOSITORY).join("examples/gpu_probe/busy.glsl"), "busy.glsl");
        link(&sim::nvenc_alone(), "encoder");
        let drivers = folder.path().join("drivers");
        std::fs::create_dir(&drivers).expect("a folder of our own");
        for name in ["libcuda.so.1", "libcuda.so", "libnvidia-encode.so.1"] {
            link(&sim::drivers().join(name), &format!("drivers/{name}"));
        }
        link(&sim::egl_library(), "drivers/libsim_egl.so");
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Puts a shell script in the place of a program: `lines`, and then the program with the script's arguments.
    pub fn wrap(&self, name: &str, lines: &str) {
        let path = self.path().join(name);
        let real = std::fs::read_link(&path).expect("a link to the program");
        std::fs::remove_file(&path).expect("a folder of our own");
        let text = format!("#!/bin/bash\n{lines}\nexec {} \"$@\"\n", real.display());
        program(&path, &text);
    }
}
