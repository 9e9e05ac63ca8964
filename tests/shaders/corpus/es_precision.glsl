precision mediump float;
precision highp int;
precision highp sampler2D;
precision lowp sampler3D;
highp float level(mediump float x, lowp vec3 y) { return x + y.z; }
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    highp vec2 uv = fragCoord / iResolution.xy;
    mediump int n = 2;
    fragColor = vec4(level(uv.x, vec3(0.1)), 0.25 * float(n), 0.0, 1.0);
}
