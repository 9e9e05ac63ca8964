void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.85);
}
//  a picture in letters  \