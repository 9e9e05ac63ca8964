float pick(int i) {
    switch (i) {
        case 0: return 0.1;
        case 1:
        case 2: { float x = 0.3; return x; }
        default: break;
    }
    return 0.6;
}
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    fragColor = vec4(pick(0), pick(2), pick(9), 1.0);
}
