//! A shader is the same picture in whatever encoding, with whatever line ends, it was saved.

use crate::drawn::colour;
use crate::table;

const SHADER: &str = "// Ren\u{e9} \u{a9} 2016\n#define LEVEL 0.4\n\tvoid mainImage(out vec4 c, in vec2 p) {\n    // one\n    \
                      c = vec4(LEVEL, 0.2, 0.0, 1.0);\n}\n";

/// What [`SHADER`] draws.
const EXPECTED: table::Colour = [102.0, 51.0, 0.0];

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

fn latin_1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).expect("Latin-1 has it")).collect()
}

#[test]
fn every_way_to_save_a_text_gives_the_same_picture() {
    let marked = format!("\u{feff}{SHADER}");
    let files: [(&str, Vec<u8>); 15] = [
        ("UTF-8", SHADER.into()),
        ("UTF-8 with a mark", marked.clone().into()),
        ("UTF-16, little", utf_16(&marked, u16::to_le_bytes)),
        ("UTF-16, big", utf_16(&marked, u16::to_be_bytes)),
        ("UTF-16 without a mark", utf_16(SHADER, u16::to_le_bytes)),
        ("UTF-16, big, without a mark", utf_16(SHADER, u16::to_be_bytes)),
        ("Latin-1", latin_1(SHADER)),
        ("Windows-1252", [b"// \x93quoted\x94 \x96 \x80\n", SHADER.as_bytes()].concat()),
        ("CRLF", SHADER.replace('\n', "\r\n").into()),
        ("CR", SHADER.replace('\n', "\r").into()),
        ("Latin-1 with CR", latin_1(&SHADER.replace('\n', "\r"))),
        ("a DOS file", [SHADER.as_bytes(), b"\x1a"].concat()),
        ("a file of whole blocks", [SHADER.as_bytes(), &[0; 512]].concat()),
        ("no end of the last line", SHADER.trim_end().into()),
        ("pages", SHADER.replace("    // one", "\x0c\x0b// one").into()),
    ];
    for (name, bytes) in files {
        let drawn = colour(&bytes, &[]);
        assert!(drawn.as_ref().is_ok_and(|colour| table::is_near(colour, &EXPECTED)), "{name}: {drawn:?}");
    }
}

#[test]
fn what_no_compiler_takes_is_told_by_line_and_letter() {
    let cases: [(&[u8], &str); 4] = [
        (
            "void mainImage(out vec4 c, in vec2 p) {\n    c = vec4(1.0 \u{2013} 0.5);\n}\n".as_bytes(),
            "shader.glsl:2: the code has a '\u{2013}' (U+2013)",
        ),
        (
            b"\r\rvoid mainImage(out vec4 c, in vec2 p) { float caf\xe9; }",
            "shader.glsl:3: the code has a '\u{e9}' (U+00E9)",
        ),
        (
            b"\xff\xfev\0o\0i\0d\0 \0m\0a\0i\0n\0I\0m\0a\0g\0e\0(\0)\0\x1c\x20",
            "shader.glsl:1: the code has a '\u{201c}' (U+201C)",
        ),
        (
            b"/* one\n/* two */\nvoid mainImage(out vec4 c, in vec2 p) {}\n /* three",
            "shader.glsl:4: the comment that begins here never ends",
        ),
    ];
    for (bytes, expected) in cases {
        // What is in a comment, or in code that is left out, is nobody's matter.
        match colour(bytes, &[]) {
            Err(told) => assert!(told.contains(expected), "{told}"),
            Ok(_) => assert!(expected.contains("comment"), "drawn instead of: {expected}"),
        }
    }
    let left_out = "#if 0\n\u{201c}not code\u{201d}\n#endif\nvoid mainImage(out vec4 c, in vec2 p) { c = vec4(0.4, 0.2, 0.0, 1.0); }\n";
    assert!(table::is_near(&colour(left_out.as_bytes(), &[]).expect("it is drawn"), &EXPECTED));
}
