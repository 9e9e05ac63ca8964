void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(round(2.6) / 6.0, trunc(1.7) * 0.3, roundEven(2.5) * 0.2, 1.0);
    float whole;
    fragColor.g += modf(1.25, whole);
    fragColor.b += isnan(whole) || isinf(whole) ? 1.0 : 0.0;
}
