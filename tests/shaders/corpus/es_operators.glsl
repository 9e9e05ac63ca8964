void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    int a = 13, b = 6;
    bool c = a > b ^^ b > a;
    fragColor = vec4(float(a & b) / 8.0, float(a ^ b) / 22.0, float(a % b + (a | b)) / 32.0, 1.0);
    fragColor.r += c ? 0.1 : (fragColor.g = 1.0, 0.5);
    fragColor.b += float(~a + 14) + float(010) / 80.0;
}
