// Gemm: OpenBLAS (serial flavour) behind one function; threads are the trainer's own (see train.c).
#include "learn/gemm.h"
#include <cblas.h>

void tdm_gemm(enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a, int a_row, const float *b,
              int b_row, float keep, float *c, int c_row) {
	if (m <= 0 || n <= 0)
		return;
	CBLAS_TRANSPOSE ta = form == TDM_GEMM_TN ? CblasTrans : CblasNoTrans;
	CBLAS_TRANSPOSE tb = form == TDM_GEMM_NT ? CblasTrans : CblasNoTrans;
	cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, scale, a, a_row, b, b_row, keep, c, c_row);
}
