void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.3) + iMouse;
    if (iMouse.z > 0.0) fragColor = vec4(1.0);
}
