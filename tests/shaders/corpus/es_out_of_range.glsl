void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(2.5, -1.0, 1e20, 7.0);
}
