// Cells that push each other about.

vec2 centre(vec2 cell) {
    vec2 random = fract(sin(vec2(dot(cell, vec2(127.1, 311.7)), dot(cell, vec2(269.5, 183.3)))) * 43758.5);
    return 0.5 + 0.45 * sin(iTime * (0.4 + random.yx) + 6.2832 * random);
}

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = 5.0 * fragCoord / iResolution.y;
    vec2 home = floor(at);
    float nearest = 9.0, second = 9.0, tint = 0.0;
    for (int y = -1; y <= 1; y++) {
        for (int x = -1; x <= 1; x++) {
            vec2 cell = home + vec2(float(x), float(y));
            float away = length(cell + centre(cell) - at);
            if (away < nearest) {
                second = nearest;
                nearest = away;
                tint = fract(dot(cell, vec2(0.37, 0.61)));
            } else {
                second = min(second, away);
            }
        }
    }
    vec3 hue = 0.55 + 0.4 * cos(6.2832 * (tint + vec3(0.55, 0.75, 0.9)));
    float wall = smoothstep(0.0, 0.12, second - nearest);
    fragColor = vec4(hue * (1.1 - 0.8 * nearest) * wall + 0.25 * smoothstep(0.08, 0.05, nearest), 1.0);
}
