uniform vec3 iResolution;
uniform float iTime, iTimeDelta;
uniform vec4 iMouse;
uniform int iFrame;
uniform sampler2D iChannel0;
void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
