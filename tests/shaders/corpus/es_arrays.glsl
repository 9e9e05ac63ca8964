const float levels[] = float[](0.1, 0.2, 0.3, 0.4);
const vec2 corners[3] = vec2[3](vec2(0.0), vec2(0.5), vec2(1.0));
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float sum = 0.0;
    for (int i = 0; i < levels.length(); i++) sum += levels[i];
    float copy[4] = levels;
    fragColor = vec4(sum * 0.5, corners[1].x, copy == levels ? copy[3] : 0.0, 1.0);
}
