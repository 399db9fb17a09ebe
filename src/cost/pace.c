// The figures that everything rests on stand at the beginning.
#include "cost/pace.h"
#include <string.h>

static const double forget = 1.0 / 512, weight = 1.0 / 8, worth = 1.04;
static const double purse = 0.007, purse_most = 30, stale = 0.6;
static const double age = 1.0 / 64, alike = 16; // of what drafts brought
static const double slope = 0.04;               // of a pass's time for one token more, where nothing was measured

void tdm_pace_init(struct tdm_pace *p) {
	memset(p, 0, sizeof *p);
	for (int s = 0; s < TDM_GUESS_SORTS; s++)
		for (int m = 1; m <= TDM_GUESS_MOST; m++)
			p->gain[s][m] = p->gain[s][m - 1] + (m < 10 ? 1.0 / (1 << m) : 0);
}

void tdm_pace_pass(struct tdm_pace *p, int n_tokens, int64_t us) {
	if (n_tokens < 1 || n_tokens > TDM_GUESS_MOST + 1)
		return;
	double *at = &p->pass_us[n_tokens], *fresh = &p->fresh[n_tokens];
	double now = us > 0 ? (double)us : 1, share = 1 - *fresh > weight ? 1 - *fresh : weight;
	for (int i = 1; i < TDM_GUESS_MOST + 2; i++)
		p->fresh[i] *= 1 - forget;
	if (*at > 0 && now > 4 * *at)
		now = 4 * *at; // the machine was elsewhere
	*at = *at > 0 ? *at + share * (now - *at) : now;
	*fresh = 1;
	p->purse_us += purse * now;
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

static double cost(const struct tdm_pace *p, int n_tokens, double hope) {
	int below = n_tokens, above = n_tokens;
	while (below > 0 && p->pass_us[below] <= 0)
		below--;
	while (above < TDM_GUESS_MOST + 2 && p->pass_us[above] <= 0)
		above++;
	if (below == n_tokens)
		return seen(p, n_tokens, hope);
	if (below == 0)
		return 0;
	double low = seen(p, below, hope);
	if (above == TDM_GUESS_MOST + 2)
		return low + dearer(p, below) * (n_tokens - below);
	return low + (seen(p, above, hope) - low) * (n_tokens - below) / (above - below);
}

double tdm_pace_cost(const struct tdm_pace *p, int n_tokens) {
	return cost(p, n_tokens, 0);
}

// Of 0..n tokens of a guess of that sort the number with the least time for a token of the answer, which is *each.
static int best(const struct tdm_pace *p, int sort, int n, double hope, double *each) {
	int chosen = 0;
	*each = cost(p, 1, 0);
	double least = *each / worth;
	for (int m = 1; m <= n; m++) {
		double us = cost(p, 1 + m, hope) / (1 + p->gain[sort][m]);
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
	double each, hoped;
	if (!is_known(p))
		return 0;
	int chosen = best(p, g->sort, n, 0, &each), other = best(p, g->sort, n, 1, &hoped);
	if (other == chosen || other == 0)
		return chosen;
	double price = cost(p, 1 + other, 0) - each * (1 + p->gain[g->sort][other]);
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
