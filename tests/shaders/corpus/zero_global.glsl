float count;
vec3 sums[2];
mat3 turn;
void add() { count += 0.1; sums[1].g += 0.25; }
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    add();
    add();
    fragColor = vec4(count, sums[1].g, turn[1][1] + sums[0].b + 0.3, 1.0);
}
