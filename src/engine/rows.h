// Arithmetic on rows that only some families need, made of the kernels that all of them need.
#pragma once
#include "engine/kernels.h"

void tdm_rows_scale(float *x, float factor, int n); // x *= factor
// x = cap * tanh(x / cap), with an absolute error below cap * 2^-22; n a multiple of 16
void tdm_rows_cap(const struct tdm_kernels *kernels, float *x, float cap, int n);
// x = (x - mean) / deviation * weight + bias
void tdm_rows_layer_norm(float *x, const float *weight, const float *bias, int n, float epsilon);
// g = gelu(g) * up, by tanh; n a multiple of 16; up is used up
void tdm_rows_gate_gelu(const struct tdm_kernels *kernels, float *g, float *up, int n);
