#define BOTH(a, b) \
    vec3((a), \
         (b), /* over
         two lines */ 0.2)
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(BOTH(0.1, \
        0.3), 1.0);
    float total\
number = 0.2;
    fragColor.r += totalnumber;
}
