//! A process that runs one stream and nothing else on the GPU, which can therefore do with less of CUDA than a driver gives
//! everybody.
//!
//! The library is a guest in somebody's program, who may use CUDA as well, and changes nothing there.

use super::environment::variable;
use std::process::Command;
use std::sync::OnceLock;

/// How many queues a CUDA context has, for kernels and for copies. One stream of work needs one of each, and the rest takes
/// time to make and to give back: with an H200 and driver 580.159.04, 126 and 70 ms with all of them, 54 and 29 ms with one.
const QUEUES: [&str; 2] = ["CUDA_DEVICE_MAX_CONNECTIONS", "CUDA_DEVICE_MAX_COPY_CONNECTIONS"];

/// Those that were set here, once the process is dedicated.
static SET: OnceLock<Vec<&'static str>> = OnceLock::new();

/// Says that this process is one. The environment can be changed only by the first thread while it is alone; with others,
/// nothing changes.
pub fn declare() {
    let is_alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if !is_alone || is() {
        return;
    }
    // Who has set one knows better.
    let ours = QUEUES.into_iter().filter(|name| variable(name).is_none()).collect::<Vec<_>>();
    for name in &ours {
        // SAFETY: no other thread is there that could read the environment meanwhile.
        unsafe { std::env::set_var(name, "1") };
    }
    let _ = SET.set(ours);
}

/// Whether this process is one.
pub fn is() -> bool {
    SET.get().is_some()
}

/// Has `command` know nothing of it: another program may do more on the GPU.
pub fn hide_from(command: &mut Command) {
    for name in SET.get().into_iter().flatten() {
        command.env_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_left_alone() {
        // The test runner has its own.
        declare();
        assert!(!is());
        let mut command = Command::new("true");
        hide_from(&mut command);
        assert_eq!(command.get_envs().count(), 0);
    }
}
