void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec4 v = vec4(0.1, 0.2, 0.3, 0.4);
    v.zx = v.xy;
    v.ba = v.ab;
    fragColor = vec4(v.stp, 1.0).bgra;
    fragColor[1] += 0.1;
}
