in vec3 normal;
in vec2 uv;
in float openness;        // ambient occlusion of the vertex, 1 = sees the whole sky

uniform mat4 projection;

out vec3 v_position;
out vec3 v_normal;
out vec3 v_rest;
out vec2 v_uv;
out float v_openness;

void main() {
    v_position = posed_position();
    v_normal = rotate(vertex_rotation(), normal);
    v_rest = position;
    v_uv = uv;
    v_openness = openness;
    gl_Position = projection * vec4(v_position, 1.0);
}
