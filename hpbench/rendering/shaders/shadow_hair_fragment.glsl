// Hair before a light: only depth is written, and nothing where it is thin or cut.
in vec2 v_uv;
uniform sampler2D albedo_map;

void main() {
    // Two mipmap levels down is as fine as a shadow map is.
    if (textureLod(albedo_map, v_uv, 2.0).a < 0.5 || cut_away(v_uv)) discard;
}
