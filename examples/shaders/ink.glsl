// Ink that swirls in water.

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = 3.0 * fragCoord / iResolution.y;
    for (int swirl = 1; swirl < 7; swirl++) {
        float n = float(swirl);
        at += 0.7 / n * sin(n * at.yx + vec2(0.31, 0.23) * iTime * n + vec2(0.0, 1.7) * n);
    }
    float ink = 0.5 + 0.5 * sin(at.x + at.y);
    vec3 colour = mix(vec3(0.02, 0.07, 0.16), vec3(0.10, 0.55, 0.62), ink);
    colour = mix(colour, vec3(0.95, 0.86, 0.62), smoothstep(0.75, 1.0, 0.5 + 0.5 * cos(2.0 * at.x - at.y)));
    fragColor = vec4(colour * (0.75 + 0.25 * cos(4.0 * at.y)), 1.0);
}
