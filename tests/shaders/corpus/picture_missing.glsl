void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec4 none = texture(iChannel2, fragCoord / 64.0);
    fragColor = vec4(none.r + 0.2, none.g + none.b, none.a * 0.5, 1.0);
}
