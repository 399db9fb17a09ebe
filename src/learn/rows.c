// Rows: the portable table, and the choice among the tables when the program starts (see rows.h).
#include "learn/rows.inc"

static const struct tdm_rows portable = ROWS_TABLE("portable");

static const struct tdm_rows *best(void) {
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
	    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
		return &tdm_rows_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &tdm_rows_avx2;
#endif
	return &portable;
}

const struct tdm_rows *tdm_rows(void) {
	return best();
}

const struct tdm_rows *tdm_rows_named(const char *name) {
	const struct tdm_rows *top = best();
	if (!strcmp(name, "portable"))
		return &portable;
	if (!strcmp(name, top->name))
		return top;
#if defined(__x86_64__)
	if (!strcmp(name, "avx2") && top == &tdm_rows_avx512)
		return &tdm_rows_avx2;
#endif
	return NULL;
}
