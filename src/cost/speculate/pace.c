// The figures that everything rests on stand at the beginning.
#include "cost/speculate/pace.h"
#include <math.h>
#include <string.h>

static const double forget = 1.0 / 512, weight = 1.0 / 8, worth = 1.04;
static const double purse = 0.007, purse_most = 30, stale = 0.6;
static const double age = 1.0 / 64, alike = 16, worse = 0.9, few = 2; // of what drafts brought
static const double common = 0.0025, noise = 0.0064, own_least = 0.0004, own_stale = 0.01;
static const double slope = 0.04; // of a pass's time for one token more, where nothing was measured

void tdm_pace_init(struct tdm_pace *p) {
	memset(p, 0, sizeof *p);
	for (int s = 0; s < TDM_GUESS_SORTS; s++)
		for (int m = 1; m <= TDM_GUESS_MOST; m++)
			p->gain[s][m] = p->gain[s][m - 1] + (m < 10 ? 1.0 / (1 << m) : 0);
}

// A machine is slower or faster for a while, for passes of every length alike; how they compare with each other changes
// seldom. So what a pass says beyond what was expected of it is split, as the uncertainties of the two are to each
// other and to the noise of one measurement (a Kalman filter's gains, of logarithms).
static void correct(struct tdm_pace *p, double *at, double stale_by, double now) {
	double own = own_least + own_stale * stale_by, all = own + common + noise;
	double off = log(now / *at), most = log(4); // more: the machine was elsewhere
	off = off > most ? most : off;
	double share = exp(off * common / all);
	for (int i = 1; i < TDM_GUESS_MOST + 2; i++)
		p->pass_us[i] *= share;
	p->look_us *= share;
	*at *= exp(off * own / all);
}

void tdm_pace_pass(struct tdm_pace *p, int n_tokens, int64_t us) {
	if (n_tokens < 1 || n_tokens > TDM_GUESS_MOST + 1)
		return;
	double *at = &p->pass_us[n_tokens], *fresh = &p->fresh[n_tokens], now = us > 0 ? (double)us : 1;
	if (*at > 0)
		correct(p, at, 1 - *fresh, now);
	else
		*at = now;
	for (int i = 1; i < TDM_GUESS_MOST + 2; i++)
		p->fresh[i] *= 1 - forget;
	*fresh = 1;
	p->purse_us += purse * *at;
	if (p->purse_us > purse_most * p->pass_us[1])
		p->purse_us = purse_most * p->pass_us[1];
}

// hope: how much cheaper than measured what has not been tried for long may be, 0..1.
static double seen(const struct tdm_pace *p, int n, double hope) {
	return p->pass_us[n] * (1 - hope * (1 - p->fresh[n]));
}

// What a token more costs, as far as is known from passes of up to so many.
static double dearer(const struct tdm_pace *p, int below) {
	double least = slope * p->pass_us[below];
	double seen_us = below > 1 && p->pass_us[1] > 0 ? (p->pass_us[below] - p->pass_us[1]) / (below - 1) : 0;
	return seen_us > least ? seen_us : least;
}

static int next_known(const struct tdm_pace *p, int n) {
	while (n < TDM_GUESS_MOST + 2 && p->pass_us[n] <= 0)
		n++;
	return n;
}

// Of passes with 1..n tokens, in one go, since every token of an answer asks: out[1..n]. Between two that are known, on
// the line; 0 below the first one.
static void cost_all(const struct tdm_pace *p, int n, double hope, double *out) {
	int below = 0, above = next_known(p, 1);
	double low = 0, step = 0;
	for (int i = 1; i <= n; i++) {
		if (i == above) {
			below = i;
			low = seen(p, i, hope);
			above = next_known(p, i + 1);
			step = above > TDM_GUESS_MOST + 1 ? dearer(p, i) : (seen(p, above, hope) - low) / (above - i);
		}
		out[i] = low + step * (i - below);
	}
}

double tdm_pace_cost(const struct tdm_pace *p, int n_tokens) {
	double out[TDM_GUESS_MOST + 2] = {0};
	cost_all(p, n_tokens, 0, out);
	return out[n_tokens];
}

// What at most 0..n tokens cost: their pass, and their making where that is known apart from it. Some drafts end early;
// such a one has looked once more than it has tokens.
static void price_all(const struct tdm_pace *p, int n, double hope, double *prices) {
	double passes[TDM_GUESS_MOST + 3], expected = 0, each = 1; // by their tokens
	cost_all(p, n + 1, hope, passes);
	passes[n + 2] = passes[n + 1];
	for (int i = 0; i <= n; i++)
		prices[i] = passes[1 + i];
	for (int m = 1; m <= n && p->look_us > 0; m++) {
		double looks = 1 + expected;
		expected += each *= (p->made[m - 1] + few) / (p->tried[m - 1] + few);
		int whole = (int)expected;
		double part = expected - whole;
		prices[m] = passes[1 + whole] + part * (passes[2 + whole] - passes[1 + whole]) + looks * p->look_us;
	}
}

// Of 0..n tokens of a guess with those gains the number with the least time for a token of the answer, which is *each.
static int best(double plain, const double *prices, const double *gain, int n, double *each) {
	int chosen = 0;
	double least = plain / worth;
	*each = plain;
	for (int m = 1; m <= n; m++) {
		double us = prices[m] / (1 + gain[m]);
		if (us >= least)
			continue;
		chosen = m;
		*each = least = us;
	}
	return chosen;
}

static bool is_known(const struct tdm_pace *p) {
	return p->pass_us[1] > 0 && p->fresh[1] >= stale;
}

int tdm_pace_choose(struct tdm_pace *p, const struct tdm_guess *g, int most) {
	int n = g->n < most ? g->n : most;
	double each, hoped, prices[TDM_GUESS_MOST + 1], hopes[TDM_GUESS_MOST + 1];
	if (!is_known(p) || n <= 0)
		return 0; // nor has a guess of nothing a sort
	const double *gain = p->gain[g->sort];
	price_all(p, n, 0, prices);
	price_all(p, n, 1, hopes);
	int chosen = best(prices[0], prices, gain, n, &each), other = best(prices[0], hopes, gain, n, &hoped);
	if (other == chosen || other == 0)
		return chosen;
	double price = prices[other] - each * (1 + gain[other]);
	if (price > p->purse_us)
		return chosen;
	p->purse_us -= price > 0 ? price : 0;
	return other;
}

bool tdm_pace_is_off(struct tdm_pace *p, int sort, int n) {
	struct tdm_guess g = {.n = n, .sort = sort};
	return is_known(p) && tdm_pace_choose(p, &g, n) == 0;
}

// A place that was seldom come to is taken to be like all of them. Old drafts count for less and less.
void tdm_pace_kept(struct tdm_pace *p, int sort, int m, int kept) {
	double *gain = p->gain[sort], asked = 2, came = 1, whole = 1;
	for (int i = 0; i < TDM_GUESS_MOST; i++) {
		bool is_asked = i < m && i <= kept;
		p->asked[i] += is_asked - p->asked[i] * age;
		p->came[i] += (is_asked && i < kept) - p->came[i] * age;
		asked += p->asked[i];
		came += p->came[i];
	}
	for (int i = 0; i < TDM_GUESS_MOST; i++) {
		whole *= (p->came[i] + alike * came / asked) / (p->asked[i] + alike);
		gain[i + 1] = gain[i] + whole;
	}
}

void tdm_pace_made(struct tdm_pace *p, int m, int n, int64_t us) {
	double each = (double)us / (n < m ? n + 1 : n), most = 4 * p->look_us;
	for (int i = 0; i < m && i <= n; i++) {
		p->tried[i] += 1 - p->tried[i] * age;
		p->made[i] += (i < n) - p->made[i] * age;
	}
	if (p->look_us > 0 && each > most)
		each = most;
	p->look_us += (p->look_us > 0 ? weight : 1) * (each - p->look_us);
}

// A place is taken to be a little worse than the one before it, as far as it has not shown what it is.
void tdm_pace_branched(struct tdm_pace *p, int sort, int m, const int *path, int kept) {
	double *gain = p->gain[sort], each = 0.5;
	for (int i = 0, at = 0; i < TDM_GUESS_MOST; i++) {
		bool came = at < kept && path[at] == i;
		at += came;
		p->asked[i] += (i < m) - p->asked[i] * age;
		p->came[i] += came - p->came[i] * age;
		each = (p->came[i] + alike * worse * each) / (p->asked[i] + alike);
		gain[i + 1] = gain[i] + each;
	}
}

double tdm_pace_each(const struct tdm_pace *p, int sort, int m) {
	double prices[TDM_GUESS_MOST + 1];
	price_all(p, m, 0, prices);
	return prices[m] / (1 + p->gain[sort][m]);
}

void tdm_pace_held(struct tdm_pace *p, int n, int kept) {
	if (n <= 0)
		return;
	p->held += kept - p->held * age;
	p->broke += (kept < n) - p->broke * age;
}

int tdm_pace_run(const struct tdm_pace *p, int most) {
	double each = (p->held + 1) / (p->held + p->broke + 2), all = each * each;
	int n = p->held + p->broke > 0 && most > 0;
	for (; n > 0 && n < most && all >= 0.5; n++)
		all *= each;
	return n;
}

static void learn(struct tdm_watch *w, struct tdm_pace *p) {
	double *gain = p->gain[w->guess.sort];
	for (int m = 1, brought = 0; m <= TDM_GUESS_MOST; m++) {
		while (brought < w->n && w->path[brought] < m)
			brought++;
		gain[m] += weight * (brought - gain[m]);
	}
	w->is_on = false;
}

void tdm_watch_start(struct tdm_watch *w, const struct tdm_guess *g) {
	if (w->is_on)
		return;
	w->guess = *g;
	w->is_on = g->n > 0;
	w->n = 0;
}

void tdm_watch_token(struct tdm_watch *w, struct tdm_pace *p, int32_t token) {
	if (!w->is_on)
		return;
	int node = tdm_guess_child(&w->guess, w->guess.n, w->n ? w->path[w->n - 1] : -1, token);
	if (node >= 0)
		w->path[w->n++] = node;
	if (node < 0 || w->n == w->guess.n)
		learn(w, p);
}
