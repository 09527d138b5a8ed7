// Turns rest-pose vertices into viewer's axes: skull and torso turn apart, the neck in between.
in vec3 position;
in float share;           // of the skull's rotation that this vertex follows, 0 torso .. 1 skull

uniform vec4 q_torso;     // rotations as quaternions (x, y, z, w)
uniform vec4 q_skull;
uniform vec3 neck;        // rest positions of the neck's base and of the skull's joint
uniform vec3 skull;
uniform vec3 shift;       // where the neck's base stands in viewer's axes

vec3 rotate(vec4 q, vec3 v) {
    return v + 2.0 * cross(q.xyz, cross(q.xyz, v) + q.w * v);
}

vec4 vertex_rotation() {
    return normalize(mix(q_torso, q_skull, share));
}

vec3 posed_position() {
    vec3 pivot = mix(neck, skull, share);
    vec4 middle = normalize(mix(q_torso, q_skull, 0.5));
    return rotate(vertex_rotation(), position - pivot) + rotate(middle, pivot - neck) + shift;
}
