#version 300 es
float level = 0.3;
#version 300 es
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(level);
}
