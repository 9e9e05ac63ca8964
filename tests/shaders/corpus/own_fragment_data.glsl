void main() { gl_FragData[0] = vec4(gl_FragCoord.xy / iResolution.xy, sin(iTime), 1.0); }
