// Monitor: whether a promise still holds, from answers that are audited one by one; watched at any time, without a
// correction for how often one looks.
//
// The rule it protects: while the risk is at most epsilon, the probability that an alarm is ever raised is at most
// delta, whatever the number of items (Ville's inequality for a test martingale; arXiv 2010.09686, 2304.04341). After
// an alarm nothing re-arms it: only who certifies anew makes a new one.
//
// An audited item is drawn by a coin that falls before the gate looks: kept, its loss is Z; escalated, Z is 0.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TDM_N_BETS 6

struct tdm_monitor {
	double epsilon, delta;
	uint64_t n;             // items seen
	double log[TDM_N_BETS]; // of the wealth of each bet
	double evidence;        // the largest log of the mean wealth so far
	bool alarmed;
};
void tdm_monitor_init(struct tdm_monitor *m, double epsilon, double delta);
// One audited loss in [0, 1]; others are a full loss: what cannot be scored does not calm. Returns m->alarmed.
bool tdm_monitor_add(struct tdm_monitor *m, double z);
// An anytime-valid p-value of "the risk is at most epsilon".
double tdm_monitor_pvalue(const struct tdm_monitor *m);

// Audited items of different coins: the mean of Z / probability over all requests is the risk without bias.
struct tdm_audit {
	uint64_t n_requests, n_audited;
	double sum; // of Z / probability
};
void tdm_audit_add(struct tdm_audit *a, bool audited, double z, double probability);
double tdm_audit_risk(const struct tdm_audit *a); // NaN before the first request

// Whether scores are still spread as in calibration: u is the rank of a score there, in [0, 1], ties broken by chance.
// An alarm is a warning; the risk may be as it was.
struct tdm_drift {
	double delta;
	uint64_t n;
	double log[TDM_N_BETS], evidence;
	bool alarmed;
};
void tdm_drift_init(struct tdm_drift *d, double delta);
bool tdm_drift_add(struct tdm_drift *d, double u);
// The rank of score among n ascending ones; chance in [0, 1) breaks ties.
double tdm_drift_rank(const double *ascending, uint64_t n, double score, double chance);

// Confidence sequence of a mean of values in [0, 1]: with confidence 1 - delta it holds it at every time at once. A
// candidate leaves when a bet against it has won 1 / (delta / 2) on its side.
#define TDM_SEQUENCE_STEPS 400
struct tdm_sequence {
	double delta;
	uint64_t n;
	double above[TDM_SEQUENCE_STEPS][TDM_N_BETS], below[TDM_SEQUENCE_STEPS][TDM_N_BETS];
	bool is_out[TDM_SEQUENCE_STEPS];
	double low, high; // so far; only ever nearer to each other
};
void tdm_sequence_init(struct tdm_sequence *s, double delta);
void tdm_sequence_add(struct tdm_sequence *s, double value);
