#ifdef GL_ES
precision mediump float;
#endif
#extension GL_OES_standard_derivatives : enable
uniform float time;
uniform vec2 mouse;
uniform vec2 resolution;
void main( void ) {
    vec2 at = gl_FragCoord.xy / resolution.xy + mouse;
    gl_FragColor = vec4(at, sin(time) * fwidth(gl_FragCoord.x), 1.0);
}
