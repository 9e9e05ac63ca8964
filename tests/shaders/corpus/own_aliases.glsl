uniform float time;
uniform vec2 resolution;
#define iTime time
#define iResolution vec3(resolution, 1.0)
void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
void main() { mainImage(gl_FragColor, gl_FragCoord.xy); }
