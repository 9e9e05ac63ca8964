#ifdef GL_ES
#define LEVEL 0.4
#else
#define LEVEL 0.9
#endif
#if __VERSION__ != 300
#undef LEVEL
#define LEVEL 0.1
#endif
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(LEVEL);
}
