void shade(float level, out vec3 colour, out float rest) {
    colour.r += level;
    if (level > 1.0) rest = 1.0;
}
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec3 colour = vec3(0.9);
    float rest = 0.9;
    shade(0.4, colour, rest);
    fragColor = vec4(colour, 1.0) + rest;
}
