// The table of instruction sets.
#include "engine/kernels.h"
#include <string.h>

static bool runs_anywhere(void) {
	return true;
}

// F16C is older than AVX2, and clang 14 cannot ask for it.
static bool runs_avx2(void) {
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void) {
	return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vnni");
}

// Best first.
static const struct {
	const struct tdm_kernels *kernels;
	bool (*runs)(void);
} sets[] = {{&tdm_kernels_avx512, runs_avx512}, {&tdm_kernels_avx2, runs_avx2}, {&tdm_kernels_portable, runs_anywhere}};
enum { N_SETS = sizeof sets / sizeof *sets };

const struct tdm_kernels *tdm_kernels_at(size_t i, bool *runs) {
	if (i >= N_SETS)
		return NULL;
	*runs = sets[i].runs();
	return sets[i].kernels;
}

int tdm_kernels_find(const char *name, const struct tdm_kernels **out, struct tdm_error *err) {
	for (size_t i = 0; i < N_SETS; i++) {
		bool is_named = name && strcmp(name, sets[i].kernels->name) == 0;
		if ((!name || is_named) && sets[i].runs()) {
			*out = sets[i].kernels;
			return TDM_OK;
		}
		if (is_named)
			return tdm_fail(err, TDM_ECONFIG, "kernels \"%s\": this machine does not have their instructions", name);
	}
	return tdm_fail(err, TDM_ECONFIG, "kernels \"%s\" are unknown; expected portable, avx2 or avx512", name);
}
