struct Ray { vec3 at; float length[2]; };
struct Hit { Ray ray; int id; bool inside; };
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    Hit hit;
    hit.ray.length[1] += 0.4;
    fragColor = vec4(hit.ray.at.y + 0.1, hit.ray.length[1], hit.inside ? 1.0 : float(hit.id) + 0.2, 1.0);
}
