//! A Python with the packages that the producers import.

use crate::place::REPOSITORY;
use crate::support::parts;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const HOW_TO_GET_THEM: &str = "scripts/test installs them; or name a folder that has them in $PYTHON_PACKAGES: \
     pip install --no-deps --target FOLDER --requirement tests/producers/requirements.txt";

/// `python3` that finds `mb_frames` and the packages, and leaves no compiled files behind.
pub fn python() -> Command {
    let mut command = Command::new(parts::find("PYTHON", "python3", &[], "apt-get install python3"));
    environment(&mut command);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Has the Python that `command` runs find the same.
pub fn environment(command: &mut Command) {
    let examples = Path::new(REPOSITORY).join("examples/python");
    let folders = std::iter::once(examples).chain(std::env::var_os("PYTHON_PACKAGES").map(Into::into));
    command.env("PYTHONPATH", std::env::join_paths(folders).expect("no colons")).env("PYTHONDONTWRITEBYTECODE", "1");
}

/// Fails where a package is missing, and says where it comes from.
pub fn need_packages() {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let mut command = python();
        command.args(["-c", "import cv2, gymnasium, mujoco, numpy, pygame"]);
        let output = command.output().map_err(|error| error.to_string())?;
        output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())
    });
    if let Err(why) = found {
        panic!("this test needs Python packages; {HOW_TO_GET_THEM}\n{why}");
    }
}
