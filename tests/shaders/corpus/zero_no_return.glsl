float level(float x) {
    if (x > 1000.0) return 1.0;
    return 0.25;
}
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    int number; uint bits; bool flag; ivec3 cell;
    fragColor = vec4(level(fragCoord.x) + float(number) + float(bits) + float(cell.y) + (flag ? 1.0 : 0.0));
}
