void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    uint a = packUnorm2x16(vec2(0.3, 0.6));
    uint b = packSnorm2x16(vec2(0.5, -0.5));
    fragColor = vec4(unpackUnorm2x16(a), 0.5 + 0.5 * unpackSnorm2x16(b).y, 1.0);
}
