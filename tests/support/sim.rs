//! The simulated drivers, for tests: built once, laid out as a library folder, and their report read.
//!
//! `sim::drivers()` gives a folder with `libcuda.so.1` and `libnvidia-encode.so.1`. A test starts the
//! program with that folder first on `LD_LIBRARY_PATH` (`sim::library_path`), orders faults with the
//! variables of `tests/sim-ledger/src/setting.rs`, and afterwards reads what the drivers saw:
//!
//! ```text
//! let report = folder.path().join("drivers.json");
//! let output = Command::new(env!("CARGO_BIN_EXE_mb-encode"))
//!     .env("LD_LIBRARY_PATH", sim::library_path(sim::drivers()))
//!     .env("MB_SIM_REPORT", &report)
//!     .env("MB_SIM_FAULT", "encode:5@37")
//!     .output()?;
//! sim::Report::read(&report).assert_clean();
//! ```
//!
//! It never changes the environment of the test process, and never puts the libraries where a
//! program that did not ask for them would find them.

#![allow(dead_code)] // Every test program uses its own part.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const CUDA: (&str, &str) = ("libsim_cuda.so", "libcuda.so.1");
const GL: (&str, &str) = ("libsim_gl.so", "libEGL.so.1");
const NVENC: (&str, &str) = ("libsim_nvenc.so", "libnvidia-encode.so.1");

/// The folder with both simulated drivers. Built by the first call; later ones cost nothing.
pub fn drivers() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| folder_of("both", &[CUDA, NVENC]))
}

/// A folder with the simulated CUDA driver alone: a machine whose encoder library is missing.
pub fn cuda_alone() -> PathBuf {
    folder_of("cuda", &[CUDA])
}

/// A folder with the simulated encoder alone: for a machine with CUDA but without an encoder chip.
pub fn nvenc_alone() -> PathBuf {
    folder_of("nvenc", &[NVENC])
}

/// A folder with a `libEGL.so.1` whose GL draws nothing, and is there at once: for what is not about pictures.
pub fn gl_alone() -> PathBuf {
    folder_of("gl", &[GL])
}

/// A folder with both drivers on a machine without EGL and GL: what is there under their names is no library.
pub fn drivers_without_gl() -> PathBuf {
    let folder = folder_of("without-gl", &[CUDA, NVENC]);
    for name in ["libEGL.so.1", "libEGL.so", "libGL.so.1", "libOpenGL.so.0"] {
        replace(&folder.join(name), |path| std::fs::write(path, "this is no library"));
    }
    folder
}

/// A folder with both drivers in which libcuda is a link to a file in the folder `place` beside it, under the name that it
/// has there. Of `usr/lib/wsl/lib` and `cuda/compat` the simulated driver knows that GL cannot be shared with it.
pub fn drivers_from(place: &str) -> PathBuf {
    let name = format!("from-{}", place.replace('/', "-"));
    let folder = folder_of(&name, &[NVENC]);
    let home = folder_of(&format!("{name}/{place}"), &[]);
    let library = std::fs::read(build().join(CUDA.0)).expect("the library was just built");
    let file = home.join("libcuda.so.1.1");
    replace(&file, |path| std::fs::write(path, &library));
    link(&file, &folder.join(CUDA.1));
    link_unversioned(&folder);
    folder
}

/// The value of `LD_PRELOAD` by which a signal comes right behind a call: see `tests/sim-signal/src/lib.rs`.
pub fn signal_preload() -> PathBuf {
    build().join("libsim_signal.so")
}

/// The value of `__EGL_VENDOR_LIBRARY_FILENAMES` that makes libEGL know the simulated vendor, whose devices are those
/// of `MB_SIM_EGL_DEVICES`, and no other.
pub fn egl_vendor() -> PathBuf {
    let library = egl_library();
    vendor_file("10_sim.json", library.to_str().expect("a plain path"))
}

/// The same with Mesa behind it, as on a machine that has both.
pub fn egl_vendor_beside_mesa() -> OsString {
    let mesa = vendor_file("50_mesa.json", "libEGL_mesa.so.0");
    std::env::join_paths([egl_vendor(), mesa]).expect("plain paths")
}

fn vendor_file(name: &str, library: &str) -> PathBuf {
    let file = folder_of("egl", &[]).join(name);
    let text = format!("{{\"file_format_version\":\"1.0.0\",\"ICD\":{{\"library_path\":\"{library}\"}}}}");
    replace(&file, |path| std::fs::write(path, &text));
    file
}

/// The simulated EGL vendor, for a vendor file of one's own.
pub fn egl_library() -> PathBuf {
    build().join("libsim_egl.so")
}

/// A folder with both drivers, in which one of them does not export `symbol`.
pub fn drivers_without(symbol: &str) -> PathBuf {
    let folder = folder_of(&format!("without-{symbol}"), &[]);
    let mut found = false;
    for (built, name) in [CUDA, NVENC] {
        let mut library = std::fs::read(build().join(built)).expect("the library was just built");
        found |= hide(&mut library, symbol);
        replace(&folder.join(name), |path| std::fs::write(path, &library));
    }
    assert!(found, "neither driver exports {symbol}");
    link_unversioned(&folder);
    folder
}

/// The value of `LD_LIBRARY_PATH` that puts `folder` before whatever is there already.
pub fn library_path(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("LD_LIBRARY_PATH").filter(|rest| !rest.is_empty()) {
        path.push(":");
        path.push(rest);
    }
    path
}

/// Builds the crates and gives the folder of their libraries.
fn build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim-build");
        let status = Command::new(env!("CARGO"))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["build", "--quiet", "-p", "sim-cuda", "-p", "sim-egl", "-p", "sim-gl", "-p", "sim-nvenc"])
            .args(["-p", "sim-signal", "--target-dir"])
            .arg(&target)
            .status()
            .expect("cargo runs: it runs this test");
        assert!(status.success(), "the simulated drivers do not build");
        target.join("debug")
    })
}

fn folder_of(name: &str, libraries: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sim-drivers").join(name);
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    for (built, name) in libraries {
        link(&build().join(built), &folder.join(name));
    }
    if libraries.contains(&CUDA) {
        link_unversioned(&folder);
    }
    folder
}

/// Some look for the unversioned name first. The loader knows both names as one library.
fn link_unversioned(folder: &Path) {
    link(Path::new(CUDA.1), &folder.join("libcuda.so"));
}

fn link(library: &Path, name: &Path) {
    replace(name, |path| std::os::unix::fs::symlink(library, path));
}

/// Makes a file beside its place and moves it there, for tests run at the same time.
fn replace(path: &Path, make: impl Fn(&Path) -> std::io::Result<()>) {
    static DRAFTS: AtomicU32 = AtomicU32::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = format!("{}-{number}.draft", std::process::id());
    let draft = path.with_file_name(draft);
    let _ = std::fs::remove_file(&draft);
    make(&draft).expect("the target folder can be written");
    std::fs::rename(&draft, path).expect("a file can be moved within its folder");
}

/// Renames a symbol in the library's dynamic string table, so that nobody finds it. The loader looks
/// a name up by its hash and then compares the names: the hash still matches, the name does not.
fn hide(library: &mut [u8], symbol: &str) -> bool {
    let entry = [b"\0", symbol.as_bytes(), b"\0"].concat();
    // The dynamic string table comes before all other sections that hold names.
    let place = library.windows(entry.len()).position(|bytes| bytes == entry);
    if let Some(place) = place {
        library[place + 1] = b'X';
    }
    place.is_some()
}

/// What the drivers of one or more processes saw: the last line of each process and library, summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    counts: BTreeMap<String, u64>,
}

impl Report {
    /// Reads the file that `MB_SIM_REPORT` named. A file that is missing is an empty report.
    pub fn read(path: &Path) -> Report {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut last: BTreeMap<(String, String), Vec<(String, u64)>> = BTreeMap::new();
        let mut after_loss = 0;
        for line in text.lines() {
            let mut process = (String::new(), String::new());
            let mut counts = Vec::new();
            for field in line.trim_matches(['{', '}']).split(',') {
                let (key, value) = field.split_once(':').expect("key and value");
                let (key, value) = (key.trim_matches('"'), value.trim_matches('"'));
                match key {
                    "library" => process.0 = value.to_owned(),
                    "pid" => process.1 = value.to_owned(),
                    // A driver is not to be asked for anything once it is of no use any more in a process, whatever that
                    // has said since.
                    "event" if value == "after-loss" => after_loss += 1,
                    "event" => {}
                    _ => counts.push((key.to_owned(), value.parse().expect("a number"))),
                }
            }
            last.insert(process, counts);
        }
        let mut report = Report::default();
        if after_loss > 0 {
            report.counts.insert("violation.after-loss".to_owned(), after_loss);
        }
        for (key, count) in last.into_values().flatten() {
            let sum = report.counts.entry(key).or_default();
            *sum += count;
        }
        report
    }

    /// One count, e.g. `call.cuGraphicsMapResources`, `pictures`, `idr_pictures`, `peak.sessions`,
    /// `fault.NvEncEncodePicture`, `violation.NvEncLockBitstream.locked-before-encode`.
    pub fn count(&self, what: &str) -> u64 {
        self.counts.get(what).copied().unwrap_or(0)
    }

    /// Everything above zero whose name begins so: `live.`, `leak.`, `violation.`, `fault.`, `call.`.
    pub fn all(&self, prefix: &str) -> BTreeMap<&str, u64> {
        self.counts
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .filter(|(name, count)| name.starts_with(prefix) && *count > 0)
            .collect()
    }

    /// Asserts that everything was released in time and no rule was broken.
    pub fn assert_clean(&self) {
        assert!(!self.counts.is_empty(), "the simulated drivers left no report");
        self.assert_nothing_left();
    }

    /// Asserts that nothing was given back to a driver that was of no use any more.
    pub fn assert_nothing_asked_of_the_dead(&self) {
        assert_eq!(self.all("violation."), BTreeMap::new());
    }

    /// As [`Report::assert_clean`], where the drivers need not have been loaded at all.
    pub fn assert_nothing_left(&self) {
        for prefix in ["live.", "leak.", "violation."] {
            assert_eq!(self.all(prefix), BTreeMap::new(), "the drivers' report says {prefix}…");
        }
    }
}
