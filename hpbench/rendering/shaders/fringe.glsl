// Hair that would hang over the eyes ends above them, as a cut fringe does.
in vec3 v_rest;
uniform vec4 fringe_box;  // half width, lowest height, depth behind which hair stays; w: 1 = cut
uniform float fringe_centre;

float strand_noise(float x) {
    return fract(52.9829189 * fract(0.06711056 * floor(x)));
}

bool cut_away(vec2 uv) {
    if (fringe_box.w < 0.5) return false;
    float across = abs(v_rest.x - fringe_centre) / fringe_box.x;
    if (across > 1.0 || v_rest.z < fringe_box.z) return false;
    // Strands end at different heights, tapering over a finger's width; at the temples the
    // cut runs out instead of stepping.
    float longest = fringe_box.y - 0.5 * smoothstep(0.85, 1.0, across);
    float length = 0.10 * strand_noise(uv.x * 170.0) + 0.12 * strand_noise(uv.x * 610.0 + 7.0);
    return v_rest.y < longest + length;
}
