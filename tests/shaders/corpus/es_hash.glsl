uint hash(uvec2 at) {
    uint h = at.x * 0x9e3779b9u ^ (at.y + 0x7f4a7c15u) * 0x85ebca6bu;
    h ^= h >> 15;
    h *= 0xc2b2ae35u;
    return h ^ (h >> 13);
}
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    uint h = hash(uvec2(fragCoord));
    fragColor = vec4(float(h & 255u), float((h >> 8) & 255u), float(h >> 24), 255.0) / 255.0;
}
