#line 100
void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
#line 7 3
void main() { mainImage(gl_FragColor, gl_FragCoord.xy); }
