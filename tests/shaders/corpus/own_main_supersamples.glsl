void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
out vec4 pixel;
void main() {
    vec4 sum, part;
    for (int i = 0; i < 4; i++) { mainImage(part, gl_FragCoord.xy + vec2(i & 1, i >> 1) * 0.5 - 0.25); sum += part * 0.125; }
    pixel = sum;
}
