// A picture of which every part moves, with as much detail as a rate control has to work for.

float grain(vec2 at) {
    return fract(sin(dot(at, vec2(12.9898, 78.233))) * 43758.5453);
}

void mainImage(out vec4 colour, in vec2 pixel) {
    vec2 at = pixel / iResolution.y;
    float waves = 0.0;
    for (int octave = 0; octave < 5; octave++) {
        float scale = 6.0 * pow(2.1, float(octave));
        vec2 drift = vec2(sin(float(octave) * 1.7), cos(float(octave) * 2.3)) * iTime * 0.3;
        waves += sin((at.x + drift.x) * scale) * cos((at.y + drift.y) * scale) / (1.0 + float(octave));
    }
    float speckle = grain(floor(pixel / 4.0) + floor(iTime * 15.0)) * 0.12;
    colour = vec4(0.5 + 0.3 * sin(waves * 3.0 + vec3(0.0, 2.1, 4.2)) + speckle, 1.0);
}
