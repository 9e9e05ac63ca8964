void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    // The name until 2017.
    fragColor = vec4(iGlobalTime, 0.5 * sin(iGlobalTime), 0.0, 1.0);
}
