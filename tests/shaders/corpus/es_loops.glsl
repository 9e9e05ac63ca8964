void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float sum = 0.0;
    int i = 0;
    do { if (i == 2) continue; sum += 0.1; } while (++i < 5);
    while (true) { if (sum > 0.7) break; sum += 0.07; }
    for (int k = 9; k --> 7;) sum -= 0.01;
    fragColor = vec4(sum);
}
