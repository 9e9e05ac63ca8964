void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.2 + iChannelTime[0] + iChannelTime[3]);
}
