// An answer with a draft is compared with the prompt alone and plain passes for all of its tokens but the first.
#include "cost/worth.h"

enum { LEAST = 2, WINNING_TURNS = 64, LOSING_TURNS = 32 };
static const double weight = 1.0 / 8, most_ratio = 4;

static struct tdm_worth_of *place_of(struct tdm_worth *w, size_t prompt_bytes) {
	int i = 0;
	while (prompt_bytes > 1 && i + 1 < TDM_WORTH_SIZES) {
		prompt_bytes /= 2;
		i++;
	}
	return &w->of[i];
}

static bool is_known(const struct tdm_worth_of *of) {
	return of->n[0] >= LEAST && of->n[1] >= LEAST;
}

// Whose figures say most of prompts as long as these: their own, or those of half or twice the length. NULL: nobody's.
static const struct tdm_worth_of *judge_of(const struct tdm_worth *w, const struct tdm_worth_of *of) {
	if (is_known(of))
		return of;
	if (of > w->of && is_known(of - 1))
		return of - 1;
	return of + 1 < w->of + TDM_WORTH_SIZES && is_known(of + 1) ? of + 1 : NULL;
}

bool tdm_worth_ask(struct tdm_worth *w, size_t prompt_bytes) {
	struct tdm_worth_of *of = place_of(w, prompt_bytes);
	const struct tdm_worth_of *judge = judge_of(w, of);
	if (!judge)
		return of->n_since++ % 2 == 0;
	bool is_worth = judge->ratio[1] < judge->ratio[0];
	bool is_other = ++of->n_since >= (is_worth ? WINNING_TURNS : LOSING_TURNS);
	if (is_other)
		of->n_since = 0;
	return is_worth != is_other;
}

static void learn(double *at, int n, double now) {
	double share = 1.0 / (n + 1) > weight ? 1.0 / (n + 1) : weight;
	*at += share * (now - *at);
}

void tdm_worth_tell(struct tdm_worth *w, size_t prompt_bytes, bool was_asked, const struct tdm_pace *p, int n,
                    int64_t prompt_us, int64_t us) {
	struct tdm_worth_of *of = place_of(w, prompt_bytes);
	if (!was_asked)
		learn(&of->prompt_us, of->n[0], (double)prompt_us);
	double alone_us = of->prompt_us + tdm_pace_cost(p, 1) * (n - 1), ratio = alone_us > 0 ? (double)us / alone_us : 0;
	if (of->prompt_us <= 0 || ratio <= 0)
		return;
	learn(&of->ratio[was_asked], of->n[was_asked], ratio < most_ratio ? ratio : most_ratio);
	of->n[was_asked] += of->n[was_asked] < 1 << 20;
}
