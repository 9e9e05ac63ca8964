void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(iTimeDelta, iFrameRate * 0.2, iTimeDelta * iFrameRate * 0.5, 1.0);
}
