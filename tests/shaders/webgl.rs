//! The table of colours is what a browser gives.

use crate::support::browser::Browser;
use crate::table::{self, Colour, FRAME, RATE, SIDE, Says};
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Draws each of `shaders` as Shadertoy does it, and gives its mean colour, or what the compiler says.
const DRAW: &str = r"
const [shaders, side, frame, rate, picture, done] = arguments;
const canvas = document.createElement('canvas');
canvas.width = canvas.height = side;
const gl = canvas.getContext('webgl2', {antialias: false});
if (!gl) {
    done('no WebGL 2');
    return;
}
const head = `#version 300 es
#ifdef GL_ES
precision highp float;
precision highp int;
precision mediump sampler3D;
#endif
#define HW_PERFORMANCE 1
uniform vec3 iResolution;
uniform float iTime;
uniform float iGlobalTime;
uniform float iTimeDelta;
uniform float iFrameRate;
uniform float iSampleRate;
uniform float iChannelTime[4];
uniform vec3 iChannelResolution[4];
uniform vec4 iMouse;
uniform vec4 iDate;
uniform int iFrame;
uniform sampler2D iChannel0;
uniform sampler2D iChannel1;
uniform sampler2D iChannel2;
uniform sampler2D iChannel3;
uniform struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh0;
uniform struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh1;
uniform struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh2;
uniform struct { sampler2D sampler; vec3 size; float time; int loaded; } iCh3;
out vec4 page_colour;
`;
const tail = `
void main() {
    vec4 colour = vec4(0.0, 0.0, 0.0, 1.0);
    mainImage(colour, gl_FragCoord.xy);
    page_colour = vec4(colour.xyz, 1.0);
}
`;
const corners = `#version 300 es
in vec2 corner;
void main() { gl_Position = vec4(corner, 0.0, 1.0); }
`;
const texture = gl.createTexture();
gl.bindTexture(gl.TEXTURE_2D, texture);
gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, true);
const texels = Uint8Array.from(atob(picture.rgba), letter => letter.charCodeAt(0));
gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, picture.width, picture.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
gl.generateMipmap(gl.TEXTURE_2D);
gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
const target = gl.createTexture();
gl.activeTexture(gl.TEXTURE7);
gl.bindTexture(gl.TEXTURE_2D, target);
gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, side, side);
gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, 0);
gl.bindTexture(gl.TEXTURE_2D, null);
gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 3, -1, -1, 3]), gl.STATIC_DRAW);
gl.enableVertexAttribArray(0);
gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
gl.viewport(0, 0, side, side);

const draw = text => {
    const program = gl.createProgram();
    let log = '';
    for (const [kind, source] of [[gl.VERTEX_SHADER, corners], [gl.FRAGMENT_SHADER, head + text + tail]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        log += gl.getShaderInfoLog(shader) || '';
        gl.attachShader(program, shader);
    }
    gl.bindAttribLocation(program, 0, 'corner');
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) {
        return log || gl.getProgramInfoLog(program);
    }
    gl.useProgram(program);
    const at = name => gl.getUniformLocation(program, name);
    gl.uniform3f(at('iResolution'), side, side, 1);
    gl.uniform1f(at('iTime'), frame / rate);
    gl.uniform1f(at('iGlobalTime'), frame / rate);
    gl.uniform1f(at('iTimeDelta'), 1 / rate);
    gl.uniform1f(at('iFrameRate'), rate);
    gl.uniform1f(at('iSampleRate'), 44100);
    gl.uniform1i(at('iFrame'), frame);
    gl.uniform4f(at('iDate'), 2024, 1, 29, 3600);
    for (let channel = 0; channel < 4; channel++) {
        gl.uniform1i(at(`iChannel${channel}`), channel);
        gl.uniform1i(at(`iCh${channel}.sampler`), channel);
    }
    gl.uniform3f(at('iChannelResolution[0]'), picture.width, picture.height, 1);
    gl.uniform3f(at('iCh0.size'), picture.width, picture.height, 1);
    gl.uniform1i(at('iCh0.loaded'), 1);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    const pixels = new Uint8Array(side * side * 4);
    gl.readPixels(0, 0, side, side, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.deleteProgram(program);
    return [0, 1, 2].map(part => {
        let sum = 0;
        for (let i = part; i < pixels.length; i += 4) {
            sum += pixels[i];
        }
        return sum / (side * side);
    });
};
done(Object.fromEntries(Object.entries(shaders).map(([name, text]) => [name, draw(text)])));
";

/// What the browser makes of each shader: a colour, or the compiler's words.
fn drawn_by_a_browser() -> BTreeMap<String, Result<Colour, String>> {
    let browser = Browser::start_with_webgl();
    browser.open("about:blank");
    let picture = table::picture();
    let (width, height) = picture.dimensions();
    let rgba = base64::prelude::BASE64_STANDARD.encode(picture.as_raw());
    let picture = json!({ "width": width, "height": height, "rgba": rgba });
    let answer = browser.run(DRAW, json!([table::corpus(), SIDE, FRAME, RATE, picture]));
    let Value::Object(answers) = answer else { panic!("the page says {answer}") };
    let colour = |answer: Value| match answer {
        Value::Array(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| part.as_f64().expect("a number")).collect();
            Ok(parts.try_into().expect("three parts"))
        }
        words => Err(words.as_str().expect("words").to_owned()),
    };
    answers.into_iter().map(|(name, answer)| (name, colour(answer))).collect()
}

#[test]
fn the_table_is_what_a_browser_gives() {
    let drawn = drawn_by_a_browser();
    let stored = if std::env::var_os("MB_SHADERS_WRITE").is_some() { BTreeMap::new() } else { table::stored() };
    let now: BTreeMap<_, _> = drawn
        .iter()
        .map(|(name, drawn)| {
            let own = || table::stored().get(name).map_or([0.0; 3], |(colour, _)| *colour);
            let line = drawn.as_ref().map_or_else(|_| (own(), Says::Own), |&colour| (colour, Says::Browser));
            (name.clone(), line)
        })
        .collect();
    if stored.is_empty() {
        std::fs::write(table::path(), table::written(&now)).expect("the table can be written");
        return;
    }
    assert!(now.len() >= 80 && now.keys().eq(stored.keys()), "the table has other names than the corpus");
    for (name, (colour, says)) in &now {
        let (expected, by) = &stored[name];
        let log = drawn[name].as_ref().err().map_or("", String::as_str);
        assert_eq!(says, by, "{name}: {log}");
        assert!(table::is_near(colour, expected), "{name}: {colour:?} instead of {expected:?}");
    }
}

#[test]
fn a_convention_is_taken_whoever_has_it() {
    let own = table::stored().values().filter(|(_, says)| *says == Says::Own).count();
    assert!(own >= 15 && table::stored().len() - own >= 40, "{own} are no browser's");
}
