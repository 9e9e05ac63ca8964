#define iTime (iTime * 0.5 + 0.1)
#define T iTime
#define R iResolution.xy
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(T, fragCoord / R, 1.0);
}
