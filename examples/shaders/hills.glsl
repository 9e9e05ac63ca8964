// Hills that pass by at dusk, the near ones faster.

float ridge(float x, float seed) {
    return 0.5 * sin(x * 1.7 + seed) + 0.3 * sin(x * 3.1 + 2.0 * seed) + 0.1 * sin(x * 9.7 + seed);
}

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = fragCoord / iResolution.y;
    vec3 colour = mix(vec3(0.98, 0.60, 0.34), vec3(0.15, 0.19, 0.44), smoothstep(0.35, 1.05, at.y));
    float sun = length(at - vec2(1.15, 0.62));
    colour += vec3(0.5, 0.3, 0.1) * exp(-4.0 * sun);
    colour = mix(colour, vec3(1.0, 0.88, 0.66), smoothstep(0.09, 0.085, sun));
    for (int hill = 0; hill < 5; hill++) {
        float near = float(hill) / 4.0;
        float along = at.x * (2.2 - near) + iTime * (0.06 + 0.45 * near * near);
        float height = 0.58 - 0.47 * near + (0.06 + 0.06 * near) * ridge(along, 1.9 * float(hill));
        vec3 shade = mix(vec3(0.66, 0.42, 0.46), vec3(0.04, 0.06, 0.12), near);
        colour = mix(colour, shade, smoothstep(0.003, -0.003, at.y - height));
    }
    fragColor = vec4(colour, 1.0);
}
