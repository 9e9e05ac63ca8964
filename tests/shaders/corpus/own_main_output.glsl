out vec4 pixel;
void mainImage(out vec4 c, in vec2 p) { c = vec4(p / iResolution.xy, sin(iTime), 1.0); }
void main(void)
{
    mainImage(pixel, gl_FragCoord.xy);
}
