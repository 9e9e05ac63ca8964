// A picture under water: run it with --channel0 FILE (PNG or JPEG).

float wave(vec2 at, vec2 direction, float speed) {
    return sin(dot(at, direction) + iTime * speed);
}

void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    vec2 uv = fragCoord / iResolution.xy;
    vec2 at = uv * 18.0;
    float height = wave(at, vec2(0.8, 0.4), 1.3) + wave(at, vec2(-0.5, 0.9), 1.7) + wave(at, vec2(0.2, -1.1), 0.9);
    vec2 slope = vec2(dFdx(height), dFdy(height)) * iResolution.y / 18.0;
    vec3 colour = texture(iChannel0, uv + slope * 0.008).rgb;
    // Without a picture there is the light on the water.
    float light = pow(clamp(0.5 + 0.2 * height, 0.0, 1.0), 6.0);
    fragColor = vec4(colour * (0.8 + 0.1 * height) + light * vec3(0.25, 0.35, 0.4), 1.0);
}
