//! The programs of others that tests need.

use std::path::PathBuf;

/// The program that `variable` names, else `name` in a folder of PATH or in one of `also`. Where there is none, the
/// test fails with `how` to get it.
pub fn find(variable: &str, name: &str, also: &[PathBuf], how: &str) -> PathBuf {
    any(variable, name, also)
        .unwrap_or_else(|| panic!("this test needs {name}; scripts/test installs it: {how}; or name it in ${variable}"))
}

/// The same, or `None`.
pub fn any(variable: &str, name: &str, also: &[PathBuf]) -> Option<PathBuf> {
    if let Some(given) = std::env::var_os(variable).filter(|given| !given.is_empty()) {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(also.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
