void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float total = 0.0;
    for (int i = 0; i < 5; i++) {
        float inner;
        inner += 0.1;
        total += inner;
    }
    fragColor = vec4(total);
}
