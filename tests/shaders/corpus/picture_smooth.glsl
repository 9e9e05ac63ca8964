void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(texture(iChannel0, vec2(0.25, 0.625)).rgb, 1.0);
}
