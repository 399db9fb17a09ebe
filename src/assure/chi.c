// Chi-square tail through the incomplete gamma function (Abramowitz and Stegun 6.5.29 and 6.5.31).
#include "assure/chi.h"
#include <math.h>

#define STEPS 10000
#define SMALLEST 1e-300

// P(a, x) by its series; converges quickly for x < a + 1.
static double lower_series(double a, double x) {
	double term = 1 / a, sum = term;
	for (int n = 1; n < STEPS && term > sum * 1e-16; n++)
		sum += term *= x / (a + n);
	return sum * exp(a * log(x) - x - lgamma(a));
}

// Q(a, x) by its continued fraction (Lentz's method); converges quickly for x > a + 1.
static double upper_fraction(double a, double x) {
	double b = x + 1 - a, c = 1 / SMALLEST, d = 1 / b, h = d;
	for (int i = 1; i < STEPS; i++) {
		double an = -i * (i - a);
		b += 2;
		d = an * d + b;
		d = 1 / (fabs(d) < SMALLEST ? SMALLEST : d);
		c = b + an / c;
		c = fabs(c) < SMALLEST ? SMALLEST : c;
		h *= d * c;
		if (fabs(d * c - 1) < 1e-15)
			break;
	}
	return h * exp(a * log(x) - x - lgamma(a));
}

double tdm_chi_square_tail(double x, int degrees) {
	double a = degrees / 2.0;
	if (x <= 0 || degrees < 1)
		return 1;
	return x / 2 < a + 1 ? 1 - lower_series(a, x / 2) : upper_fraction(a, x / 2);
}
