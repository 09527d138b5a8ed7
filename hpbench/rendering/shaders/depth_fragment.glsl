// Only depth is written. TEXTURED: where the texture is thin, there is nothing.
in vec2 v_uv;
#ifdef TEXTURED
uniform sampler2D albedo_map;
uniform float alpha_min;
#endif

void main() {
#ifdef TEXTURED
    if (texture(albedo_map, v_uv).a < alpha_min) discard;
#endif
    if (cut_away(v_uv)) discard;
}
