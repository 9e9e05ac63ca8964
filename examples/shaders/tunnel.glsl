// A flight through a chequered tube.

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 at = (2.0 * fragCoord - iResolution.xy) / iResolution.y;
    at += 0.3 * vec2(sin(iTime * 0.7), cos(iTime * 0.5));
    float depth = 1.0 / max(length(at), 0.02);
    float turn = atan(at.y, at.x) / 6.2832;
    vec2 wall = vec2(depth * 1.5 + iTime * 1.2, turn * 12.0 + 0.5 * sin(depth));
    float chequer = mod(floor(wall.x) + floor(wall.y), 2.0);
    vec3 hue = 0.55 + 0.45 * cos(0.7 * floor(wall.x) + vec3(0.0, 2.1, 4.2));
    fragColor = vec4(mix(0.15, 1.0, chequer) * hue * min(1.0, 2.2 / depth), 1.0);
}
