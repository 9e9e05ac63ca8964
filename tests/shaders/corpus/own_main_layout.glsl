#version 300 es
precision highp float;
layout(location = 0) out highp vec4 pixel;
uniform vec2 iResolution;
uniform float iTime;
void main() { pixel = vec4(gl_FragCoord.xy / iResolution, sin(iTime), 1.0); }
