void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(dFdx(fragCoord.x) * 0.3, fwidth(fragCoord.y) * 0.4, dFdy(fragCoord.y * 2.0) * 0.25, 1.0);
}
