void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    mat2 a = mat2(0.5, 0.25, 0.0, 0.5);
    mat2x3 wide = mat2x3(0.1, 0.2, 0.3, 0.4, 0.5, 0.6);
    fragColor = vec4(inverse(a)[0].x * 0.25, determinant(a), (transpose(wide) * vec3(1.0)).x, 1.0);
    fragColor.r += outerProduct(vec2(0.1), vec2(0.2))[1][1];
}
