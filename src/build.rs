//! Run by cargo before the build of the program: links what OpenH264 and the shader translator need of C++ into it.
//!
//! Loaded as a library, libstdc++ is nearly a megabyte of every waiting worker, and a program that has it inside runs on
//! machines that have another one. Where the archives are not installed the shared library does.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    let Some(out) = std::env::var_os("OUT_DIR") else { return };
    // Another machine's archives are not this one's.
    if std::env::var("HOST") != std::env::var("TARGET") {
        return;
    }
    let found = [("g++", "libstdc++.a"), ("cc", "libgcc_eh.a"), ("cc", "libgcc.a")];
    let [Some(cxx), Some(unwinder), Some(helpers)] = found.map(|(compiler, archive)| archive_of(compiler, archive))
    else {
        return;
    };
    let folder = Path::new(&out).join("archives");
    // rustc asks for libstdc++ and libgcc_s as shared libraries, and the linker takes from the first folder that has them:
    // here it finds scripts that name nothing but archives. libgcc_s is two of them.
    let scripts = [
        ("libstdc++.a", format!("INPUT ( {} )\n", cxx.display())),
        ("libgcc_s.a", format!("GROUP ( {} {} )\n", unwinder.display(), helpers.display())),
    ];
    let made = std::fs::create_dir_all(&folder).and_then(|()| {
        scripts.into_iter().try_for_each(|(name, script)| {
            let path = folder.join(name);
            // It may be a link that an earlier version made.
            let _ = std::fs::remove_file(&path);
            std::fs::write(path, script)
        })
    });
    if made.is_ok() {
        println!("cargo:rustc-link-arg-bins=-L{}", folder.display());
    }
}

/// Where a compiler has an archive. It answers with the bare name where it has none.
fn archive_of(compiler: &str, archive: &str) -> Option<PathBuf> {
    let answer = Command::new(compiler).arg(format!("-print-file-name={archive}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}
