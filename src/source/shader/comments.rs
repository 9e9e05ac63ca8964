//! A shader's text without its comments, line by line where it was. Drivers differ in what they make of a comment: a
//! backslash at its end, letters that are not ASCII, a `#version` inside of it.

/// A text whose comments are spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bare {
    /// ASCII alone. It has the lines of the text that it was made from.
    pub code: String,
    /// What was not ASCII outside of comments, with the number of its line. `@`, which GLSL has no use for, stands there.
    pub foreign: Vec<(usize, char)>,
    /// The line in which a comment begins that never ends.
    pub open_comment: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    /// Behind `//`.
    Line,
    /// Behind `/*`, which stands in this line.
    Block(usize),
}

impl Bare {
    /// Takes the comments out of `text`, whose lines end with `\n`.
    pub fn of(text: &str) -> Self {
        let mut this = Self { code: String::with_capacity(text.len()), foreign: Vec::new(), open_comment: None };
        let mut within = Within::Code;
        let mut line = 1;
        // Whether this is a line of a directive, which a block comment does not end; and whether it has nothing yet.
        let (mut directive, mut empty) = (false, true);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            let next = characters.peek().copied();
            match (within, character, next) {
                (Within::Block(_), '*', Some('/')) => {
                    characters.next();
                    this.code.push(' ');
                    within = Within::Code;
                }
                (Within::Block(_), '\n', _) => {
                    this.code.push_str(if directive { "\\\n" } else { "\n" });
                    line += 1;
                }
                // The next line belongs to the comment, too (GLSL ES 3.00, section 3.1).
                (Within::Line, '\\', Some('\n')) => {
                    characters.next();
                    this.code.push('\n');
                    line += 1;
                }
                (Within::Code, '\\', Some('\n')) => {
                    characters.next();
                    this.code.push_str("\\\n");
                    line += 1;
                }
                (_, '\n', _) => {
                    this.code.push('\n');
                    line += 1;
                    (within, directive, empty) = (Within::Code, false, true);
                }
                (Within::Line | Within::Block(_), ..) => {}
                (Within::Code, '/', Some('/')) => within = Within::Line,
                (Within::Code, '/', Some('*')) => {
                    characters.next();
                    within = Within::Block(line);
                }
                // The last character of the file continues with nothing.
                (Within::Code, '\\', None) => {}
                (Within::Code, ..) => {
                    directive |= empty && character == '#';
                    empty &= character == ' ';
                    if character.is_ascii() {
                        this.code.push(character);
                    } else {
                        this.foreign.push((line, character));
                        this.code.push('@');
                    }
                }
            }
        }
        if let Within::Block(begun) = within {
            this.open_comment = Some(begun);
        }
        this
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_go_and_lines_stay() {
        let cases = [
            ("a // b\nc", "a \nc"),
            ("a /* b\n c */ d\ne", "a \n  d\ne"),
            ("a //* b\nc */", "a \nc */"),
            ("a /*/ b */ c", "a   c"),
            ("// art \\\n more art\nc", "\n\nc"),
            ("a\n// art \\", "a\n"),
            ("a \\\nb", "a \\\nb"),
            ("a \\", "a "),
            ("#define A /* b\n */ 1\nc", "#define A \\\n  1\nc"),
            ("/* a */ #define B /* \n */ 2", "  #define B \\\n  2"),
            ("// caf\u{e9}\n", "\n"),
        ];
        for (text, code) in cases {
            let bare = Bare::of(text);
            assert_eq!((bare.code.as_str(), bare.foreign.len(), bare.open_comment), (code, 0, None), "{text:?}");
        }
    }

    #[test]
    fn what_cannot_be_compiled_is_told_by_its_line() {
        let bare = Bare::of("// \u{201c}\nfloat a = 1.0 \u{2013} 2.0;\n/* b\n");
        assert_eq!(bare.foreign, [(2, '\u{2013}')]);
        assert_eq!((bare.code.as_str(), bare.open_comment), ("\nfloat a = 1.0 @ 2.0;\n\n", Some(3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn there_are_as_many_lines_as_before(text in "[ab/*\\\\#\n\u{e9} ]{0,60}") {
            let bare = Bare::of(&text);
            prop_assert_eq!(bare.code.matches('\n').count(), text.matches('\n').count());
            prop_assert!(bare.code.is_ascii() && !bare.code.contains("//") && !bare.code.contains("/*"));
        }
    }
}
