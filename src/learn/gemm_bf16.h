// Gemm in bfloat16, for machines with AVX512_BF16 only; gemm.c asks before it calls.
#pragma once
#include "learn/gemm.h"
#include <stddef.h>
#include <stdint.h>

size_t tdm_gemm_bf16_floats(int m, int n, int k); // of space
void tdm_gemm_bf16(enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a, int a_row, const float *b,
                   int b_row, float keep, float *c, int c_row, float *space);
