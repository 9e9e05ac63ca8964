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
        Ok(()) => Ok(translator.object_code()),
        Err(why) => {
            let log = translator.info_log();
            Err(if log.trim().is_empty() { why.to_owned() } else { log })
        }
    }
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
    fn complaints_have_the_line() {
        let log = translate("#version 300 es\nprecision highp float;\nvoid main() {\n    x = 1.0;\n}\n").unwrap_err();
        assert!(log.contains("0:4: 'x' : undeclared identifier"), "{log}");
        assert!(translate("\0").is_err());
    }
}
