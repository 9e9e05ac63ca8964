void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec4 v = vec4(0.1, 0.2, 0.3, 0.4);
    float list[4] = float[4](0.4, 0.3, 0.2, 0.1);
    int i = int(fragCoord.x) % 4;
    fragColor = vec4(v[i], list[i], mat2(0.1, 0.2, 0.3, 0.4)[i / 2][i % 2], 1.0);
}
