float list[300];
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float row[700], column[700];
    int at = int(fragCoord.x);
    row[at] += 0.5;
    fragColor = vec4(row[at], column[at] + 0.25, row[699] + list[at] + 0.1, 1.0);
}
