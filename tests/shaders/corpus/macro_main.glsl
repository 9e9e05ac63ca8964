#define IMAGE(c, p) void mainImage(out vec4 c, in vec2 p)
IMAGE(colour, at) { colour = vec4(0.15 + step(70.0, at.x)); }
