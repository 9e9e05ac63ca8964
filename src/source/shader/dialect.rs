//! The ways in which a shader's file can be compiled: in which language, with what in front of it and behind it.
//!
//! A browser compiles GLSL ES 3.00, so that comes first, and is translated as in a browser. What only desktop GLSL takes is
//! compiled as that.

use super::scan::Scan;
use std::fmt::Write as _;

/// What a shader may read without declaring it, as the site has it.
const UNIFORMS: [(&str, &str); 19] = [
    ("iResolution", "vec3 iResolution"),
    ("iTime", "float iTime"),
    ("iGlobalTime", "float iGlobalTime"),
    ("iTimeDelta", "float iTimeDelta"),
    ("iFrame", "int iFrame"),
    ("iFrameRate", "float iFrameRate"),
    ("iSampleRate", "float iSampleRate"),
    ("iMouse", "vec4 iMouse"),
    ("iDate", "vec4 iDate"),
    ("iChannelTime", "float iChannelTime[4]"),
    ("iChannelResolution", "vec3 iChannelResolution[4]"),
    ("iChannel0", "sampler2D iChannel0"),
    ("iChannel1", "sampler2D iChannel1"),
    ("iChannel2", "sampler2D iChannel2"),
    ("iChannel3", "sampler2D iChannel3"),
    ("iCh0", "struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh0"),
    ("iCh1", "struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh1"),
    ("iCh2", "struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh2"),
    ("iCh3", "struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh3"),
];

/// What GLSL ES 1.00, as of WebGL 1, calls otherwise.
const OLD_NAMES: [(&str, &str); 14] = [
    ("gl_FragColor", "mb_encode_colour"),
    ("gl_FragData", "mb_encode_data"),
    ("varying", "in"),
    ("texture2D", "texture"),
    ("textureCube", "texture"),
    ("texture2DProj", "textureProj"),
    ("texture2DLod", "textureLod"),
    ("textureCubeLod", "textureLod"),
    ("texture2DLodEXT", "textureLod"),
    ("textureCubeLodEXT", "textureLod"),
    ("texture2DGradEXT", "textureGrad"),
    ("textureCubeGradEXT", "textureGrad"),
    ("texture2DProjLodEXT", "textureProjLod"),
    ("gl_FragDepthEXT", "gl_FragDepth"),
];

/// GLSL ES has no precision of its own for these.
const PRECISIONS: &str = "precision highp float;
precision highp int;
precision highp sampler2D;
precision highp samplerCube;
precision highp sampler3D;
precision highp sampler2DArray;
";

/// What desktop GLSL before 4.20 lacks and GLSL ES 3.00 has. A driver that lacks them warns.
const DESKTOP_EXTENSIONS: &str = "#extension GL_ARB_shading_language_packing : enable
#extension GL_ARB_shading_language_420pack : enable
#extension GL_ARB_gpu_shader5 : enable
";

/// Behind a file with `mainImage`.
const CALLS_MAIN_IMAGE: &str = "
void main() {
    vec4 mb_encode_pixel = vec4(0.0, 0.0, 0.0, 1.0);
    mainImage(mb_encode_pixel, gl_FragCoord.xy);
    mb_encode_colour = vec4(mb_encode_pixel.rgb, 1.0);
}
";

/// The language of a way to compile a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// GLSL ES 3.00, as in browsers.
    Web,
    /// GLSL for the core profile, of this version.
    Desktop(u32),
}

/// One way to compile a file.
#[derive(Debug)]
pub struct Candidate {
    pub language: Language,
    pub source: String,
    /// How many lines stand in front of the file.
    pub head: usize,
}

/// The ways to compile a file, the likeliest one first. There are none where it has nothing that could be called.
pub fn candidates(scan: &Scan) -> Vec<Candidate> {
    let (languages, wrappers) = (languages(scan.version.as_deref().unwrap_or("")), wrappers(scan));
    let ways = languages.iter().flat_map(|&language| wrappers.iter().map(move |&own_main| (language, own_main)));
    ways.map(|(language, own_main)| candidate(scan, language, own_main)).collect()
}

/// Whether the file has a `main` of its own, or is called by one from here. Both, where an `#if` may decide.
fn wrappers(scan: &Scan) -> &'static [bool] {
    let mentions = |name: &str| scan.words.contains(name);
    match (scan.function("main").is_some(), scan.function("mainImage").is_some()) {
        (true, false) if !mentions("mainImage") => &[true],
        (true, _) => &[true, false],
        (false, true) if !mentions("main") => &[false],
        (false, true) => &[false, true],
        // Made by a macro.
        (false, false) if mentions("mainImage") => &[false],
        (false, false) if mentions("main") => &[true],
        (false, false) => &[],
    }
}

/// Whether a file was written for desktop GLSL, by what stands behind its `#version`.
pub fn is_for_desktop(version: &str) -> bool {
    desktop_version(version).is_some()
}

fn desktop_version(version: &str) -> Option<u32> {
    let mut words = version.split(' ');
    let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    // 100 is that of WebGL 1.
    (number >= 110 && words.next() != Some("es")).then_some(number)
}

/// The languages to try, for a file that asks for `version`.
fn languages(version: &str) -> Vec<Language> {
    let mut languages = vec![Language::Web];
    languages.extend(desktop_version(version).filter(|&number| number > 330).map(Language::Desktop));
    languages.push(Language::Desktop(330));
    languages
}

fn candidate(scan: &Scan, language: Language, own_main: bool) -> Candidate {
    let is_web = language == Language::Web;
    let mut head = match language {
        Language::Web => "#version 300 es\n".to_owned(),
        Language::Desktop(version) => format!("#version {version} core\n"),
    };
    let mut line = |text: std::fmt::Arguments<'_>| {
        // A String takes everything.
        let _ = head.write_fmt(text);
    };
    for extension in &scan.extensions {
        line(format_args!("#extension {extension} : enable\n"));
    }
    if !is_web {
        line(format_args!("{DESKTOP_EXTENSIONS}"));
    }
    if !scan.macros.contains("HW_PERFORMANCE") {
        line(format_args!("#define HW_PERFORMANCE 1\n"));
    }
    for (old, new) in OLD_NAMES.iter().filter(|(old, _)| scan.expects(old)) {
        line(format_args!("#define {old} {new}\n"));
    }
    if is_web {
        line(format_args!("{PRECISIONS}"));
    }
    for (_, declaration) in UNIFORMS.iter().filter(|(name, _)| !scan.variables.contains(*name)) {
        line(format_args!("uniform {declaration};\n"));
    }
    if own_main && scan.expects("gl_FragData") {
        line(format_args!("out vec4 mb_encode_data[1];\n"));
    } else if !own_main || !scan.has_output {
        line(format_args!("out vec4 mb_encode_colour;\n"));
    }
    let tail = if own_main { "\n" } else { CALLS_MAIN_IMAGE };
    let (lines, source) = (head.matches('\n').count(), format!("{head}{}{tail}", scan.code));
    Candidate { language, source, head: lines }
}

/// The stage in front of a fragment shader, which covers the whole target with one triangle. `inputs` are what the
/// fragment shader reads of it: where in the target a pixel is, from 0 to 1.
pub fn vertex<'a>(inputs: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut text = "#version 330 core\n".to_owned();
    for input in inputs.clone() {
        let _ = writeln!(text, "out vec2 {input};");
    }
    text += "void main() {
    vec2 mb_encode_corner = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
    gl_Position = vec4(mb_encode_corner * 2.0 - 1.0, 0.0, 1.0);
";
    for input in inputs {
        let _ = writeln!(text, "    {input} = mb_encode_corner;");
    }
    text + "}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    use Language::{Desktop, Web};

    fn of(code: &str) -> Vec<Candidate> {
        candidates(&Scan::of(code))
    }

    const IMAGE: &str = "void mainImage(out vec4 c, in vec2 p) { c = vec4(1.0); }";

    #[test]
    fn a_browsers_language_comes_first_and_then_what_the_file_asks_for() {
        let all = |version: &str| {
            let ways = of(&format!("#version {version}\n{IMAGE}"));
            ways.iter().map(|way| way.language).collect::<Vec<_>>()
        };
        for version in ["300 es", "310 es", "100", "", "es", "120", "330", "330 core", "99999999999"] {
            assert_eq!(all(version), [Web, Desktop(330)], "{version}");
        }
        assert_eq!(all("450 compatibility"), [Web, Desktop(450), Desktop(330)]);
        assert_eq!(["", "100", "300 es", "120", "450 core"].map(is_for_desktop), [false, false, false, true, true]);
    }

    #[test]
    fn what_is_called_is_what_the_file_has() {
        let calls = |code: &str| {
            let ways = of(code);
            let web = ways.iter().filter(|way| way.language == Web);
            web.map(|way| way.source.contains("mainImage(mb_encode_pixel")).collect::<Vec<_>>()
        };
        let own = "void main() { mainImage(gl_FragColor, gl_FragCoord.xy); }";
        assert_eq!(calls(IMAGE), [true]);
        assert_eq!(calls(own), [false, true]);
        assert_eq!(calls(&format!("{IMAGE}{own}")), [false, true]);
        assert_eq!(calls("void main() { gl_FragColor = vec4(1.0); }"), [false]);
        assert_eq!(calls("#define IMAGE void mainImage(out vec4 c, vec2 p)\nIMAGE { c = vec4(1.0); }"), [true]);
        assert!(of("float f() { return 1.0; }").is_empty());
    }

    #[test]
    fn nothing_is_declared_twice_and_the_head_is_counted() {
        let code = "uniform vec3 iResolution;\nuniform float iTime;\nout vec4 pixel;\nvarying vec2 uv;\n\
                    void main() { pixel = texture2D(iChannel0, uv); }";
        let way = &of(code)[0];
        for name in ["vec3 iResolution;", "float iTime;"] {
            assert_eq!(way.source.matches(name).count(), 1, "{name}");
        }
        assert!(!way.source.contains("mb_encode_colour"), "{}", way.source);
        assert!(way.source.contains("#define texture2D texture\n"));
        assert!(vertex(["uv"].into_iter()).contains("out vec2 uv;"));
        assert_eq!(way.source.lines().nth(way.head), Some("uniform vec3 iResolution;"));
    }
}
