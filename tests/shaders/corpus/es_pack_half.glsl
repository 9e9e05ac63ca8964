void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    uint both = packHalf2x16(vec2(0.25, 0.75));
    fragColor = vec4(unpackHalf2x16(both), float(both & 0xffffu) / 32768.0, 1.0);
}
