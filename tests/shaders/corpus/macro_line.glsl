#define HERE __LINE__
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    int a = HERE;
    int b = HERE;
    fragColor = vec4(0.3 * float(b - a));
    #if 0
    not (GLSL) at @ all
    #elif defined(HERE) && !defined(THERE)
    fragColor.r += 0.1;
    #endif
}
