const float pi = acos(-1.0);
const vec3 tint = normalize(vec3(1.0, 2.0, 2.0));
float level = 0.5 * pi / 3.0;
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(tint.x, level, tint.z * 0.5, 1.0);
}
