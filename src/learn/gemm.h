// Gemm: the matrix product of all training, and the one place that knows the BLAS library.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>

// Which operand is read as its transpose. C is always [m, n], and the products are
enum tdm_gemm_form {
	TDM_GEMM_NN, // C = A[m, k] B[k, n]
	TDM_GEMM_NT, // C = A[m, k] B[n, k]^T: a layer's output from inputs and weights
	TDM_GEMM_TN, // C = A[k, m]^T B[k, n]: a weight's gradient from two lists of rows
};

// How products are computed, and memory for it that is kept between them. One thread owns one. Zero-initialise it.
struct tdm_gemm_space {
	bool bf16; // round both operands to bfloat16, where tdm_gemm_has_bf16(); sums stay float
	float *memory;
	size_t n;
};

bool tdm_gemm_has_bf16(void);
void tdm_gemm_space_release(struct tdm_gemm_space *space);

int tdm_gemm_load(struct tdm_error *err); // before the first product; again it does nothing

// C = scale * product + keep * C. a_row, b_row, c_row: floats from one row to the next. m == 0 or n == 0 does nothing.
// space NULL: float.
void tdm_gemm(struct tdm_gemm_space *space, enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a,
              int a_row, const float *b, int b_row, float keep, float *c, int c_row);
