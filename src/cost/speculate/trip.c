// The figures that everything rests on stand at the beginning.
#include "cost/speculate/trip.h"

static const double weight = 1.0 / 8, worth = 1.04, purse = 0.007;
enum { PURSE_TRIPS = 8, AGAIN = 64 }; // the purse holds so many trips; so many answers stay without a plain one

static void mix(double *at, double now) {
	if (*at > 0 && now > 4 * *at)
		now = 4 * *at; // the machine or the line was elsewhere
	*at = *at > 0 ? *at + weight * (now - *at) : now;
}

static void earn(struct tdm_trip *t, double us) {
	t->purse_us += purse * us;
	if (t->purse_us > PURSE_TRIPS * t->trip_us)
		t->purse_us = PURSE_TRIPS * t->trip_us;
}

void tdm_trip_plain(struct tdm_trip *t, int64_t us, int64_t n_tokens) {
	t->n_since = 0;
	if (n_tokens <= 0)
		return;
	mix(&t->plain_us, (double)(us > 0 ? us : 1) / (double)n_tokens);
	earn(t, (double)us);
}

void tdm_trip_made(struct tdm_trip *t, int64_t us, int n_tokens) {
	bool is_first = t->trip_us <= 0;
	mix(&t->trip_us, us > 0 ? (double)us : 1);
	t->tokens = is_first ? n_tokens : t->tokens + weight * (n_tokens - t->tokens);
	earn(t, (double)us);
}

bool tdm_trip_loses(const struct tdm_trip *t) {
	return t->plain_us > 0 && t->trip_us > 0 && t->trip_us * worth > t->plain_us * t->tokens;
}

bool tdm_trip_choose(struct tdm_trip *t) {
	if (t->plain_us <= 0 || (t->n_since >= AGAIN && !tdm_trip_loses(t)))
		return false;
	if (tdm_trip_loses(t)) {
		double price = TDM_TRIP_LOSSES * t->trip_us;
		if (price > t->purse_us)
			return false;
		t->purse_us -= price;
	}
	t->n_since++;
	return true;
}
