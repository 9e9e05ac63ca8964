void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(textureLod(iChannel0, vec2(0.5), 2.0).rg, textureLod(iChannel0, vec2(0.3, 0.3), 1.0).b, 1.0);
}
