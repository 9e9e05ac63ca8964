//! The program's own code in memory.

use rustix::mm::{Advice, madvise};
use std::ffi::c_void;

/// Unmaps the code that is in memory, of this program and of the libraries that it has loaded. What is run again comes
/// back from the page cache by itself. A process that has started and only waits from now on keeps no page of its start-up
/// mapped, so that the kernel can use the memory for something else where it is short.
///
/// Nothing happens where the kernel does not say what is mapped.
pub fn unmap() {
    for line in std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines() {
        if let Some((start, end)) = code(line) {
            // SAFETY: private pages of a file that may be read and run but not written are the same as in the file, and come
            // from there when they are used the next time. The linker makes no code that has to be relocated.
            let _ = unsafe { madvise(start as *mut c_void, end - start, Advice::LinuxDontNeed) };
        }
    }
}

/// Where a line of `maps` (proc_pid_maps(5)) says that a file's code is.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (range, permissions, path) = (words.next()?, words.next()?, words.nth(3)?);
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let is_code = permissions == "r-xp" && path.starts_with('/');
    address(start).zip(address(end)).filter(|_| is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_files_and_is_not_written_is_code() {
        let at = "55d0c0a00000-55d0c0b00000";
        let expected = Some((0x55d0_c0a0_0000, 0x55d0_c0b0_0000));
        assert_eq!(code(&format!("{at} r-xp 00002000 fd:00 1234 /usr/bin/mb-encode")), expected);
        for rest in [
            "rwxp 00002000 fd:00 1234 /usr/bin/mb-encode",
            "r--p 00002000 fd:00 1234 /usr/bin/mb-encode",
            "r-xs 00002000 fd:00 1234 /usr/bin/mb-encode",
            "r-xp 00000000 00:00 0",
            "r-xp 00000000 00:00 0                          [vdso]",
        ] {
            assert_eq!(code(&format!("{at} {rest}")), None, "{rest}");
        }
    }

    /// In KiB, what of the code is mapped.
    fn resident() -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut sum, mut is_code) = (0, false);
        for line in smaps.lines() {
            match line.strip_prefix("Rss:") {
                Some(size) if is_code => sum += size.trim().trim_end_matches(" kB").parse::<u64>().unwrap(),
                _ if line.split_once(' ').is_some_and(|(range, _)| range.contains('-')) => {
                    is_code = code(line).is_some()
                }
                _ => {}
            }
        }
        sum
    }

    #[test]
    fn what_was_unmapped_comes_back_as_it_is_used() {
        let before = resident();
        unmap();
        // By running what has just been unmapped; other tests run theirs.
        let after = resident();
        assert!(0 < after && after < before, "{before} KiB, then {after}");
    }
}
