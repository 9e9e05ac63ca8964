float f(float x) { return x; }
float f(vec2 x) { return x.x + x.y; }
float f(int x) { return float(x) * 0.1; }
float g(float x);
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(f(0.2), f(vec2(0.1, 0.3)), f(5) + g(0.1), 1.0);
}
float g(float x) { return x * 2.0; }
