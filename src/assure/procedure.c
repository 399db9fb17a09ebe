// Family-wise procedures. A new one: a row in tdm_procedure_names and a function.
#include "assure/procedure.h"
#include <math.h>
#include <string.h>

const char *const tdm_procedure_names[TDM_N_PROCEDURES] = {"fixed_sequence", "multi_start", "bonferroni", "holm"};

static void chain(const double *p, size_t from, size_t n, double delta, bool *rejected) {
	for (size_t j = from; j < n && p[j] <= delta; j++)
		rejected[j] = true;
}

// Step down: the smallest p-value against delta / n, the next against delta / (n - 1), until one fails.
static void holm(const double *p, size_t n, double delta, bool *rejected) {
	for (size_t left = n; left > 0; left--) {
		size_t least = n;
		for (size_t j = 0; j < n; j++)
			if (!rejected[j] && !isnan(p[j]) && (least == n || p[j] < p[least]))
				least = j;
		if (least == n || p[least] > delta / (double)left)
			return;
		rejected[least] = true;
	}
}

size_t tdm_procedure_reject(enum tdm_procedure procedure, const double *p, size_t n, double delta, size_t n_starts,
                            bool *rejected) {
	size_t last = n, starts = procedure == TDM_MULTI_START && n_starts > 0 ? n_starts : 1;
	memset(rejected, 0, n * sizeof *rejected);
	if (procedure == TDM_HOLM)
		holm(p, n, delta, rejected);
	else if (procedure == TDM_BONFERRONI)
		for (size_t j = 0; j < n; j++)
			rejected[j] = p[j] <= delta / (double)n;
	else
		for (size_t s = 0; s < starts; s++)
			chain(p, s * n / starts, n, delta / (double)starts, rejected);
	while (last > 0 && !rejected[last - 1])
		last--;
	return last;
}

double tdm_joint_pvalue(const double *p, size_t n_risks) {
	double most = n_risks ? 0 : 1;
	for (size_t i = 0; i < n_risks; i++)
		most = isnan(p[i]) ? 1 : fmax(most, p[i]);
	return most;
}
