#define iGlobalTime iTime
#define texture2D texture
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(iGlobalTime, texture2D(iChannel0, vec2(0.125)).gb, 1.0);
}
