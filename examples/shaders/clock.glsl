// A clock that shows UTC, and a ring that goes round once a second.

float hand(vec2 at, float turns, float reach, float width) {
    float angle = 6.2832 * turns;
    vec2 along = vec2(sin(angle), cos(angle));
    float t = clamp(dot(at, along), 0.0, reach);
    return smoothstep(width, width - 0.01, length(at - along * t));
}

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = 1.15 * (2.0 * fragCoord - iResolution.xy) / iResolution.y;
    float radius = length(at);
    float turn = fract(atan(at.x, at.y) / 6.2832 + 1.0);
    vec3 colour = mix(vec3(0.03, 0.05, 0.09), vec3(0.10, 0.13, 0.20), smoothstep(1.01, 0.99, radius));

    float hour_mark = step(abs(fract(turn * 12.0 + 0.5) - 0.5), 0.06) * step(0.84, radius) * step(radius, 0.95);
    colour += 0.6 * hour_mark;

    float second = iDate.w;
    colour += 0.9 * hand(at, second / 43200.0, 0.5, 0.045);
    colour += 0.9 * hand(at, second / 3600.0, 0.75, 0.03);
    colour = mix(colour, vec3(1.0, 0.35, 0.2), hand(at, floor(second) / 60.0, 0.8, 0.02));

    float ring = step(0.98, radius) * step(radius, 1.04) * step(turn, fract(iTime));
    colour = mix(colour, vec3(0.3, 0.8, 1.0), ring);
    fragColor = vec4(colour, 1.0);
}
