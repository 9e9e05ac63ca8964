#define rot(a) mat2(cos(a), -sin(a), sin(a), cos(a))
#define sat(x) clamp(x, 0., 1.)
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 p = vec2(0.5, 0.1) * rot(0.5);
    fragColor = vec4(sat(p.x), sat(p.y + 0.5), sat(-3.0), 1.0);
}
