void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    int bits = floatBitsToInt(0.5);
    uint other = floatBitsToUint(1.0) >> 23;
    fragColor = vec4(intBitsToFloat(bits), float(other) / 254.0, uintBitsToFloat(0x3e800000u), 1.0);
}
