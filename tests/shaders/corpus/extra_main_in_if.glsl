void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
#ifdef STAND_ALONE
void main() { mainImage(gl_FragColor, gl_FragCoord.xy); }
#endif
