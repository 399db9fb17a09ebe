#include "assure/monitor.h"
#include <math.h>
#include <string.h>

static const double stakes[TDM_N_BETS] = {0.125, 0.25, 0.5, 1, 2, 4};
static const double tilts[TDM_N_BETS] = {-1.5, -1, -0.5, 0.5, 1, 1.5};

static double log_mean(const double log_wealth[TDM_N_BETS]) {
	double most = log_wealth[0], sum = 0;
	for (int i = 1; i < TDM_N_BETS; i++)
		most = fmax(most, log_wealth[i]);
	if (isinf(most))
		return most;
	for (int i = 0; i < TDM_N_BETS; i++)
		sum += exp(log_wealth[i] - most);
	return most + log(sum / TDM_N_BETS);
}

// Each bet that the mean is above epsilon (toward 1) or below it (toward -1); the most that can be lost is the stake.
static void bet(double log_wealth[TDM_N_BETS], double z, double epsilon, double toward) {
	double room = toward > 0 ? epsilon : 1 - epsilon;
	for (int i = 0; i < TDM_N_BETS; i++)
		log_wealth[i] += log1p(fmax(-1, fmin(stakes[i], 1 / room) * toward * (z - epsilon)));
}

void tdm_monitor_init(struct tdm_monitor *m, double epsilon, double delta) {
	*m = (struct tdm_monitor){.epsilon = epsilon, .delta = delta};
}

bool tdm_monitor_add(struct tdm_monitor *m, double z) {
	bet(m->log, z >= 0 && z <= 1 ? z : 1, m->epsilon, 1);
	m->n++;
	m->evidence = fmax(m->evidence, log_mean(m->log));
	m->alarmed = m->alarmed || m->evidence >= -log(m->delta);
	return m->alarmed;
}

double tdm_monitor_pvalue(const struct tdm_monitor *m) {
	return exp(-m->evidence);
}

void tdm_audit_add(struct tdm_audit *a, bool audited, double z, double probability) {
	a->n_requests++;
	a->n_audited += audited;
	a->sum += audited ? z / probability : 0;
}

double tdm_audit_risk(const struct tdm_audit *a) {
	return a->n_requests ? a->sum / (double)a->n_requests : (double)NAN;
}

void tdm_drift_init(struct tdm_drift *d, double delta) {
	*d = (struct tdm_drift){.delta = delta};
}

bool tdm_drift_add(struct tdm_drift *d, double u) {
	for (int i = 0; i < TDM_N_BETS; i++)
		d->log[i] += log1p(tilts[i] * (fmin(1, fmax(0, u)) - 0.5));
	d->n++;
	d->evidence = fmax(d->evidence, log_mean(d->log));
	d->alarmed = d->alarmed || d->evidence >= -log(d->delta);
	return d->alarmed;
}

// How many are below x, or with `ties` not above it.
static uint64_t count_below(const double *ascending, uint64_t n, double x, bool ties) {
	uint64_t low = 0, high = n;
	while (low < high) {
		uint64_t middle = low + (high - low) / 2;
		if (ascending[middle] < x || (ties && ascending[middle] == x))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

double tdm_drift_rank(const double *ascending, uint64_t n, double score, double chance) {
	double below = (double)count_below(ascending, n, score, false);
	double equal = (double)count_below(ascending, n, score, true) - below;
	return (below + chance * (equal + 1)) / ((double)n + 1);
}

void tdm_sequence_init(struct tdm_sequence *s, double delta) {
	memset(s, 0, sizeof *s);
	s->delta = delta;
	s->high = 1;
}

void tdm_sequence_add(struct tdm_sequence *s, double value) {
	const double limit = -log(s->delta / 2), step = 1.0 / TDM_SEQUENCE_STEPS;
	double z = fmin(1, fmax(0, value));
	s->n++;
	for (int i = 0; i < TDM_SEQUENCE_STEPS; i++) {
		double candidate = (i + 0.5) * step;
		if (s->is_out[i])
			continue;
		bet(s->above[i], z, candidate, 1);
		bet(s->below[i], z, candidate, -1);
		s->is_out[i] = log_mean(s->above[i]) >= limit || log_mean(s->below[i]) >= limit;
	}
	// Out to the candidates that have left on either side: what lies between two of them is not known to be out.
	int first = 0, last = TDM_SEQUENCE_STEPS - 1;
	while (first < last && s->is_out[first])
		first++;
	while (last > first && s->is_out[last])
		last--;
	s->low = first ? (first - 0.5) * step : 0;
	s->high = last < TDM_SEQUENCE_STEPS - 1 ? (last + 1.5) * step : 1;
}
