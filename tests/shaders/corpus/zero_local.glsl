void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec3 sum;
    float i;
    for (; i++ < 4.0;) sum += 0.2;
    fragColor = vec4(sum, 1.0);
}
