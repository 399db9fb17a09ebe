// Rotary positions: turning pairs of a head's elements by angles in proportion to the token's position.
#pragma once
#include "engine/weights.h"

// out: n_pairs times {cosine, sine}
void tdm_rotation_at(const struct tdm_rotation *rotation, int n_pairs, int position, float *out);
// Turns the first n_rotated elements of each head of x.
void tdm_rotate(const struct tdm_shape *s, const float *turns, float *x, int n_heads);
