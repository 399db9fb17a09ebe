// Judging: which of the drafted tokens stay, by the rule of the kind and of the request. The rules are verify.h and
// leeway.h; here are the rows that they look at. "Not greedy" everywhere: the request wants chance.
#include "cost/speculate/drafted_parts.h"

static const float *masked_row(struct tdm_drafted *a, int i) {
	return tdm_draft_row(a, a->target.session->ops->logits(a->target.session, i), i);
}

static const float *target_row(void *context, int i) {
	struct tdm_drafted *a = context;
	return tdm_draft_transform(a, masked_row(a, i), i, a->p);
}

static bool has_row(const struct tdm_drafted *a, int i) {
	return i < a->n_drafted || a->has_more;
}

// The law of a cascade, in the place of the target's. Without a row of the draft the target speaks alone.
static const float *mixed_row(void *context, int i) {
	struct tdm_drafted *a = context;
	const float *p = target_row(a, i), *q = a->q + (size_t)i * a->n_vocab;
	if (has_row(a, i))
		tdm_leeway_mix(a->kind->accept, a->kind->alpha, p, q, a->n_vocab, a->p);
	return p;
}

// What a greedy cascade says after i drafted tokens.
static int32_t cascade_token(struct tdm_drafted *a, int i) {
	const float *row = masked_row(a, i), *q = a->q + (size_t)i * a->n_vocab;
	int32_t best = tdm_argmax(tdm_draft_transform(a, row, i, a->p), a->n_vocab);
	int32_t other = i < a->n_drafted ? a->drafted[i] : a->more;
	if (!has_row(a, i) || other == best)
		return best;
	tdm_draft_weigh(a, row, i, a->p);
	return tdm_leeway_keeps(a->kind->accept, a->kind->alpha, a->p, q, a->n_vocab, best, other) ? other : best;
}

static struct tdm_verified verify_cascade(struct tdm_drafted *a) {
	for (int i = 0;; i++) {
		int32_t token = cascade_token(a, i);
		if (i == a->n_drafted || token != a->drafted[i])
			return (struct tdm_verified){i, token};
	}
}

struct tdm_verified tdm_draft_verify(struct tdm_drafted *a) {
	bool mixes = tdm_accept_mixes(a->kind->accept);
	struct tdm_chain chain = {a->n_vocab, a->n_drafted, a->drafted, a->q, mixes ? mixed_row : target_row, a};
	double accept[TDM_DRAFT_MOST];
	if (a->is_greedy)
		return mixes ? verify_cascade(a) : tdm_verify_greedy(&chain);
	for (int i = 0; i < a->n_drafted; i++)
		accept[i] = tdm_rng_double(&a->accept);
	double last = tdm_rng_double(&a->replace);
	if (a->kind->accept == TDM_ACCEPT_GREEDY || a->kind->accept == TDM_ACCEPT_TYPICAL)
		return tdm_leeway_chain(a->kind->accept, &chain, last);
	if (a->kind->verify == TDM_VERIFY_BLOCK)
		return tdm_verify_block(&chain, accept, last);
	return tdm_verify_chain(&chain, accept, last);
}
