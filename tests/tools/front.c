// Broken promises of fronts: redraws of synthetic arms (tests/unit/choose/synthetic.h), for several sizes of the
// calibration. Ends with 1 when a promise is broken more often than delta and three standard errors allow.
#include "../unit/choose/synthetic.h"
#include <math.h>
#include <stdio.h>

int main(int argc, char **argv) {
	static const struct {
		size_t n;
		double epsilon, delta;
	} rows[] = {{100, 0.1, 0.05}, {300, 0.1, 0.05}, {1000, 0.05, 0.05}, {1000, 0.1, 0.1}};
	int runs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 10000, failed = 0;
	printf(
	    "%d redraws; broken: any accepted policy is worse than promised; naive: the cheapest that looked good enough\n",
	    runs);
	printf("%6s %8s %6s  %10s %10s  %12s %12s\n", "items", "epsilon", "delta", "broken, %", "naive, %", "mean cost",
	       "naive's cost");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct synthetic_count c = {0};
		double delta = rows[i].delta, n = runs;
		synthetic_validity(runs, rows[i].n, rows[i].epsilon, delta, &c);
		printf("%6zu %8g %6g  %10.2f %10.2f  %12.3f %12.3f\n", rows[i].n, rows[i].epsilon, delta, 100 * c.broken / n,
		       100 * c.broken_naive / n, c.cost, c.naive_cost);
		failed |= c.broken > n * delta + 3 * sqrt(n * delta * (1 - delta));
	}
	return failed;
}
