// Common
const float scale = 0.5;
vec3 palette(float t) { return 0.5 + 0.5 * cos(6.2831 * (t + vec3(0.0, 0.33, 0.67))); }

// Image
#define S(a, b, t) smoothstep(a, b, t)
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(palette(0.2) * scale + S(0.0, 1.0, 0.1), 1.0);
}
