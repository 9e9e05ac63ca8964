float map(vec3 p) {
    return min(length(p - vec3(0.0, 0.5, 3.0)) - 1.0, p.y + 0.5);
}
vec3 normal(vec3 p) {
    vec2 e = vec2(0.001, 0.0);
    return normalize(map(p) - vec3(map(p - e.xyy), map(p - e.yxy), map(p - e.yyx)));
}
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 uv = (2.0 * fragCoord - iResolution.xy) / iResolution.y;
    vec3 direction = normalize(vec3(uv, 1.5));
    float t;
    for (int i; i < 64; i++) t += map(direction * t);
    vec3 colour;
    if (t < 20.0) colour = 0.5 + 0.5 * normal(direction * t);
    fragColor = vec4(sqrt(colour), 1.0);
}
