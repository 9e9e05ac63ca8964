//! Libraries that are loaded while the program runs, so that it also starts where they are missing.

use libloading::Library;
use libloading::os::unix;
use std::ffi::c_void;
use std::path::PathBuf;
use std::ptr::NonNull;

/// Opens the library called `name`, by the loader's search path, and keeps it until the process ends: drivers do not
/// survive being unloaded.
///
/// # Errors
/// The loader's own words.
pub fn open(name: &str) -> Result<&'static Library, String> {
    // SAFETY: loading runs the library's initialisers; `name` is a driver's library that the system's owner installed.
    let library = unsafe { unix::Library::open(Some(name), unix::RTLD_NOW | unix::RTLD_LOCAL) };
    let library = library.map_err(|error| match std::error::Error::source(&error) {
        Some(reason) => reason.to_string(),
        None => error.to_string(),
    })?;
    Ok(Box::leak(Box::new(Library::from(library))))
}

/// The addresses of `names` in `library`, in their order.
///
/// # Errors
/// All names that the library lacks, with commas between them.
pub fn symbols<const N: usize>(library: &Library, names: [&str; N]) -> Result<[NonNull<c_void>; N], String> {
    let found = names.map(|name| {
        // SAFETY: the address is only carried; who calls it gives it the right type.
        let symbol = unsafe { library.get::<*mut c_void>(name.as_bytes()) };
        symbol.ok().and_then(|symbol| NonNull::new(*symbol))
    });
    let missing: Vec<_> =
        names.iter().zip(&found).filter(|(_, found)| found.is_none()).map(|(&name, _)| name).collect();
    if missing.is_empty() { Ok(found.map(|found| found.expect("none is missing"))) } else { Err(missing.join(", ")) }
}

/// The file whose code or data is at `address`, with its links resolved. `None` where the kernel does not say, or none is.
pub fn file_of(address: *const ()) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find_map(|line| file_at(line, address as usize))
}

/// What a line of `maps` (proc_pid_maps(5)) has at `address`.
fn file_at(line: &str, address: usize) -> Option<PathBuf> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let is_inside = (number(start)?..number(end)?).contains(&address);
    is_inside.then(|| rest.find('/').map(|at| PathBuf::from(&rest[at..]))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told_in_the_loaders_words() {
        let error = open("libmb-encode-is-not-there.so.1").unwrap_err();
        assert!(error.contains("libmb-encode-is-not-there.so.1") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn the_file_of_a_function_is_the_one_that_is_mapped_there() {
        let [getpid] = symbols(open("libc.so.6").unwrap(), ["getpid"]).unwrap();
        let file = file_of(getpid.as_ptr().cast_const().cast()).unwrap();
        assert!(file.is_absolute() && std::fs::canonicalize(&file).unwrap() == file, "{}", file.display());
        assert!(file.to_string_lossy().contains("libc"), "{}", file.display());
        assert_eq!(file_of(std::ptr::null()), None);
        let line = "7f00-7f80 r-xp 00002000 fd:00 1234      /usr/lib/with a space/libcuda.so.1.1";
        assert_eq!(file_at(line, 0x7f7f), Some("/usr/lib/with a space/libcuda.so.1.1".into()));
        assert_eq!((file_at(line, 0x7f80), file_at("7f00-7f80 rw-p 00000000 00:00 0", 0x7f00)), (None, None));
    }

    #[test]
    fn all_missing_names_are_told_at_once() {
        let libc = open("libc.so.6").unwrap();
        assert!(symbols(libc, ["getpid", "strlen"]).is_ok());
        assert_eq!(symbols(libc, ["mb_one", "getpid", "mb_two"]).unwrap_err(), "mb_one, mb_two");
    }
}
