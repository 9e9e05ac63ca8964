#version 400
out vec4 pixel;
uniform vec3 iResolution;
void main() { double d = 0.5lf; pixel = vec4(gl_FragCoord.xy / iResolution.xy, float(d), 1); }
