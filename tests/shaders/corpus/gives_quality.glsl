#if HW_PERFORMANCE == 0
#define LEVEL 0.2
#else
#define LEVEL 0.7
#endif
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(LEVEL);
}
