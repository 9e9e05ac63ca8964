void mainImage(out vec4 c, in vec2 p) {
    float third = 1 / 3.0, whole = 1;
    c = vec4(third, whole * 0.5, max(0, 0.2), 1);
}
