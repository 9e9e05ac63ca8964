void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    // The bottom left corner of the picture is at the bottom left.
    fragColor = texture(iChannel0, vec2(0.125, 0.125)) * step(fragCoord.x, 32.0)
        + texture(iChannel0, vec2(0.125, 0.875)) * step(32.0, fragCoord.x) * 0.5;
}
