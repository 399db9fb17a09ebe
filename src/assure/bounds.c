#include "assure/bounds.h"
#include <float.h>
#include <math.h>

// ln n! minus Stirling's formula for it.
static double stirling_error(double n) {
	double square = n * n;
	int sign;
	if (n < 16)
		return lgamma_r(n + 1, &sign) - (n + 0.5) * log(n) + n - 0.5 * log(2 * M_PI);
	return (1.0 / 12 - (1.0 / 360 - (1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 / square) / square) / square) / square) / n;
}

// x ln(x / m) + m - x without cancellation (C. Loader, Fast and accurate computation of binomial probabilities, 2000).
static double deviance(double x, double m) {
	if (fabs(x - m) >= 0.1 * (x + m))
		return x * log(x / m) + m - x;
	double v = (x - m) / (x + m), sum = (x - m) * v, term = 2 * x * v;
	for (int i = 3; i < 1000; i += 2) {
		double before = sum;
		term *= v * v;
		sum += term / i;
		if (sum == before)
			break;
	}
	return sum;
}

static double mass(double k, double n, double p) {
	if (k == 0)
		return exp(n * log1p(-p));
	if (k == n)
		return exp(n * log(p));
	double log_mass = stirling_error(n) - stirling_error(k) - stirling_error(n - k) - deviance(k, n * p) -
	                  deviance(n - k, n * (1 - p));
	return exp(log_mass) * sqrt(n / (2 * M_PI * k * (n - k)));
}

// mass(k) + mass(k - 1) + ... for k at or below the mode: terms only fall.
static double lower_tail(double k, double n, double p) {
	double term = 1, sum = 1, odds = (1 - p) / p;
	for (double i = k; i > 0 && term > sum * 1e-17; i--) {
		term *= i / (n - i + 1) * odds;
		sum += term;
	}
	return sum * mass(k, n, p);
}

double tdm_binomial_cdf(int64_t k, int64_t n, double p) {
	if (k < 0)
		return 0;
	if (k >= n || p <= 0)
		return 1;
	if (p >= 1)
		return 0;
	double tail;
	if ((double)k <= (double)(n + 1) * p)
		tail = lower_tail((double)k, (double)n, p);
	else // P(Bin(n, p) > k) = P(Bin(n, 1 - p) <= n - k - 1)
		tail = 1 - lower_tail((double)(n - k - 1), (double)n, 1 - p);
	return fmin(1, fmax(tail, DBL_MIN));
}

int tdm_binomial_upper(int64_t k, int64_t n, double delta, double *upper, struct tdm_error *err) {
	if (n < 1 || k < 0 || k > n || !(delta > 0 && delta < 1))
		return tdm_fail(err, TDM_EVALUE,
		                "bound: %lld events in %lld trials at %g: expected 0 <= events <= trials, trials "
		                "of 1 or more and a failure probability between 0 and 1",
		                (long long)k, (long long)n, delta);
	double low = (double)k / (double)n, high = 1;
	while (k < n && high - low > 1e-15 * high) {
		double middle = (low + high) / 2;
		if (middle <= low || middle >= high)
			break;
		if (tdm_binomial_cdf(k, n, middle) >= delta)
			low = middle;
		else
			high = middle;
	}
	*upper = high; // the safe end
	return TDM_OK;
}

int tdm_binomial_lower(int64_t k, int64_t n, double delta, double *lower, struct tdm_error *err) {
	double upper;
	int status = tdm_binomial_upper(n - k, n, delta, &upper, err);
	if (status == TDM_OK)
		*lower = 1 - upper;
	return status;
}

int64_t tdm_binomial_needed(double epsilon, double delta) {
	if (!(epsilon > 0 && epsilon < 1 && delta > 0 && delta < 1))
		return INT64_MAX;
	int64_t n = (int64_t)ceil(log(delta) / log1p(-epsilon));
	while (n > 1 && tdm_binomial_cdf(0, n - 1, epsilon) <= delta) // the quotient may round up across an integer
		n--;
	while (tdm_binomial_cdf(0, n, epsilon) > delta)
		n++;
	return n;
}
