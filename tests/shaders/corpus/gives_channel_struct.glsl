void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec4 texel = texture(iCh0.sampler, vec2(0.125, 0.125));
    fragColor = vec4(texel.r, iCh0.size.x / 8.0, float(iCh0.loaded) * 0.5 + float(iCh1.loaded), 1.0);
}
