void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float total = 0.1;
    for (float i; i < 3.0; i++) total += 0.1;
    for (int j, k = 2; j < k; j++) total += 0.05;
    fragColor = vec4(total);
}
