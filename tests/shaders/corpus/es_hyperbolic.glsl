void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(tanh(0.5), sinh(0.4), acosh(1.2), 1.0);
    fragColor.r += atanh(0.1) + asinh(0.1) - cosh(0.0) + 0.9;
}
