// Certainty: sums over tokens. A piece of several tokens counts as these where they are known, else as one.
#include "cost/cascade/certainty.h"

// Alternatives come best first; what is left of the probability is one bucket, so that few of them make the entropy no
// smaller than it may be by more than that bucket hides.
static void add_tops(struct tdm_certainty *c, const struct tdm_alternative *tops, int n) {
	double entropy = 0, rest = 1;
	for (int i = 0; i < n; i++) {
		double p = exp((double)tops[i].logprob);
		rest -= p;
		entropy -= p > 0 ? p * (double)tops[i].logprob : 0;
	}
	c->entropies += entropy - (rest > 0 ? rest * log(rest) : 0);
	c->margins += exp((double)tops[0].logprob) - (n > 1 ? exp((double)tops[1].logprob) : 0);
	c->n_tops++;
}

static void add_token(struct tdm_certainty *c, float logprob, const struct tdm_alternative *tops, int n) {
	if (isnan(logprob))
		return;
	tdm_logprobs_add(&c->logprobs, (double)logprob);
	if (n > 0)
		add_tops(c, tops, n);
}

void tdm_certainty_add(struct tdm_certainty *c, const struct tdm_event *event) {
	if (event->piece == TDM_PIECE_THOUGHT)
		return;
	for (int i = 0; i < event->n_parts; i++)
		add_token(c, event->parts[i].logprob, event->parts[i].alternatives, event->parts[i].n_alternatives);
	if (!event->n_parts)
		add_token(c, event->logprob, event->alternatives, event->n_alternatives);
}

double tdm_certainty_mean(const struct tdm_certainty *c) {
	return c->logprobs.n ? c->logprobs.sum / c->logprobs.n : (double)NAN;
}

double tdm_certainty_least(const struct tdm_certainty *c) {
	return c->logprobs.n ? c->logprobs.least : (double)NAN;
}

double tdm_certainty_margin(const struct tdm_certainty *c) {
	return c->n_tops ? c->margins / c->n_tops : (double)NAN;
}

double tdm_certainty_entropy(const struct tdm_certainty *c) {
	return c->n_tops ? -c->entropies / c->n_tops : (double)NAN;
}

static int listen_put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct tdm_certainty_sink *s = (struct tdm_certainty_sink *)sink;
	tdm_certainty_add(s->certainty, event);
	return sink->next->put(sink->next, event);
}

void tdm_certainty_listen(struct tdm_certainty_sink *s, struct tdm_certainty *c, struct tdm_sink *next) {
	*s = (struct tdm_certainty_sink){.sink = {listen_put, next}, .certainty = c};
}

static int trim_put(struct tdm_sink *sink, const struct tdm_event *event) {
	const struct tdm_trim *t = (const struct tdm_trim *)sink;
	struct tdm_event cut = *event;
	struct tdm_scored *parts = NULL;
	if (cut.n_alternatives > t->most)
		cut.n_alternatives = t->most;
	if (cut.n_parts > 0 && !(parts = tdm_arena_array(t->arena, (size_t)cut.n_parts, sizeof *parts)))
		return TDM_ENOMEM;
	for (int i = 0; i < cut.n_parts; i++) {
		parts[i] = event->parts[i];
		if (parts[i].n_alternatives > t->most)
			parts[i].n_alternatives = t->most;
	}
	cut.parts = parts;
	return sink->next->put(sink->next, &cut);
}

void tdm_trim_init(struct tdm_trim *t, struct tdm_arena *arena, const struct tdm_request *request,
                   struct tdm_sink *next) {
	*t = (struct tdm_trim){.sink = {trim_put, next}, .arena = arena};
	t->most = request->logprobs ? request->top_logprobs : 0;
}
