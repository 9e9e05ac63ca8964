//! What fuzzing tries on a shader's file, up to where a GL driver would compile it.

use super::dialect::{Language, candidates};
use super::scan::Scan;
use super::{Shader, complaint, translate};

/// A file of any bytes.
pub fn file(bytes: &[u8]) {
    let shader = Shader::of("a.glsl", bytes);
    let scan = Scan::of(&shader.bare.code);
    for way in candidates(&scan) {
        let lines = way.source.lines().count();
        assert!(way.head <= lines, "{} of {lines} lines stand in front", way.head);
        if way.language == Language::Web {
            if let Err(log) = translate::translate(&way.source) {
                let _ = complaint::told("a.glsl", &log, way.head, &scan);
            }
        }
    }
    let log = String::from_utf8_lossy(bytes);
    let _ = complaint::told("a.glsl", &log, bytes.len() % 40, &scan);
}
