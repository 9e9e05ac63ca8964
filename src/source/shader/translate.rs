//! GLSL ES 3.00 to desktop GLSL, by the translator that browsers have (ANGLE's). It keeps WebGL's rules whatever the driver:
//! names that desktop GLSL reserves, functions that it lacks, and 0 in every variable that was given no value.

use mozangle::shaders::{BuiltInResources, CompileOptions, Output, ShaderValidator, initialize};
use std::sync::OnceLock;

/// What the translator puts in front of every name of the file, so that none is reserved.
const PREFIX: &str = "_u";

/// The name that the translation has for what the file calls `name`.
pub fn translated_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// What the file calls what the translation calls `name`: a variable, perhaps with the parts of it that are meant.
pub fn original_name(name: &str) -> String {
    let parts = name.split('.').map(|part| part.strip_prefix(PREFIX).unwrap_or(part));
    parts.collect::<Vec<_>>().join(".")
}

/// The fragment shader `source` in GLSL 3.30 core.
///
/// # Errors
/// What a browser's console says about it.
pub fn translate(source: &str) -> Result<String, String> {
    static STARTED: OnceLock<Result<(), &str>> = OnceLock::new();
    (*STARTED.get_or_init(initialize)).map_err(str::to_owned)?;
    // As many as GL 3.3 promises.
    let resources = BuiltInResources {
        MaxDrawBuffers: 8,
        MaxTextureImageUnits: 16,
        MaxFragmentUniformVectors: 256,
        ..BuiltInResources::default()
    };
    let translator = ShaderValidator::for_webgl2(glow::FRAGMENT_SHADER, Output::Glsl330Core, &resources)
        .ok_or("the shader translator does not start")?;
    let mut options = CompileOptions::mozangle();
    options.set_initOutputVariables(1);
    options.set_initializeUninitializedLocals(1);
    // These are for drivers of other systems.
    options.set_emulateAbsIntFunction(0);
    options.set_emulateIsnanFloatFunction(0);
    options.set_emulateAtan2FloatFunction(0);
    match translator.compile(&[source], options) {
        Ok(()) => Ok(with_loops(&translator.object_code())),
        Err(why) => {
            let log = translator.info_log();
            Err(if log.trim().is_empty() { why.to_owned() } else { log })
        }
    }
}

/// The longest array that is set to 0 element by element. Mesa takes seconds to compile one of 512.
const LONGEST_LIST: usize = 64;

/// A translation in which long arrays are set to 0 by loops. The translator writes each declaration on a line of its own.
fn with_loops(translation: &str) -> String {
    let line = |line: &str| zeroed_in_a_loop(line).unwrap_or_else(|| line.to_owned());
    translation.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// `TYPE NAME[COUNT] = TYPE[COUNT](0.0, 0.0, …);` as a declaration and a loop, where it is a long one of elements that are all
/// alike. That of a constant stays, for its `const` is no type.
fn zeroed_in_a_loop(line: &str) -> Option<String> {
    // Lines of functions are indented. Outside of them there are no loops.
    let (declaration, rest) = line.strip_prefix("  ").and(line.split_once(" = "))?;
    let (declared, count) = declaration.strip_suffix(']')?.rsplit_once('[')?;
    let (kind, name) = declared.trim_start().split_once(' ')?;
    let elements = rest.strip_prefix(kind)?.strip_prefix(&format!("[{count}]("))?.strip_suffix(");")?;
    let long: usize = count.parse().ok().filter(|&count| count > LONGEST_LIST)?;
    // All are alike, so one has a part of the text's length, less the commas and blanks between them.
    let zero = elements.get(..((elements.len() + 2) / long).checked_sub(2)?)?;
    let is_alike = elements == vec![zero; long].join(", ");
    is_alike.then(|| {
        format!("{declaration}; for (int mb_encode_i = 0; mb_encode_i < {long}; mb_encode_i++) {name}[mb_encode_i] = {zero};")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_starts_with_0_and_names_are_told_from_the_drivers() {
        let source = "#version 300 es
precision highp float;
out vec4 colour;
void set(out float shared) {}
void main() { float buffer[2]; set(colour.x); colour.y = buffer[1]; }
";
        let translated = translate(source).unwrap();
        assert!(translated.starts_with("#version 330"), "{translated}");
        for words in ["_ushared = 0.0", "_ubuffer[2] = float[2](0.0, 0.0)", "out vec4 _ucolour"] {
            assert!(translated.contains(words), "{words}: {translated}");
        }
        assert_eq!(translated_name("colour"), "_ucolour");
        assert_eq!(original_name("_uiCh0._usize"), "iCh0.size");
        assert_eq!(original_name("_ulist[0]"), "list[0]");
    }

    #[test]
    fn long_arrays_are_set_in_loops() {
        let list = |kind: &str, zero: &str, count: usize| {
            format!("  {kind} _ua[{count}] = {kind}[{count}]({});", vec![zero; count].join(", "))
        };
        let looped = with_loops(&list("vec2", "vec2(0.0, 0.0)", 512));
        let loop_of = "for (int mb_encode_i = 0; mb_encode_i < 512; mb_encode_i++) _ua[mb_encode_i] = vec2(0.0, 0.0);";
        assert_eq!(looped, format!("  vec2 _ua[512]; {loop_of}"));
        let others = [
            list("float", "0.0", 64),
            list("float", "0.0", 100).replacen("0.0", "1.0", 1),
            list("const float", "0.0", 100),
            list("float", "0.5", 100).trim_start().to_owned(),
            "  float _ua[100] = _ub;".to_owned(),
            "  float _ua[100] = float[100]();".to_owned(),
        ];
        for line in others {
            assert_eq!(with_loops(&line), line);
        }
        let source = "#version 300 es\nprecision highp float;\nout vec4 c;\nvoid main() { int a[900]; c = vec4(a[int(c.x)]); }\n";
        assert!(translate(source).unwrap().contains("int _ua[900]; for ("));
    }

    #[test]
    fn complaints_have_the_line() {
        let log = translate("#version 300 es\nprecision highp float;\nvoid main() {\n    x = 1.0;\n}\n").unwrap_err();
        assert!(log.contains("0:4: 'x' : undeclared identifier"), "{log}");
        assert!(translate("\0").is_err());
    }
}
