void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(texelFetch(iChannel0, ivec2(3, 0), 0).a, float(textureSize(iChannel0, 0).x) / 8.0, 0.0, 1.0);
}
