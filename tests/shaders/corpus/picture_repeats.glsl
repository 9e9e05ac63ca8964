void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 uv = fragCoord / iResolution.xy * 3.0 - 1.0;
    fragColor = texture(iChannel0, uv);
}
