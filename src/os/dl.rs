//! Libraries that are loaded while the program runs, so that it also starts where they are missing.

use libloading::Library;
use libloading::os::unix;
use std::ffi::c_void;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told_in_the_loaders_words() {
        let error = open("libmb-encode-is-not-there.so.1").unwrap_err();
        assert!(error.contains("libmb-encode-is-not-there.so.1") && error.contains("No such file"), "{error}");
    }

    #[test]
    fn all_missing_names_are_told_at_once() {
        let libc = open("libc.so.6").unwrap();
        assert!(symbols(libc, ["getpid", "strlen"]).is_ok());
        assert_eq!(symbols(libc, ["mb_one", "getpid", "mb_two"]).unwrap_err(), "mb_one, mb_two");
    }
}
