void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor += 0.2;
    fragColor.r += 0.3;
}
