// Bands of light that drift across each other.

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = (2.0 * fragCoord - iResolution.xy) / iResolution.y;
    vec3 light = vec3(0.0);
    for (int band = 0; band < 5; band++) {
        float n = float(band);
        float wave = 0.35 * sin(at.x * (1.3 + 0.4 * n) + iTime * (0.7 + 0.13 * n) + n);
        float distance = abs(at.y - wave + 0.15 * (n - 2.0));
        vec3 hue = 0.5 + 0.5 * cos(6.2832 * (n / 5.0 + vec3(0.0, 0.33, 0.67)) + 0.4 * iTime);
        light += hue * 0.02 / (distance + 0.02);
    }
    fragColor = vec4(pow(light, vec3(0.8)), 1.0);
}
