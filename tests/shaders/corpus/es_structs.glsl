struct Light { vec3 colour; float power; };
const Light lights[2] = Light[2](Light(vec3(0.2, 0.1, 0.0), 1.0), Light(vec3(0.0, 0.2, 0.4), 2.0));
Light brighter(Light light) { light.power *= 2.0; return light; }
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    Light light = brighter(lights[1]);
    fragColor = vec4(lights[0].colour * lights[0].power + light.colour * light.power * 0.5, 1.0);
    if (light == lights[1]) fragColor = vec4(1.0);
}
