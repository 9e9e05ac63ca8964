void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(float(iFrame) * 0.25, iFrame % 2 == 1 ? 0.5 : 0.0, float(iFrame << 2) / 8.0, 1.0);
}
