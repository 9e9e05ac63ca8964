void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.65);
}
void mainVR(out vec4 fragColor, in vec2 fragCoord, in vec3 fragRayOri, in vec3 fragRayDir) {
    fragColor = vec4(fragRayDir + fragRayOri, 1.0);
}
