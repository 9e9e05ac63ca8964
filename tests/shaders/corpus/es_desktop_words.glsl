float buffer = 0.1;
float shared(float precise) { return precise * 2.0; }
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float noise1 = 0.2, texture2D = 0.1, subroutines = 0.0, image2D_ = 0.1;
    vec2 texelFetchs = vec2(0.1);
    float readonly_ = 0.0, fma = 0.3, imageLoad = 0.2;
    fragColor = vec4(buffer + shared(0.2), noise1 + texture2D + fma, image2D_ + imageLoad + texelFetchs.x, 1.0);
}
