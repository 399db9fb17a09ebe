// Gemm: OpenBLAS (serial flavour) or the bfloat16 product behind one function; threads are the trainer's own. OpenBLAS
// is loaded when training begins: a server that trains nothing is not to hold its buffers.
//
// The rule it protects: one product of OpenBLAS at a time. Its serial flavour hands out work memory without a lock: two
// threads that multiply at once now and then get the same piece, and wrong numbers without a word (seen with 0.3.21:
// 608 of 400,000 small products of two threads).
#include "learn/gemm.h"
#include "base/library.h"
#include "learn/gemm_bf16.h"
#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>

#define CALLS(X) X(cblas_sgemm)
TDM_LIBRARY(lib, TDM_SO_openblas, CALLS);

// Below this, packing costs more than the faster product saves.
enum { BF16_LEAST = 48 };

static pthread_mutex_t blas_lock = PTHREAD_MUTEX_INITIALIZER;

bool tdm_gemm_has_bf16(void) {
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
#else
	return false;
#endif
}

int tdm_gemm_load(struct tdm_error *err) {
	return tdm_library_load(&lib.library, err);
}

void tdm_gemm_space_release(struct tdm_gemm_space *space) {
	free(space->memory);
	*space = (struct tdm_gemm_space){0};
}

// Memory for one product, or NULL: then it is computed in float.
static float *room_for(struct tdm_gemm_space *space, int m, int n, int k) {
	if (!space || !space->bf16 || m < BF16_LEAST || n < BF16_LEAST || k < BF16_LEAST || !tdm_gemm_has_bf16())
		return NULL;
	size_t need = tdm_gemm_bf16_floats(m, n, k);
	if (need > space->n) {
		free(space->memory);
		space->memory = aligned_alloc(64, (need * sizeof(float) + 63) / 64 * 64);
		space->n = space->memory ? need : 0;
	}
	return space->memory;
}

void tdm_gemm(struct tdm_gemm_space *space, enum tdm_gemm_form form, int m, int n, int k, float scale, const float *a,
              int a_row, const float *b, int b_row, float keep, float *c, int c_row) {
	if (m <= 0 || n <= 0)
		return;
	float *room = room_for(space, m, n, k);
	if (room) {
		tdm_gemm_bf16(form, m, n, k, scale, a, a_row, b, b_row, keep, c, c_row, room);
		return;
	}
	CBLAS_TRANSPOSE ta = form == TDM_GEMM_TN ? CblasTrans : CblasNoTrans;
	CBLAS_TRANSPOSE tb = form == TDM_GEMM_NT ? CblasTrans : CblasNoTrans;
	pthread_mutex_lock(&blas_lock);
	lib.cblas_sgemm(CblasRowMajor, ta, tb, m, n, k, scale, a, a_row, b, b_row, keep, c, c_row);
	pthread_mutex_unlock(&blas_lock);
}
