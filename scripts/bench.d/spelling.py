"""Spells a shader of Shadertoy's kind, which mb-encode takes as it is, the way that GStreamer's glshader wants it.

Of Shadertoy's names those are known that the bench's shaders use: `mainImage`, `iTime` and `iResolution`.
"""

# GLSL ES 1.00, as its own vertex shader is. Rows count from the top there, and from the bottom on Shadertoy.
HEAD = """#version 100
precision highp float;
varying vec2 v_texcoord;
uniform sampler2D tex;
uniform float time;
uniform float width;
uniform float height;
#define iTime time
#define iResolution vec3(width, height, 1.0)
"""
FOOT = """
void main() {
    vec4 shown = vec4(0.0);
    mainImage(shown, vec2(gl_FragCoord.x, height - gl_FragCoord.y));
    gl_FragColor = vec4(shown.rgb, 1.0);
}
"""


def for_gstreamer(shader):
    """The fragment shader for `glshader`."""
    return HEAD + shader + FOOT


def quoted(text):
    """A property's value in a pipeline, whatever is in it."""
    inner = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'
