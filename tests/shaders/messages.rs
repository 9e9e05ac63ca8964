//! What is said of a shader that does not compile: which line of the file, and what is wrong there.

use crate::drawn::{self, colour, with_picture};
use std::process::Command;

const IMAGE: &str = "void mainImage(out vec4 c, in vec2 p) {\n";

/// What standard error says of a shader with this text, which is not drawn.
fn told(text: &str) -> String {
    match colour(text.as_bytes(), &[]) {
        Err(told) => told,
        Ok(colour) => panic!("it is drawn, {colour:?}: {text}"),
    }
}

#[test]
fn each_message_has_the_line_of_the_file_and_the_cause() {
    let cases: [(String, &[&str]); 16] = [
        (format!("{IMAGE}    c = vec4(missing);\n}}\n"), &["shader.glsl:2:", "'missing'", "undeclared"]),
        (format!("// one\n{IMAGE}    c = = vec4(1.0);\n}}\n"), &["shader.glsl:3:", "syntax error"]),
        (format!("#line 500\n{IMAGE}    c = vec4(missing);\n}}\n"), &["shader.glsl:3:", "'missing'"]),
        (
            format!("/* a\n b */ #line 7\n#line 9 2\n{IMAGE}\n    c = vec4(missing);\n}}\n"),
            &["shader.glsl:6:", "'missing'"],
        ),
        (
            format!("#define BAD(x) (x + missing)\n{IMAGE}\n    c = vec4(BAD(1.0));\n}}\n"),
            &["shader.glsl:4:", "'missing'"],
        ),
        (
            format!("#define TWO \\\n  1.0 + \\\n  2.0\n{IMAGE}\n    c = vec4(TWO);\n    c += missing;\n}}\n"),
            &["shader.glsl:7:", "'missing'"],
        ),
        (format!("// \\\n\n{IMAGE}    c = vec4(missing);\n}}\n"), &["shader.glsl:4:", "'missing'"]),
        (format!("{IMAGE}    float x = 1;\n    c = vec4(missing);\n}}\n"), &["shader.glsl:3:", "'missing'"]),
        (format!("{IMAGE}    c = vec4(1.0);\n"), &["shader.glsl:", "syntax error"]),
        ("void mainImage(vec2 p) {\n}\n".to_owned(), &["shader.glsl:1: mainImage(out vec4, in vec2):"]),
        (
            "\n\nvec4 mainImage(in vec2 p) {\n    return vec4(1.0);\n}\n".to_owned(),
            &["shader.glsl:3: mainImage(out vec4, in vec2):"],
        ),
        (format!("{IMAGE}    c = texture(iChannel0, vec3(1.0));\n}}\n"), &["shader.glsl:2:", "cube maps"]),
        (format!("#error this one needs more\n{IMAGE}}}\n"), &["shader.glsl:1:", "this one needs more"]),
        (format!("#if\n{IMAGE}}}\n"), &["shader.glsl:1:"]),
        (format!("#version 330\n{IMAGE}    c = vec4(missing);\n}}\n"), &["shader.glsl:3:", "missing"]),
        ("vec2 mainSound(float time) { return vec2(0.0); }".to_owned(), &["has no mainImage, only mainSound"]),
    ];
    for (text, words) in cases {
        let told = told(&text);
        for word in words {
            assert!(told.contains(word), "{word} is not in: {told}\n{text}");
        }
        // Each message is of a line that there is.
        for (_, rest) in told.match_indices("shader.glsl:").map(|(at, found)| told.split_at(at + found.len())) {
            let number: usize = rest.split(':').next().and_then(|number| number.parse().ok()).unwrap_or(1);
            assert!((1..=text.lines().count().max(1)).contains(&number), "line {number}: {told}\n{text}");
        }
        assert!(told.contains("[shader-"), "{told}");
        assert!(!told.contains("mb_encode"), "of what is written around it: {told}");
    }
}

#[test]
fn a_hundred_errors_are_not_all_told() {
    let told = told(&format!("{IMAGE}{}}}\n", "    c += missing;\n".repeat(300)));
    assert!(told.lines().count() < 20, "{told}");
}

#[test]
fn uniforms_and_channels_without_a_value_are_told_of() {
    let text = "uniform float speed;\nuniform float time;\nvoid mainImage(out vec4 c, in vec2 p) {\n    \
                c = texture(iChannel0, p) + texture(iChannel2, p) * speed * time;\n}\n";
    let (folder, option) = with_picture();
    let output = drawn::run(folder.path(), text.as_bytes(), &[&option]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("iChannel2") && told.contains("--channel2 FILE"), "{told}");
    assert!(!told.contains("iChannel0") && !told.contains("iChannel1"), "{told}");
    assert!(told.contains("so they are 0: speed\n"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
}

#[test]
fn the_explanation_of_each_message_is_there() {
    for code in ["shader-compile", "shader-characters", "shader-comment", "channel-format", "channel-broken"] {
        let output = Command::new(env!("CARGO_BIN_EXE_mb-encode")).args(["explain", code]).output().expect("it starts");
        assert!(output.status.success() && output.stdout.len() > 100, "{code}");
    }
}
