// Moves everywhere, with edges and fine detail in each part: striped discs that drift over woven waves.

void mainImage(out vec4 colour, in vec2 pixel) {
    vec2 at = pixel / iResolution.y;
    vec2 bent = at + 0.06 * sin(at.yx * 9.0 + iTime * vec2(0.9, 1.3));
    float waves = sin(bent.x * 14.0 + bent.y * 5.0 - iTime) + 0.5 * sin(dot(bent, vec2(-23.0, 31.0)) + 1.7 * iTime);
    vec3 ground = mix(vec3(0.12, 0.20, 0.42), vec3(0.92, 0.62, 0.30), 0.5 + 0.33 * waves);
    ground *= 0.88 + 0.12 * step(0.5, fract(bent.x * 17.0 + bent.y * 23.0));

    vec2 moved = at * 7.0 + iTime * vec2(0.9, -0.5);
    vec2 cell = floor(moved), within = moved - cell - 0.5;
    float chance = fract(dot(fract(cell * vec2(0.1031, 0.2713)), vec2(37.19, 61.73)));
    float disc = smoothstep(0.34, 0.32, length(within) + 0.15 * chance) * step(0.3, chance);
    float stripes = step(0.5, fract(within.x * 7.0 + within.y * 9.0 * chance + iTime));
    vec3 paint = mix(vec3(0.10, 0.55, 0.45), vec3(0.85, 0.88, 0.80), stripes * chance);
    colour = vec4(mix(ground, paint, disc), 1.0);
}
