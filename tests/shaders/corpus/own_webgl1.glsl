#extension GL_EXT_shader_texture_lod : enable
void mainImage(out vec4 c, in vec2 p) {
    c = texture2D(iChannel0, vec2(0.125)) * 0.5 + texture2DLodEXT(iChannel0, vec2(0.125), 0.0) * 0.5;
}
