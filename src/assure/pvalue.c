// The six bounds behind one interface. A new one: a row in tdm_bound_names, a function of the sums or of the losses.
#include "assure/pvalue.h"
#include "assure/bounds.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>

const char *const tdm_bound_names[TDM_N_BOUNDS] = {"binomial", "hb", "betting", "hoeffding", "bernstein", "normal"};

struct sums {
	size_t n;
	double sum, mean, variance; // the sample's, with n - 1
};

static double probability(double p) {
	return fmin(1, fmax(p, DBL_MIN));
}

// a ln(a/b) + (1-a) ln((1-a)/(1-b)), 0 ln 0 = 0
static double divergence(double a, double b) {
	double low = a > 0 ? a * log(a / b) : 0, high = a < 1 ? (1 - a) * log((1 - a) / (1 - b)) : 0;
	return low + high;
}

double tdm_hb(double sum, size_t n, double epsilon) {
	double mean = sum / (double)n;
	if (mean >= epsilon)
		return 1;
	double hoeffding = exp(-(double)n * divergence(mean, epsilon));
	// integers stay integers: a sum that is one up to rounding is not rounded to the next
	double bentkus = M_E * tdm_binomial_cdf((int64_t)ceil(sum - 1e-9), (int64_t)n, epsilon);
	return probability(fmin(hoeffding, bentkus));
}

// The wealth of who bets, item by item, that the mean is below epsilon: by Ville's inequality it passes 1 / p with
// probability p at most. At most the stake is lost, so a factor is never below epsilon; sums in log space.
static double betting(const double *loss, size_t n, double epsilon, double delta) {
	double wealth = 0, most = 0, sum = 0, squares = 0, variance = 0.25, stakes = 2 * log(1 / delta) / (double)n;
	for (size_t i = 0; i < n; i++) {
		double stake = fmin(1, sqrt(stakes / variance));
		wealth += log1p(stake * (epsilon - loss[i]));
		most = fmax(most, wealth);
		sum += loss[i];
		double mean = (0.5 + sum) / (double)(i + 2);
		squares += (loss[i] - mean) * (loss[i] - mean);
		variance = (0.25 + squares) / (double)(i + 2);
	}
	return probability(exp(-most));
}

static double hoeffding(const struct sums *s, double epsilon) {
	double room = fmax(0, epsilon - s->mean);
	return probability(exp(-2 * (double)s->n * room * room));
}

// The delta at which mean + sqrt(2 V ln(2/delta) / n) + 7 ln(2/delta) / (3 (n - 1)) is epsilon.
static double bernstein(const struct sums *s, double epsilon) {
	if (s->n < 2 || s->mean >= epsilon)
		return 1;
	double a = 7 / (3 * ((double)s->n - 1)), b = sqrt(2 * s->variance / (double)s->n);
	double root = (-b + sqrt(b * b + 4 * a * (epsilon - s->mean))) / (2 * a);
	return probability(2 * exp(-root * root));
}

static double normal(const struct sums *s, double epsilon) {
	double deviation = sqrt(epsilon * (1 - epsilon) / (double)s->n);
	return probability(0.5 * erfc((epsilon - s->mean) / deviation / M_SQRT2));
}

static int check(enum tdm_bound bound, const double *loss, size_t n, double delta, struct sums *s,
                 struct tdm_error *err) {
	*s = (struct sums){.n = n};
	if (n == 0 || !(delta > 0 && delta < 1) || bound < 0 || bound >= TDM_N_BOUNDS)
		return tdm_fail(err, TDM_EVALUE, "bound: expected at least one loss and a delta between 0 and 1");
	for (size_t i = 0; i < n; i++) {
		if (!(loss[i] >= 0 && loss[i] <= 1))
			return tdm_fail(err, TDM_EVALUE, "bound: loss %zu is %g, expected 0 to 1", i, loss[i]);
		if (bound == TDM_BOUND_BINOMIAL && loss[i] != 0 && loss[i] != 1)
			return tdm_fail(err, TDM_EVALUE, "bound: loss %zu is %g, and the binomial bound is of losses of 0 or 1", i,
			                loss[i]);
		s->sum += loss[i];
	}
	s->mean = s->sum / (double)n;
	for (size_t i = 0; i < n; i++)
		s->variance += (loss[i] - s->mean) * (loss[i] - s->mean);
	s->variance /= fmax(1, (double)n - 1);
	return TDM_OK;
}

static double value(enum tdm_bound bound, const double *loss, const struct sums *s, double epsilon, double delta) {
	switch (bound) {
	case TDM_BOUND_BINOMIAL:
		return tdm_binomial_cdf((int64_t)s->sum, (int64_t)s->n, epsilon);
	case TDM_BOUND_HB:
		return tdm_hb(s->sum, s->n, epsilon);
	case TDM_BOUND_BETTING:
		return betting(loss, s->n, epsilon, delta);
	case TDM_BOUND_HOEFFDING:
		return hoeffding(s, epsilon);
	case TDM_BOUND_BERNSTEIN:
		return bernstein(s, epsilon);
	default:
		return normal(s, epsilon);
	}
}

int tdm_pvalue(enum tdm_bound bound, const double *loss, size_t n, double epsilon, double delta, double *p,
               struct tdm_error *err) {
	struct sums s;
	int status = check(bound, loss, n, delta, &s, err);
	if (!status && !(epsilon > 0 && epsilon < 1))
		status = tdm_fail(err, TDM_EVALUE, "bound: epsilon is %g, expected between 0 and 1", epsilon);
	if (!status)
		*p = value(bound, loss, &s, epsilon, delta);
	return status;
}

int tdm_upper(enum tdm_bound bound, const double *loss, size_t n, double delta, double *upper, struct tdm_error *err) {
	struct sums s;
	int status = check(bound, loss, n, delta, &s, err);
	if (status)
		return status;
	if (bound == TDM_BOUND_BINOMIAL)
		return tdm_binomial_upper((int64_t)s.sum, (int64_t)n, delta, upper, err);
	double low = s.mean, high = 1;
	while (high - low > 1e-12) {
		double middle = (low + high) / 2;
		if (value(bound, loss, &s, middle, delta) > delta)
			low = middle;
		else
			high = middle;
	}
	*upper = high; // the safe end
	return TDM_OK;
}

int tdm_upper_judged(enum tdm_bound bound, const double *judged, size_t n, const double *judge_also,
                     const double *human, size_t m, double delta, double *upper, struct tdm_error *err) {
	double on_judged, on_difference, *difference = calloc(m + 1, sizeof *difference);
	if (!difference)
		return tdm_fail(err, TDM_ENOMEM, "bound: no memory for %zu losses", m);
	for (size_t i = 0; i < m; i++) // -1 to 1, as 0 to 1
		difference[i] = (human[i] - judge_also[i] + 1) / 2;
	int status = tdm_upper(bound, judged, n, delta / 2, &on_judged, err);
	if (!status)
		status = tdm_upper(TDM_BOUND_BETTING, difference, m, delta / 2, &on_difference, err);
	if (!status)
		*upper = fmin(1, fmax(0, on_judged + 2 * on_difference - 1));
	free(difference);
	return status;
}
