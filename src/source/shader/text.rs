//! The text of a shader's file, whatever it was saved with: encodings, line ends, and what editors leave at the end.
//!
//! What comes out has lines that end with `\n`, and no control characters but that one. It never fails: GLSL takes any
//! character in a comment, and what stands elsewhere is the compiler's to refuse.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The text in `bytes`: by its byte order mark, as UTF-16 that has none, as UTF-8, or as Windows-1252, which every
/// remaining file is legal in and which has Latin-1's letters.
pub fn text_of(bytes: &[u8]) -> String {
    let text = match Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or_else(|| utf_16_without_mark(bytes)) {
        Some(encoding) => encoding.decode(bytes).0,
        None => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
        },
    };
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    lines.chars().map(|character| if is_blank(character) { ' ' } else { character }).collect()
}

/// Whether it stands for nothing: control characters (a NUL, the Ctrl-Z of DOS, tabs and form feeds), the spaces of
/// pages that people copy from, and a mark that came into the middle as files were joined.
fn is_blank(character: char) -> bool {
    let is_control = character.is_control() && character != '\n';
    is_control || (character.is_whitespace() && character != '\n') || matches!(character, '\u{200b}' | '\u{feff}')
}

/// UTF-16 of which at least every other character is ASCII, as in any shader.
fn utf_16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    let pairs = bytes.chunks_exact(2);
    let half = pairs.len() / 2 + 1;
    let little = pairs.clone().filter(|pair| pair[0] != 0 && pair[1] == 0).count();
    let big = pairs.filter(|pair| pair[0] == 0 && pair[1] != 0).count();
    match (little >= half, big >= half) {
        (true, _) => Some(UTF_16LE),
        (_, true) => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn each_encoding_that_editors_write_gives_the_same_text() {
        let text = "// \u{a9} 2016 Ren\u{e9}\nint x;\n";
        let marked = format!("\u{feff}{text}");
        let files = [
            text.as_bytes().to_vec(),
            marked.as_bytes().to_vec(),
            utf_16(&marked, u16::to_le_bytes),
            utf_16(&marked, u16::to_be_bytes),
            utf_16(text, u16::to_le_bytes),
            utf_16(text, u16::to_be_bytes),
            b"// \xa9 2016 Ren\xe9\nint x;\n".to_vec(),
            b"// \xa9 2016 Ren\xe9\r\nint x;\r\n".to_vec(),
            b"// \xa9 2016 Ren\xe9\rint x;\r".to_vec(),
        ];
        for (number, file) in files.iter().enumerate() {
            assert_eq!(text_of(file), text, "file {number}");
        }
        assert_eq!(
            text_of(b"// \x93quoted\x94 \x96 in Windows-1252"),
            "// \u{201c}quoted\u{201d} \u{2013} in Windows-1252"
        );
    }

    #[test]
    fn what_is_no_character_is_a_space() {
        assert_eq!(text_of(b"int\tx;\x0b\x0c\nint y;\0\n\x1a\0\0"), "int x;  \nint y; \n   ");
        assert_eq!(text_of("int\u{a0}x;\u{200b}\u{feff}\u{3000}".as_bytes()), "int x;   ");
        assert_eq!(text_of(b""), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_text(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = text_of(&bytes);
            prop_assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        }

        #[test]
        fn ascii_is_kept(text in "[ -~\n]{0,200}") {
            prop_assert_eq!(text_of(text.as_bytes()), text);
        }
    }
}
