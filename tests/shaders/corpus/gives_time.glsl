void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(iTime, iTime * 0.5, fract(iTime * 3.0 + 0.1), 1.0);
}
