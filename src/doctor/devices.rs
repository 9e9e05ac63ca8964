//! NVIDIA's device files: which are there, whether this user may use them, and who would make those that are missing.
//!
//! It looks at files below a root that is given to it, and loads no driver.

use super::finding::State;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Where a driver has all of them, as it comes.
const CONTROL: &str = "/dev/nvidiactl";
const MEMORY: &str = "/dev/nvidia-uvm";
/// Loads modules and makes device files for programs that may not.
const HELPER: &str = "/usr/bin/nvidia-modprobe";

/// A machine, as far as its files tell.
pub(super) struct Machine<'a> {
    /// `/`, but in tests.
    pub root: &'a Path,
    /// Whether a device file, as named without the root, lets this process read and write.
    pub open: &'a dyn Fn(&Path) -> io::Result<()>,
}

/// What was seen, and what to do.
pub(super) type Seen = (State, String, String);

impl Machine<'_> {
    /// What can be said of the device files, the gravest thing alone.
    pub(super) fn devices(&self) -> Seen {
        let has_module = self.at("/proc/driver/nvidia/version").exists();
        if !has_module && !self.at(CONTROL).exists() {
            return match self.at("/dev/dxg").exists() {
                true => (State::Ok, "/dev/dxg: the GPU is Windows'".to_owned(), String::new()),
                false => (State::Skip, "NVIDIA's kernel driver is not loaded".to_owned(), String::new()),
            };
        }
        let gpus = self.gpus();
        let missing = match (self.at(CONTROL).exists(), gpus.is_empty()) {
            (false, _) => Some(CONTROL),
            (true, true) => Some("/dev/nvidia0, or any other GPU's"),
            (true, false) => None,
        };
        if let Some(missing) = missing {
            let found = format!("NVIDIA's kernel driver is loaded, and there is no {missing}");
            return (State::Fail, found, format!("{LOAD}\nin a container, start it with --gpus all"));
        }
        let present = std::iter::once(PathBuf::from(CONTROL)).chain(gpus);
        let mut present: Vec<_> = present.collect();
        let memory = PathBuf::from(MEMORY);
        let has_memory = self.at(MEMORY).exists();
        present.extend(has_memory.then_some(memory));
        if let Some((path, why)) = present.iter().find_map(|path| Some((path, (self.open)(path).err()?))) {
            return self.refused(path, &why);
        }
        if !has_memory {
            return self.without_memory();
        }
        let names: Vec<_> = present.iter().map(|path| path.display().to_string()).collect();
        (State::Ok, names.join(", "), String::new())
    }

    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// `/dev/nvidia0` and so on, in their order.
    fn gpus(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.at("/dev")).into_iter().flatten().flatten();
        let numbers =
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix("nvidia")?.parse::<u32>().ok());
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_unstable();
        numbers.into_iter().map(|number| PathBuf::from(format!("/dev/nvidia{number}"))).collect()
    }

    /// CUDA needs `nvidia-uvm`, a module that nothing loads at boot. Its library has a setuid program do so, which cannot
    /// where no rights are to be gained.
    fn without_memory(&self) -> Seen {
        let is_setuid =
            self.at(HELPER).metadata().is_ok_and(|its| its.permissions().mode() & 0o4000 != 0 && its.uid() == 0);
        let status = std::fs::read_to_string(self.at("/proc/self/status")).unwrap_or_default();
        let may_not_gain = status.lines().any(|line| line.split_whitespace().eq(["NoNewPrivs:", "1"]));
        let (state, why) = match (is_setuid, may_not_gain) {
            (true, false) => (State::Warn, "the first to use CUDA has nvidia-modprobe load it, unless that is a unit"),
            (true, true) => (State::Fail, "CUDA cannot start: this process may gain no rights, so nobody loads it"),
            (false, _) => (State::Fail, "CUDA cannot start: there is no setuid nvidia-modprobe that would load it"),
        };
        let remedy = format!(
            "{LOAD}\n\
             units with NoNewPrivileges=yes need it before they start: systemctl enable mb-encode-nvidia.service"
        );
        (state, format!("there is no {MEMORY}: {why}"), remedy)
    }

    /// A device file that does not let this process in.
    fn refused(&self, path: &Path, why: &io::Error) -> Seen {
        let shown = path.display();
        let Ok(its) = self.at(path).metadata() else {
            return (State::Fail, format!("{shown}: {why}"), LOAD.to_owned());
        };
        let (mode, group) = (its.permissions().mode() & 0o777, self.group(its.gid()));
        let found = format!("{shown} belongs to {}:{group}, mode {mode:04o}: {why}", self.user(its.uid()));
        let remedy = if mode & 0o006 == 0o006 {
            // Not the mode, then.
            "a control group forbids it: in a unit DeviceAllow=char-nvidia rw, char-nvidia-frontend rw and\n\
             char-nvidia-uvm rw, which are resolved when it starts; in a container start it with --gpus all"
                .to_owned()
        } else if mode & 0o060 == 0o060 {
            format!(
                "let this user into the group {group}: usermod -aG {group} USER, and log in again; in a unit\n\
                 SupplementaryGroups={group}; in a container add group {}",
                its.gid()
            )
        } else {
            "let others use it: the driver's options NVreg_DeviceFileMode and NVreg_DeviceFileGID decide".to_owned()
        };
        (State::Fail, found, remedy)
    }

    fn group(&self, id: u32) -> String {
        self.name("/etc/group", id)
    }

    fn user(&self, id: u32) -> String {
        self.name("/etc/passwd", id)
    }

    /// What `id` is called in a file of names, passwords and numbers; the number where it is not there.
    fn name(&self, file: &str, id: u32) -> String {
        let text = std::fs::read_to_string(self.at(file)).unwrap_or_default();
        let mut names = text.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
        });
        names.next().unwrap_or_else(|| id.to_string())
    }
}

const LOAD: &str = "make it, as root: nvidia-modprobe -c 0 -u";

/// Whether this process gets into a device file. What belongs to a GPU is only asked about: opening it would start the GPU.
pub(super) fn open(path: &Path) -> io::Result<()> {
    if [CONTROL, MEMORY].map(Path::new).contains(&path) {
        return std::fs::File::options().read(true).write(true).open(path).map(drop);
    }
    use rustix::fs::Access;
    Ok(rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK)?)
}

/// The library that a driver has had since 545 and container toolkits before 1.14 leave out, where it is missing and the
/// rest of `version` is there. EGL shows no display without it. `opens` says whether a library can be loaded.
pub(super) fn missing_library(version: &str, opens: impl Fn(&str) -> bool) -> Option<String> {
    let branch: u32 = version.split('.').next()?.parse().ok()?;
    let compiler = format!("libnvidia-gpucomp.so.{version}");
    let is_missing = branch >= 545 && opens(&format!("libcuda.so.{version}")) && !opens(&compiler);
    is_missing.then_some(compiler)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, create_dir_all, set_permissions, write};

    /// A root with these files, each with its mode.
    fn root(files: &[(&str, u32)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, mode) in files {
            let path = root.path().join(&path[1..]);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(&path, "").unwrap();
            set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
        root
    }

    const MODULE: (&str, u32) = ("/proc/driver/nvidia/version", 0o444);
    const DEVICES: [(&str, u32); 3] = [(CONTROL, 0o666), ("/dev/nvidia0", 0o666), (MEMORY, 0o666)];

    fn seen(root: &Path, refused: Option<(&str, i32)>) -> Seen {
        let open = |path: &Path| match refused {
            Some((name, errno)) if path == Path::new(name) => Err(io::Error::from_raw_os_error(errno)),
            _ => Ok(()),
        };
        Machine { root, open: &open }.devices()
    }

    fn assert_seen(seen: &Seen, state: State, words: &[&str]) {
        let said = format!("{} -> {}", seen.1, seen.2);
        assert_eq!(seen.0, state, "{said}");
        assert!(words.iter().all(|words| said.contains(words)), "{words:?} are not in {said}");
        assert_eq!(matches!(state, State::Warn | State::Fail), !seen.2.is_empty(), "{said}");
    }

    #[test]
    fn a_machine_without_such_a_gpu_is_passed_over() {
        assert_seen(&seen(root(&[]).path(), None), State::Skip, &["not loaded"]);
        assert_seen(&seen(root(&[("/dev/dxg", 0o666)]).path(), None), State::Ok, &["/dev/dxg"]);
    }

    #[test]
    fn all_that_there_are_are_named_in_their_order() {
        let others = [("/dev/nvidia10", 0o666), ("/dev/nvidia2", 0o666), ("/dev/nvidia-modeset", 0o600)];
        let root = root(&[&[MODULE][..], &DEVICES, &others].concat());
        let said = "/dev/nvidiactl, /dev/nvidia0, /dev/nvidia2, /dev/nvidia10, /dev/nvidia-uvm";
        assert_seen(&seen(root.path(), None), State::Ok, &[said]);
    }

    #[test]
    fn a_driver_without_device_files() {
        let words = ["there is no /dev/nvidiactl", "nvidia-modprobe -c 0 -u", "--gpus all"];
        assert_seen(&seen(root(&[MODULE]).path(), None), State::Fail, &words);
        let words = ["there is no /dev/nvidia0", "--gpus all"];
        assert_seen(&seen(root(&[MODULE, (CONTROL, 0o666), (MEMORY, 0o666)]).path(), None), State::Fail, &words);
    }

    #[test]
    fn a_driver_without_unified_memory_is_a_finding_of_its_own() {
        let words =
            ["there is no /dev/nvidia-uvm", "nvidia-modprobe -c 0 -u", "NoNewPrivileges", "mb-encode-nvidia.service"];
        let without = [MODULE, DEVICES[0], DEVICES[1]];
        assert_seen(&seen(root(&without).path(), None), State::Fail, &words);
        // Files of tests belong to whoever runs them; only root's setuid programs are a way.
        let helped = root(&[&without[..], &[(HELPER, 0o4755)]].concat());
        let is_root = rustix::process::geteuid().is_root();
        let state = if is_root { State::Warn } else { State::Fail };
        assert_seen(&seen(helped.path(), None), state, &words);
        create_dir_all(helped.path().join("proc/self")).unwrap();
        write(helped.path().join("proc/self/status"), "Name:\tx\nNoNewPrivs:\t1\n").unwrap();
        assert_seen(&seen(helped.path(), None), State::Fail, &words);
        let unhelped = root(&[&without[..], &[(HELPER, 0o755)]].concat());
        assert_seen(&seen(unhelped.path(), None), State::Fail, &["there is no setuid nvidia-modprobe"]);
    }

    #[test]
    fn a_device_that_is_anothers_names_the_group_that_opens_it() {
        let root = root(&[&[MODULE][..], &DEVICES].concat());
        let gpu = root.path().join("dev/nvidia0");
        let group = gpu.metadata().unwrap().gid();
        create_dir_all(root.path().join("etc")).unwrap();
        write(root.path().join("etc/group"), format!("root:x:4294967294:\nvideo:x:{group}:somebody\n")).unwrap();
        set_permissions(&gpu, Permissions::from_mode(0o660)).unwrap();
        let number = format!("in a container add group {group}");
        let words =
            ["/dev/nvidia0 belongs to", ":video, mode 0660", "usermod -aG video", "SupplementaryGroups=video", &number];
        assert_seen(&seen(root.path(), Some(("/dev/nvidia0", libc::EACCES))), State::Fail, &words);
        // The mode lets everybody in, and something else does not.
        let words = ["/dev/nvidiactl belongs to", "mode 0666", "DeviceAllow=char-nvidia rw", "--gpus all"];
        assert_seen(&seen(root.path(), Some((CONTROL, libc::EPERM))), State::Fail, &words);
        set_permissions(&gpu, Permissions::from_mode(0o600)).unwrap();
        assert_seen(&seen(root.path(), Some(("/dev/nvidia0", libc::EACCES))), State::Fail, &["NVreg_DeviceFileMode"]);
    }

    #[test]
    fn a_device_that_can_be_opened_is() {
        assert!(open(Path::new("/dev/null")).is_ok());
        assert!(open(Path::new("/dev/no-such-device")).is_err());
    }

    #[test]
    fn what_old_container_toolkits_leave_out() {
        let has = |names: &'static [&str]| move |name: &str| names.contains(&name);
        let driver = &["libcuda.so.550.54.14"];
        assert_eq!(missing_library("550.54.14", has(driver)).as_deref(), Some("libnvidia-gpucomp.so.550.54.14"));
        assert_eq!(
            missing_library("550.54.14", has(&["libcuda.so.550.54.14", "libnvidia-gpucomp.so.550.54.14"])),
            None
        );
        // Before that there is none, and of a driver that is there in another version nothing is known.
        assert_eq!(missing_library("535.54.03", has(&["libcuda.so.535.54.03"])), None);
        assert_eq!(missing_library("550.54.14", has(&[])), None);
        assert_eq!(missing_library("of its own kind", has(&[])), None);
    }
}
