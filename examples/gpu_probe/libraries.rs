//! Which of the drivers' libraries are there, and which files this process has loaded for them: of two on one machine, the
//! one that counts.

use crate::{Found, say};
use mb_encode::parts::open_library;
use std::collections::BTreeSet;

const OF_DRIVERS: [&str; 7] = ["libEGL", "libGL", "libOpenGL", "libcuda", "libnvidia", "libnvcuvid", "libgallium"];

/// Paths of the drivers' libraries that are mapped, each once.
pub fn loaded() -> Vec<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths = maps.lines().filter_map(|line| line.split_once('/').map(|(_, path)| format!("/{path}")));
    let is_drivers = |path: &String| {
        let name = path.rsplit('/').next().unwrap_or_default();
        OF_DRIVERS.iter().any(|prefix| name.starts_with(prefix))
    };
    paths.filter(is_drivers).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Those of `libraries` that the loader does not find, or refuses.
pub fn missing(libraries: &[String]) -> Found {
    let missing: Vec<_> = libraries.iter().filter(|name| open_library(name).is_err()).cloned().collect();
    missing.iter().for_each(|name| say(name));
    missing.into()
}
