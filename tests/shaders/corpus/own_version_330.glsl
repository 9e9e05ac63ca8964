#version 330 core
uniform vec2 resolution;
out vec4 pixel;
void main() { pixel = vec4(gl_FragCoord.xy / resolution, 0.5, 1); }
