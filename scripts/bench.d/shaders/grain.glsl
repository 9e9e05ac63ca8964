// Hard to encode and cheap to draw: coarse grain that is new in every picture, over a gradient that drifts.

float chance(vec2 at) {
    vec2 folded = fract(at * vec2(0.1031, 0.1030));
    folded += dot(folded, folded.yx + 33.33);
    return fract((folded.x + folded.y) * folded.x);
}

void mainImage(out vec4 colour, in vec2 pixel) {
    // iTime counts pictures of a sixtieth of a second; in between it would be the luck of rounding.
    float picture = floor(iTime * 60.0 + 0.5);
    float grain = chance(floor(pixel / 2.0) + vec2(17.0, 59.0) * mod(picture, 61.0)) - 0.5;
    float slope = 0.5 + 0.2 * sin(pixel.x / iResolution.x * 3.0 + iTime) * cos(pixel.y / iResolution.y * 2.0);
    colour = vec4(vec3(slope) * vec3(1.0, 0.96, 0.9) + 0.22 * grain, 1.0);
}
