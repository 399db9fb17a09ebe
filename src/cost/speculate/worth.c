// An answer with a draft is compared with the prompt alone and plain passes for all of its tokens but the first.
#include "cost/speculate/worth.h"
#include <math.h>

enum { FIRST_TURNS = 8, WINNING_TURNS = 64, FEW = 4 };
static const double most_ratio = 4, purse = 0.005, purse_most = 4;
static const double memory = 40, alike = 0.5; // answers; what an answer says of prompts of half or twice the length
static const double outlier = 1.2;            // times what is usual: the machine was elsewhere
static const double quicker = 0.2;            // share of a prompt that took less than usual
static const double gain = 0.95;              // what is not faster by this is not worth it
static const double doubtful = 0.3;           // of an answer: a draft that has lost less is tried again at once

static struct tdm_worth_of *place_of(struct tdm_worth *w, size_t prompt_bytes) {
	int i = 0;
	while (prompt_bytes > 1 && i + 1 < TDM_WORTH_SIZES) {
		prompt_bytes /= 2;
		i++;
	}
	return &w->of[i];
}

// What loses is tried for as much as it is expected to lose.
static bool is_paid(struct tdm_worth *w, const struct tdm_worth_of *of) {
	double over = of->ratio[1] / of->ratio[0] - gain, loss = over * of->ratio[0] * of->alone;
	bool is_sure = of->n[1] * over > doubtful;
	if (is_sure && loss > w->purse_us)
		return false;
	w->purse_us -= is_sure ? loss : 0;
	return true;
}

bool tdm_worth_ask(struct tdm_worth *w, size_t prompt_bytes) {
	struct tdm_worth_of *of = place_of(w, prompt_bytes);
	bool is_first = !w->has_begun;
	w->has_begun = true;
	if (is_first)
		return true; // who asks once wants to see it; nothing is concluded from it
	if (of->byte_us <= 0 || of->n[0] <= 0)
		return false; // the prompt alone is the measure
	if (of->n[1] <= 0)
		return true;
	if (of->ratio[1] >= gain * of->ratio[0])
		return is_paid(w, of);
	if (++of->n_since < (of->n[0] < FEW ? FIRST_TURNS : WINNING_TURNS))
		return true;
	of->n_since = 0;
	return false;
}

static void learn(struct tdm_worth_of *of, double share, bool was_asked, double ratio, double alone) {
	double *n = &of->n[was_asked], usual = *n > 0 ? of->ratio[was_asked] : was_asked ? most_ratio : 1;
	ratio = fmin(ratio, outlier * usual);
	*n = *n < memory ? *n + share : memory;
	share /= *n;
	of->ratio[was_asked] += share * (ratio - of->ratio[was_asked]);
	of->alone += (of->alone > 0 ? share : 1) * (alone - of->alone);
}

// What is quicker is believed sooner: the first ones may have been interrupted.
static void learn_prompt(struct tdm_worth_of *of, double byte_us) {
	double share = 1 / fmin(++of->n_plain, memory);
	if (of->n_plain > 1 && byte_us < of->byte_us)
		share = fmax(share, quicker);
	else if (of->n_plain > 1)
		byte_us = fmin(byte_us, outlier * of->byte_us);
	of->byte_us += share * (byte_us - of->byte_us);
}

void tdm_worth_tell(struct tdm_worth *w, size_t prompt_bytes, bool was_asked, const struct tdm_pace *p, int n,
                    int64_t prompt_us, int64_t us) {
	struct tdm_worth_of *at = place_of(w, prompt_bytes);
	double bytes = (double)(prompt_bytes + 1), now = (prompt_us > 0 ? (double)prompt_us : 1) / bytes;
	if (!was_asked)
		learn_prompt(at, now);
	double alone_us = at->byte_us * bytes + tdm_pace_cost(p, 1) * (n - 1),
	       ratio = alone_us > 0 ? (double)us / alone_us : 0;
	if (at->byte_us <= 0 || ratio <= 0)
		return;
	for (int i = 0; i < TDM_WORTH_SIZES; i++)
		learn(&w->of[i], pow(alike, fabs((double)(at - w->of - i))), was_asked, fmin(ratio, most_ratio), alone_us);
	w->purse_us = fmin(w->purse_us + purse * (double)us, purse_most * alone_us);
}
