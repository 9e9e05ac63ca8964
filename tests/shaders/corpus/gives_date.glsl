void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    // Whatever the day is.
    bool fine = iDate.x > 2020.0 && iDate.y >= 0.0 && iDate.y < 12.0 && iDate.z >= 1.0 && iDate.w >= 0.0;
    fragColor = vec4(fine ? 0.6 : 0.0);
}
