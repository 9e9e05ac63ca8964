//! What a shader's file declares by itself, so that nothing is declared twice. It is read word by word, without telling
//! which part of an `#if` is taken: where that matters, more than one way to compile the file is tried.

use std::collections::HashSet;

/// What stands in a file.
#[derive(Debug, Default)]
pub struct Scan {
    /// The code, line by line as in the file, without the directives that only whoever puts it together can place.
    pub code: String,
    /// What stands behind the first `#version`.
    pub version: Option<String>,
    /// The extensions that it enables.
    pub extensions: Vec<String>,
    /// Every identifier that it uses, anywhere.
    pub words: HashSet<String>,
    /// What it defines with `#define`.
    pub macros: HashSet<String>,
    /// The uniforms and other variables that it declares for all functions.
    pub variables: HashSet<String>,
    /// The `vec2` that come from another stage.
    pub inputs: Vec<String>,
    /// Whether it declares where its colour goes.
    pub has_output: bool,
    /// Its functions, each with its first line.
    functions: Vec<(String, usize)>,
}

struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Scan {
    /// Reads `code`, which has no comments.
    pub fn of(code: &str) -> Self {
        let mut this = Self::default();
        let mut tokens = Vec::new();
        let lines: Vec<_> = code.split('\n').collect();
        let mut at = 0;
        while at < lines.len() {
            let first = at;
            while lines[at].ends_with('\\') && at + 1 < lines.len() {
                at += 1;
            }
            at += 1;
            let logical = &lines[first..at];
            let is_kept = match logical[0].trim_start().strip_prefix('#') {
                Some(_) => {
                    this.read_directive(&logical.iter().map(|line| line.trim_end_matches('\\')).collect::<String>())
                }
                None => {
                    let numbered = logical.iter().zip(first + 1..);
                    tokens.extend(numbered.flat_map(|(text, line)| split(text).map(move |text| Token { text, line })));
                    true
                }
            };
            for line in logical {
                this.code.push_str(if is_kept { line } else { "" });
                this.code.push('\n');
            }
        }
        this.code.pop();
        this.words.extend(tokens.iter().filter(|token| is_word(token.text)).map(|token| token.text.to_owned()));
        this.read_declarations(&tokens);
        this
    }

    /// The line in which it begins to define the function `name`.
    pub fn function(&self, name: &str) -> Option<usize> {
        self.functions.iter().find(|(function, _)| function == name).map(|&(_, line)| line)
    }

    /// Whether `name` means what GLSL, or the site, means by it: it is used, and not declared here.
    pub fn expects(&self, name: &str) -> bool {
        self.words.contains(name)
            && !self.macros.contains(name)
            && !self.variables.contains(name)
            && self.function(name).is_none()
    }

    /// Reads a directive. Returns whether it stays where it is.
    fn read_directive(&mut self, line: &str) -> bool {
        let mut words = split(line).skip(1);
        match words.next() {
            Some("version") => {
                let rest = line.split_once("version").map_or("", |(_, rest)| rest);
                self.version.get_or_insert(rest.split_whitespace().collect::<Vec<_>>().join(" "));
                false
            }
            Some("extension") => {
                let name = words.next().unwrap_or_default();
                let enables = words.any(|word| word == "enable" || word == "require");
                if enables && name.starts_with("GL_") {
                    self.extensions.push(name.to_owned());
                }
                false
            }
            // Messages speak of the lines of the file.
            Some("line") => false,
            name => {
                if name == Some("define") {
                    self.macros.extend(words.next().map(str::to_owned));
                }
                self.words.extend(words.filter(|word| is_word(word)).map(str::to_owned));
                true
            }
        }
    }

    fn read_declarations(&mut self, tokens: &[Token<'_>]) {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let (mut depth, mut before) = (0_i32, "");
        for (at, token) in tokens.iter().enumerate() {
            match token.text {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                "uniform" => self.read_uniforms(&tokens[at + 1..]),
                // Parameters have a qualifier, too; those stand behind a bracket or a comma.
                "out" => self.has_output |= is_start(before),
                "in" | "varying" if is_start(before) => {
                    let at = at + 1 + usize::from(is_precision(text(at + 1)));
                    if text(at) == "vec2" && is_word(text(at + 1)) {
                        self.inputs.push(text(at + 1).to_owned());
                        self.variables.insert(text(at + 1).to_owned());
                    }
                }
                name if is_type(before) && is_word(name) && text(at + 1) == "(" => {
                    self.functions.push((name.to_owned(), token.line));
                }
                name if depth == 0 && is_type(before) && is_word(name) && matches!(text(at + 1), ";" | "=" | ",") => {
                    self.variables.insert(name.to_owned());
                }
                _ => {}
            }
            before = token.text;
        }
    }

    /// Reads the names between `uniform` and its semicolon.
    fn read_uniforms(&mut self, tokens: &[Token<'_>]) {
        let statement: Vec<_> = tokens.iter().map(|token| token.text).take_while(|&text| text != ";").collect();
        let kind = statement.iter().take_while(|text| is_precision(text)).count();
        let (mut depth, mut before) = (0_i32, ",");
        for text in statement.iter().skip(kind + 1) {
            match *text {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                name if depth == 0 && before == "," && is_word(name) => drop(self.variables.insert(name.to_owned())),
                _ => {}
            }
            before = text;
        }
    }
}

fn is_precision(text: &str) -> bool {
    matches!(text, "highp" | "mediump" | "lowp")
}

/// Whether it can be a type's name, in front of what is declared.
fn is_type(before: &str) -> bool {
    // As in `return f(x);` and `precision highp float;`.
    is_word(before) && !matches!(before, "return" | "else" | "do") && !is_precision(before)
}

/// Whether a declaration for all functions can follow.
fn is_start(before: &str) -> bool {
    matches!(before, "" | ";" | "}" | ")" | "flat" | "smooth" | "centroid")
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// The identifiers, numbers and other characters of `line`.
fn split(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\\']);
        let first = rest.chars().next()?;
        let is_part = |next: char| next.is_ascii_alphanumeric() || next == '_' || next == '.' && first.is_ascii_digit();
        let end = match is_part(first) {
            true => rest.find(|next| !is_part(next)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(end);
        rest = behind;
        Some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(set: &HashSet<String>) -> Vec<&str> {
        let mut names: Vec<_> = set.iter().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn directives_that_stand_at_the_start_of_a_shader_are_taken_out() {
        let scan = Scan::of(
            "# version 300  es\n#extension GL_OES_standard_derivatives : enable\n#extension GL_EXT_a : disable\n\
             #line 100\n#define A \\\n  b(c)\n#extension \\\nGL_EXT_d:require\nint e;",
        );
        assert_eq!(scan.version.as_deref(), Some("300 es"));
        assert_eq!(scan.extensions, ["GL_OES_standard_derivatives", "GL_EXT_d"]);
        assert_eq!(scan.code, "\n\n\n\n#define A \\\n  b(c)\n\n\nint e;");
        assert_eq!(sorted(&scan.macros), ["A"]);
        assert_eq!(sorted(&scan.words), ["b", "c", "e", "int"]);
    }

    #[test]
    fn the_variables_of_a_file_are_found_whatever_surrounds_them() {
        let scan = Scan::of(
            "precision highp float;\nuniform vec3 iResolution;\nuniform highp float a, b [2], c = f(x, y);\n\
             layout(location = 0) out vec4 pixel;\nvarying vec2 uv; in mediump vec2 st; vec3 iMouse; float g = 1.0;\n\
             void f(in vec2 p, out vec4 q) { float local = 1.0; }\n",
        );
        assert_eq!(sorted(&scan.variables), ["a", "b", "c", "g", "iMouse", "iResolution", "pixel", "st", "uv"]);
        assert_eq!(scan.inputs, ["uv", "st"]);
        assert!(scan.has_output);
        assert!(!Scan::of("void f(out vec4 a, in vec2 b, const in vec2 c) {}").has_output);
    }

    #[test]
    fn functions_are_told_from_calls() {
        let scan = Scan::of("float f(float x) { return g(x); }\n\nvoid\nmain () { f(1.0); texture2D(a, b); }");
        assert_eq!((scan.function("f"), scan.function("main"), scan.function("g")), (Some(1), Some(4), None));
        assert!(scan.expects("texture2D") && !scan.expects("f") && !scan.expects("textureCube"));
        assert!(!Scan::of("#define texture2D texture\nint x = texture2D(a);").expects("texture2D"));
    }
}
