/*
#version 300 es
stands in front of it on the site
*/
// #version 330
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(0.35);
}
