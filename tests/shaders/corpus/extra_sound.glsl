void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.55);
}
vec2 mainSound(in int samp, float time) {
    return vec2(sin(6.2831 * 440.0 * time) * exp(-3.0 * time) + float(samp) / iSampleRate);
}
