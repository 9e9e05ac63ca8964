// © René — “blue” 波 🌊
/* π ≈ 3.14 */
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.45);
}
