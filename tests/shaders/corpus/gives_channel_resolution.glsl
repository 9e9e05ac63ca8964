void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(iChannelResolution[0].xy / 8.0, iChannelResolution[0].z * 0.25 + iChannelResolution[1].x, 1.0);
}
