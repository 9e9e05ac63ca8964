//   /\    /\
//  /  \__/  \ \
this line belongs to the picture
/* // */
/* a * / b **/
void mainImage(out vec4 fragColor, in vec2 fragCoord) {
    float a = 0.4; // \ no end \\ 
    fragColor = vec4(a); //* still a line */ fragColor = vec4(1.0);
}
