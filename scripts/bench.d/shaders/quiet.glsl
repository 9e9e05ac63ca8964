// Nearly still: a dial on a soft ground, of which only the hand and its shadow move.

void mainImage(out vec4 colour, in vec2 pixel) {
    vec2 at = (pixel - 0.5 * iResolution.xy) / iResolution.y;
    vec3 ground = mix(vec3(0.09, 0.12, 0.18), vec3(0.24, 0.30, 0.38), pixel.y / iResolution.y);

    float radius = length(at), axis = min(abs(at.x), abs(at.y));
    float ring = smoothstep(0.006, 0.0, abs(radius - 0.42) - 0.004);
    float marks = smoothstep(0.006, 0.003, axis) * step(0.36, radius) * step(radius, 0.42);

    float turn = iTime * 0.10471976;
    vec2 hand = vec2(sin(turn), cos(turn));
    float needle = smoothstep(0.006, 0.002, length(at - hand * clamp(dot(at, hand), 0.0, 0.34)));
    vec2 below = at + vec2(-0.008, 0.012);
    float shadow = smoothstep(0.020, 0.0, length(below - hand * clamp(dot(below, hand), 0.0, 0.34)));

    ground *= 1.0 - 0.4 * shadow;
    ground = mix(ground, vec3(0.75, 0.80, 0.85), max(ring, marks));
    colour = vec4(mix(ground, vec3(0.95, 0.45, 0.20), needle), 1.0);
}
