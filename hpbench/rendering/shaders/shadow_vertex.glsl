in vec2 uv;
uniform mat4 light_matrix;
out vec2 v_uv;
out vec3 v_rest;

void main() {
    v_uv = uv;
    v_rest = position;
    gl_Position = light_matrix * vec4(posed_position(), 1.0);
}
