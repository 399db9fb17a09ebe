#include "cost/defer/doubt.h"
#include "models/predict/probe.h"
#include <math.h>

enum { EVIDENCE = 10 };
#define LEAST_EVIDENCE 1e-3

static double entropy(const float *z, int n) {
	double signs[TDM_N_ROW_SIGNS];
	tdm_row_signs(z, n, signs);
	return signs[TDM_ROW_ENTROPY];
}

static double margin(const float *z, int n) {
	double signs[TDM_N_ROW_SIGNS];
	tdm_row_signs(z, n, signs);
	return signs[TDM_ROW_MARGIN];
}

// Digamma of x > 0: the recurrence up to 6, then the asymptotic series.
static double digamma(double x) {
	double below = 0;
	for (; x < 6; x++)
		below -= 1 / x;
	double y = 1 / (x * x);
	return below + log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y / 252));
}

static double logu(const float *z, int n) {
	double best[EVIDENCE], total = 0, doubt = 0;
	int n_best = 0;
	for (int i = 0; i < n; i++) {
		int at = n_best;
		for (; at > 0 && best[at - 1] < (double)z[i]; at--)
			if (at < EVIDENCE)
				best[at] = best[at - 1];
		if (at < EVIDENCE)
			best[at] = (double)z[i];
		n_best += n_best < EVIDENCE;
	}
	for (int i = 0; i < n_best; i++)
		total += best[i] = fmax(best[i], LEAST_EVIDENCE);
	for (int i = 0; i < n_best; i++)
		doubt -= best[i] / total * (digamma(best[i] + 1) - digamma(total + 1));
	return doubt;
}

const char *const tdm_doubt_names[TDM_N_DOUBTS] = {"entropy", "margin", "logu"};

double tdm_doubt(int signal, const float *logits, int n) {
	static double (*const doubts[])(const float *, int) = {entropy, margin, logu};
	return doubts[signal](logits, n);
}

bool tdm_pen_asks(const struct tdm_pen_rule *rule, const struct tdm_pen *pen, int64_t n) {
	return n >= rule->first && !(pen->is_large && pen->held < rule->stay);
}

void tdm_pen_force(struct tdm_pen *pen, bool is_large) {
	if (pen->is_large != is_large)
		pen->held = 0;
	pen->is_large = is_large;
}

void tdm_pen_decide(const struct tdm_pen_rule *rule, struct tdm_pen *pen, double doubt) {
	tdm_pen_force(pen, doubt >= (pen->is_large ? rule->release : rule->take));
}
