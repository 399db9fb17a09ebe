// The law of the cascade experiment: scores of Beta(2, 1.3), a loss with the probability .55 (1 - s)^1.6 + .01.
#pragma once
#include <math.h>

enum { N_GRID = 101 }; // thresholds 1, .99, ... 0

static inline double density(double s) {
	return s * pow(1 - s, .3);
}

static inline double loss_at(double s) {
	return .55 * pow(1 - s, 1.6) + .01;
}

// True joint risk and share kept at every threshold of the grid, by the midpoints of `fine` pieces a step.
static inline void true_values(int fine, double risk[N_GRID], double share[N_GRID]) {
	double total = 0, sum = 0, lost = 0;
	for (int i = 0; i < 100 * fine; i++)
		total += density((i + .5) / (100.0 * fine));
	risk[0] = share[0] = 0;
	for (int j = 1; j < N_GRID; j++) {
		for (int i = 0; i < fine; i++) {
			double s = 1 - (j - 1) / 100.0 - (i + .5) / (100.0 * fine);
			sum += density(s) / total;
			lost += density(s) * loss_at(s) / total;
		}
		risk[j] = lost;
		share[j] = sum;
	}
}
