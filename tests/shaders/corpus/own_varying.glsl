#version 100
precision mediump float;
varying vec2 uv;
uniform float iTime;
void main() { gl_FragColor = vec4(uv, sin(iTime), 1.0); }
