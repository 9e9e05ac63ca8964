void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float texture = 0.1, mix = 0.2, length = 0.3, sign = 0.1;
    vec3 normalize = vec3(0.2), color = vec3(0.1), distance = vec3(0.1);
    fragColor = vec4(texture + mix, length + sign, normalize.x + color.y + distance.z, 1.0);
}
