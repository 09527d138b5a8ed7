// One shader for all surfaces; MATERIAL and LIGHTS are set when it is compiled.
// Output: linear light, premultiplied with alpha.
in vec3 v_position;
in vec3 v_normal;
in vec2 v_uv;
in float v_openness;
out vec4 fragment;

uniform sampler2D albedo_map;
uniform sampler2D shadow_map;
uniform sampler2D panorama;
uniform mat4 light_matrix;
uniform mat3 panorama_rotation;   // viewer's axes to panorama
uniform float shadow_radius;      // share of the width of the shadow map
uniform float shadow_strength;
uniform vec3 light_direction[LIGHTS];
uniform vec3 light_colour[LIGHTS];
uniform vec3 sh[9];
uniform vec3 tint;
uniform float texture_mean;       // mean linear luminance of a hair texture
uniform float bleach;             // 0 keeps the texture's colours, 1 only its brightness
uniform float shine;
uniform float alpha_min;
uniform float alpha_max;

const vec3 LUMINANCE = vec3(0.2126, 0.7152, 0.0722);
const float PI = 3.14159265;
const vec2 DISC[4] = vec2[](      // a spiral by the golden angle
    vec2(0.353553, 0.0), vec2(-0.451544, 0.413652), vec2(0.069116, -0.787542),
    vec2(0.569142, 0.742346)
);

vec3 linear(vec3 c) {  // a polynomial close to the sRGB curve, cheaper than a power
    return c * (c * (c * 0.305306011 + 0.682171111) + 0.012522878);
}

vec3 soft_light(vec3 n) {
    vec3 e = sh[0] + sh[1] * n.y + sh[2] * n.z + sh[3] * n.x + sh[4] * (n.x * n.y)
           + sh[5] * (n.y * n.z) + sh[6] * (3.0 * n.z * n.z - 1.0) + sh[7] * (n.x * n.z)
           + sh[8] * (n.x * n.x - n.y * n.y);
    return max(e, vec3(0.0));
}

vec3 mirrored(vec3 d, float level) {
    vec3 p = panorama_rotation * d;
    vec2 uv = vec2(atan(p.x, -p.z) / (2.0 * PI) + 0.5, acos(clamp(p.y, -1.0, 1.0)) / PI);
    return min(textureLod(panorama, uv, level).rgb, vec3(12.0));
}

// A number from 0 to 1 that neighbouring fragments spread evenly: interleaved gradient noise
// (Jimenez, Advances in Real-Time Rendering, SIGGRAPH 2014).
float noise() {
    return fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(0.06711056, 0.00583715))));
}

// Share of the key light that arrives: four shadow-map looks on a disc, turned per fragment so
// that the penumbra has fine noise instead of steps; supersampling averages it.
float lit_share(vec3 n) {
    vec3 q = (light_matrix * vec4(v_position + n * 0.045, 1.0)).xyz * 0.5 + 0.5;
    float turn = 2.0 * PI * noise();
    vec2 right = shadow_radius * vec2(cos(turn), sin(turn));
    vec2 up = vec2(-right.y, right.x);
    float lit = 0.0;
    for (int i = 0; i < 4; i++) {
        vec2 at = q.xy + DISC[i].x * right + DISC[i].y * up;
        lit += step(q.z - 0.004, textureLod(shadow_map, at, 0.0).r);
    }
    return mix(1.0, lit / 4.0, shadow_strength);
}

float schlick(float f0, float cosine) {
    float away = clamp(1.0 - cosine, 0.0, 1.0), squared = away * away;
    return f0 + (1.0 - f0) * squared * squared * away;
}

// The second, eighth and 32nd power of a cosine: products of these are highlights of any
// sharpness, at a fraction of the cost of pow().
vec3 powers(float cosine) {
    float p2 = max(cosine, 0.0) * max(cosine, 0.0), p4 = p2 * p2, p8 = p4 * p4, p16 = p8 * p8;
    return vec3(p2, p8, p16 * p16);
}

void main() {
    vec4 texel = texture(albedo_map, v_uv);
#if MATERIAL == HAIR
    // Of thin strands a share of the fragments is drawn, so that their order does not matter (after
    // hashed alpha testing, Wyman and McGuire, I3D 2017; thin layers do not add up here).
    if (texel.a < mix(0.05, 0.95, noise()) || cut_away(v_uv)) discard;
#elif MATERIAL != SKIN && MATERIAL != PLAIN   // no discard: hidden fragments cost nothing
    if (texel.a < alpha_min || texel.a >= alpha_max) discard;
#endif
    vec3 to_eye = normalize(-v_position);
    vec3 n = normalize(v_normal);
#if MATERIAL == HAIR || MATERIAL == CLOTH
    if (dot(n, to_eye) < 0.0) n = -n;
#else
    // Interpolation beyond the silhouette must not turn a normal away from the viewer.
    n = normalize(n + to_eye * max(0.0, 0.05 - dot(n, to_eye)));
#endif
    float facing = max(dot(n, to_eye), 0.02);
    vec3 albedo = linear(texel.rgb);
    albedo = mix(albedo, vec3(dot(albedo, LUMINANCE)), bleach) * tint;
    float alpha = texel.a;
    vec3 colour = vec3(0.0);
    float lit = lit_share(n);

#if MATERIAL == SKIN
    // Light bleeds under the skin: the terminator wraps further in red than in blue, and red
    // survives in creases (a cheap stand-in for subsurface scattering).
    vec3 crease = vec3(sqrt(v_openness) * sqrt(sqrt(v_openness)), v_openness, v_openness);
    vec3 open = mix(crease, vec3(1.0), 0.5);
    vec3 key = open * lit * vec3(1.45 - 0.45 * lit, 1.0, 1.0);  // penumbras are redder
    vec3 wrap = vec3(0.30, 0.13, 0.08);
    colour = albedo * soft_light(n) * crease;
    for (int i = 0; i < LIGHTS; i++) {
        float k = dot(n, light_direction[i]);
        vec3 soft_k = clamp((k + wrap) / (1.0 + wrap), 0.0, 1.0);
        vec3 h = normalize(light_direction[i] + to_eye);
        vec3 cosine = powers(dot(n, h));  // a broad highlight of power 14, a narrow one of 56
        float gloss = 1.5 * cosine.y * cosine.x * cosine.x * cosine.x
                    + 1.8 * cosine.z * cosine.y * cosine.y * cosine.y;
        gloss *= schlick(0.028, dot(h, to_eye)) * clamp(k * 4.0, 0.0, 1.0) * v_openness;
        colour += light_colour[i] * (i == 0 ? key : open) * (albedo * soft_k + shine * gloss);
    }
    // Skin is rough: at grazing angles it mirrors far less than Fresnel's law for a plane says.
    float sheen = min(schlick(0.028, facing), 0.12) * v_openness * v_openness;
    colour += 0.6 * shine * soft_light(reflect(-to_eye, n)) * sheen;
#elif MATERIAL == HAIR
    // Two highlights along the strands (Kajiya and Kay, SIGGRAPH 1989); strands run along v.
    // The root evens out textures that are painted half dark, half bright.
    float detail = sqrt(dot(linear(texel.rgb), LUMINANCE) / texture_mean);
    albedo = tint * clamp(mix(0.25, 1.0, detail), 0.0, 2.5);
    vec3 along = dFdx(v_position) * dFdy(v_uv.x) - dFdy(v_position) * dFdx(v_uv.x);
    vec3 t = normalize(along - n * dot(along, n) + vec3(0.0, 1e-7, 0.0));
    colour = albedo * soft_light(n) * v_openness;
    for (int i = 0; i < LIGHTS; i++) {
        vec3 h = normalize(light_direction[i] + to_eye);
        float k = clamp((dot(n, light_direction[i]) + 0.25) / 1.25, 0.0, 1.0);
        float th = dot(t, h);
        vec3 sine = powers(1.0 - th * th);
        float broad = sine.y * sine.x, strand = sine.z * sine.y * sine.x * sine.x;
        vec3 gloss = 0.05 * vec3(strand) * detail + 0.5 * albedo * broad;
        colour += light_colour[i] * (i == 0 ? lit : 1.0) * k * (albedo + shine * gloss);
    }
    colour += 0.05 * shine * soft_light(reflect(-to_eye, n)) * (0.04 + albedo) * v_openness;
#elif MATERIAL == EYE
    float f = schlick(0.025, facing);
    vec3 mirror = mirrored(reflect(-to_eye, n), 0.0) * f * clamp(v_openness * 1.6, 0.0, 1.0);
    for (int i = 0; i < LIGHTS; i++) {
        vec3 h = normalize(light_direction[i] + to_eye);
        mirror += light_colour[i] * (i == 0 ? lit : 1.0) * f * 45.0
                * pow(max(dot(n, h), 0.0), 900.0);
    }
    if (alpha_max < 1.0) {  // the cornea: seen only by what it mirrors
        fragment = vec4(mirror, f);
        return;
    }
    vec3 e = soft_light(n) * v_openness;
    for (int i = 0; i < LIGHTS; i++) {
        float k = clamp((dot(n, light_direction[i]) + 0.2) / 1.2, 0.0, 1.0);
        e += light_colour[i] * k * (i == 0 ? lit : 1.0) * mix(v_openness, 1.0, 0.3);
    }
    colour = albedo * e + 0.5 * mirror;
    alpha = 1.0;
#elif MATERIAL == GLASS
    float f = schlick(0.04, facing);
    fragment = vec4(mirrored(reflect(-to_eye, n), 0.0) * f * shine, clamp(tint.r + f, 0.0, 1.0));
    return;
#else
    colour = albedo * soft_light(n) * v_openness;
    for (int i = 0; i < LIGHTS; i++) {
        float k = max(dot(n, light_direction[i]), 0.0);
        vec3 h = normalize(light_direction[i] + to_eye);
        float gloss = schlick(0.04, dot(h, to_eye)) * 4.0 * powers(dot(n, h)).z * step(0.001, k);
        float glossy = alpha_max < 2.0 ? 0.0 : shine;
        colour += light_colour[i] * (i == 0 ? lit : 1.0) * (albedo * k + glossy * gloss);
    }
#endif
    if (alpha_max >= 2.0) alpha = 1.0;
#if MATERIAL == CLOTH
    // Thin hairs of brows fade away when textures shrink; for blended strands, shine says how
    // much of their cover to give back.
    else alpha = min(1.0, shine * alpha);
#endif
    fragment = vec4(min(colour, vec3(60.0)) * alpha, alpha);
}
