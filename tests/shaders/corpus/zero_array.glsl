void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float level[7];
    level[3] += 0.5;
    fragColor = vec4(level[0] + 0.1, level[3], level[6] + 0.3, 1.0);
}
