void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(mod(-0.3, 1.0), fract(-0.3), smoothstep(0.0, 1.0, 0.3), 1.0);
    fragColor.r -= float(-7 / 2) * 0.01;
}
