float f() { return 0.25; }
#extension GL_OES_standard_derivatives : require
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(f());
}
