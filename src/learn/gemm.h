// Gemm: the matrix product of all training, and the one place that knows the BLAS library.
#pragma once

// Which operand is read as its transpose. C is always [m, n], and the products are
enum tdm_gemm_form {
	TDM_GEMM_NN, // C = A[m, k] B[k, n]
	TDM_GEMM_NT, // C = A[m, k] B[n, k]^T: a layer's output from inputs and weights
	TDM_GEMM_TN, // C = A[k, m]^T B[k, n]: a weight's gradient from two lists of rows
};

// C = scale * product + keep * C. a_row, b_row, c_row: floats from one row to the next. m == 0 or n == 0 does nothing.
void tdm_gemm(enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a, int a_row, const float *b,
              int b_row, float keep, float *c, int c_row);
