in vec2 v_uv;
uniform sampler2D albedo_map;
uniform float alpha_min;

void main() {
    if (texture(albedo_map, v_uv).a < alpha_min || cut_away(v_uv)) discard;
}
