// Drafting: the smaller model's side of an answer. The draft does not evaluate its last token unless the target kept it
// (it then catches up in one pass), and nothing is asked of memory here.
#include "cost/speculate/drafted_parts.h"
#include "cost/speculate/verify.h"
#include "base/clock.h"
#include "engine/engine.h"
#include "models/keeper.h"
#include <string.h>

int tdm_side_append(struct tdm_side *side, struct tdm_run *run, const int32_t *tokens, const int *parents, int n) {
	int64_t start_us = tdm_now_us();
	int status = side->session->ops->eval(side->session, run, tokens, parents, n);
	side->us += tdm_now_us() - start_us;
	side->passes++;
	if (status == TDM_OK && !parents)
		side->seen += n;
	return status;
}

int tdm_side_forget(struct tdm_side *side, int seen) {
	if (seen >= side->seen)
		return TDM_OK;
	side->seen = seen;
	return side->session->ops->rewind(side->session, side->session->prompt_tokens + seen);
}

const float *tdm_draft_row(struct tdm_drafted *a, const float *logits, int extra) {
	memcpy(a->tokens + a->n_tokens, a->drafted, (size_t)extra * sizeof(int32_t));
	const float *row = tdm_keeper_row(a->keeper, a->tokens, a->n_tokens + extra, logits);
	if (!row)
		a->failed = a->run->error.status;
	return row ? row : logits;
}

const float *tdm_draft_transform(struct tdm_drafted *a, const float *logits, int extra, float *probs) {
	if (a->sampling.temperature <= 0 && a->sampling.repeat_penalty == 1)
		return logits;
	tdm_sampling_probs(&a->sampling, logits, a->n_vocab, a->tokens, a->n_tokens + extra, probs);
	return probs;
}

// Lowers *path, how likely all of a draft is, by its next token, the most likely one with the logit `top`; false where
// it falls below min_prob: the next row of the target's pass would then cost more than it gains.
static bool go_on(const struct tdm_drafted *a, const float *logits, float top, double *path) {
	double least = a->kind->min_prob;
	if (least > 0)
		*path /= tdm_exp_sum(logits, a->n_vocab, top);
	return *path >= least;
}

void tdm_draft_weigh(const struct tdm_drafted *a, const float *row, int extra, float *probs) {
	struct tdm_sampling sampling = a->sampling;
	if (a->is_greedy)
		sampling.temperature = 1;
	tdm_sampling_probs(&sampling, row, a->n_vocab, a->tokens, a->n_tokens + extra, probs);
}

static bool mixes(const struct tdm_drafted *a) {
	return tdm_accept_mixes(a->kind->accept);
}

// Reads the draft's row after the drafted tokens and keeps what verification needs of it; the next token. *is_sure:
// false where the draft had better end here. That depends on the tokens before only, never on the token drawn, so it
// does not disturb exactness.
static int32_t look(struct tdm_drafted *a, const float *logits, bool *is_sure) {
	float *row = a->q + (size_t)(a->is_greedy && !mixes(a) ? 0 : a->n_drafted) * a->n_vocab;
	logits = tdm_draft_row(a, logits, a->n_drafted);
	const float *q = tdm_draft_transform(a, logits, a->n_drafted, row);
	int32_t best = tdm_argmax(q, a->n_vocab);
	float top = logits[q == logits ? best : tdm_argmax(logits, a->n_vocab)];
	*is_sure = go_on(a, logits, top, &a->path);
	if (mixes(a) && a->is_greedy)
		tdm_draft_weigh(a, logits, a->n_drafted, row);
	a->has_more = mixes(a);
	a->more = best;
	return best;
}

static bool propose(struct tdm_drafted *a, const float *logits) {
	bool is_sure;
	int32_t token = look(a, logits, &is_sure);
	if (!is_sure)
		return false;
	if (!a->is_greedy)
		token = tdm_verify_draw(a->q + (size_t)a->n_drafted * a->n_vocab, a->n_vocab, tdm_rng_double(&a->draw));
	a->drafted[a->n_drafted++] = token;
	a->has_more = false;
	return true;
}

int tdm_draft_clip(struct tdm_drafted *a, int n) {
	if (a->n_drafted <= n)
		return TDM_OK;
	a->has_more = mixes(a);
	a->more = a->drafted[n];
	a->n_drafted = n;
	return tdm_side_forget(&a->draft, a->n_tokens + (n > 0 ? n - 1 : 0));
}

int tdm_draft_fitting(const struct tdm_drafted *a, int n, int gamma) {
	const struct tdm_session *d = a->draft.session; // NULL: left alone
	if (!d || gamma <= 0)
		return 0;
	int left = a->request.max_tokens - n - 1, room = d->context - d->prompt_tokens - n + !mixes(a);
	if (a->request.max_tokens > 0 && gamma > left)
		gamma = left;
	if (gamma > room)
		gamma = room;
	return gamma > 0 ? gamma : 0;
}

// Of cascades: the row after the last drafted token, where the draft has room for it and the answer goes on.
static int look_on(struct tdm_drafted *a, struct tdm_run *run, int row) {
	struct tdm_session *s = a->draft.session;
	const int32_t *newest = &a->drafted[a->n_drafted > 0 ? a->n_drafted - 1 : 0];
	bool is_sure;
	int status = TDM_OK;
	if (a->has_more || (a->n_drafted > 0 && s->ops->is_end(s, *newest)))
		return TDM_OK;
	if (a->n_drafted > 0) {
		status = tdm_side_append(&a->draft, run, newest, NULL, 1);
		row = 0;
	}
	if (status == TDM_OK)
		look(a, s->ops->logits(s, row), &is_sure);
	return status;
}

int tdm_draft_make(struct tdm_drafted *a, struct tdm_run *run, int gamma) {
	struct tdm_session *s = a->draft.session;
	int behind = a->n_tokens - a->draft.seen, row = behind > 0 ? behind - 1 : 0, status = TDM_OK;
	bool has_room = s && s->prompt_tokens + a->n_tokens <= s->context;
	a->n_drafted = 0;
	a->has_more = false;
	a->path = 1;
	gamma = tdm_draft_fitting(a, a->n_tokens, gamma);
	if (gamma == 0 && !(mixes(a) && has_room))
		return TDM_OK;
	if (behind > 0)
		status = tdm_side_append(&a->draft, run, a->tokens + a->draft.seen, NULL, behind);
	while (status == TDM_OK && gamma > 0 && propose(a, s->ops->logits(s, row))) {
		const int32_t *newest = &a->drafted[a->n_drafted - 1];
		if (a->n_drafted == gamma || s->ops->is_end(s, *newest))
			break;
		status = tdm_side_append(&a->draft, run, newest, NULL, 1);
		row = 0;
	}
	return status == TDM_OK && mixes(a) ? look_on(a, run, row) : status;
}

// --- ahead

static int draft_ahead(void *arg, struct tdm_run *run) {
	struct tdm_drafted *a = arg;
	double path = 1;
	struct tdm_ahead *h = &a->ahead;
	struct tdm_session *s = a->draft.session;
	int n = a->n_tokens + a->n_drafted, status = TDM_OK, gamma = tdm_draft_fitting(a, n + 1, a->gamma);
	if (a->draft.seen < n)
		status = tdm_side_append(&a->draft, run, &a->drafted[a->n_drafted - 1], NULL, 1);
	if (status != TDM_OK)
		return status;
	h->guess = tdm_argmax(s->ops->logits(s, 0), a->n_vocab);
	const int32_t *newest = &h->guess;
	while (h->n < gamma && !s->ops->is_end(s, *newest) && !atomic_load_explicit(&h->is_enough, memory_order_relaxed)) {
		status = tdm_side_append(&a->draft, run, newest, NULL, 1);
		if (status != TDM_OK)
			break;
		const float *logits = s->ops->logits(s, 0);
		int32_t best = tdm_argmax(logits, a->n_vocab);
		if (!go_on(a, logits, logits[best], &path))
			break;
		h->drafted[h->n] = best;
		newest = &h->drafted[h->n++];
	}
	return status;
}

void tdm_draft_ahead(struct tdm_drafted *a, const struct tdm_run *run) {
	bool is_plain = a->is_greedy && a->sampling.repeat_penalty == 1 && !a->keeper && !mixes(a);
	struct tdm_session *d = a->draft.session;
	a->ahead.is_on = a->kind->ahead && is_plain && a->n_drafted > 0 &&
	                 tdm_draft_fitting(a, a->n_tokens + a->n_drafted + 1, 1) > 0 &&
	                 !d->ops->is_end(d, a->drafted[a->n_drafted - 1]);
	a->ahead.n = 0;
	atomic_store_explicit(&a->ahead.is_enough, false, memory_order_relaxed);
	if (a->ahead.is_on)
		tdm_apart_start(&a->ahead.apart, run, draft_ahead, a);
}

bool tdm_draft_stop(struct tdm_drafted *a) {
	atomic_store_explicit(&a->ahead.is_enough, true, memory_order_relaxed);
	bool is_good = a->ahead.is_on && tdm_apart_cancel(&a->ahead.apart);
	a->ahead.is_on = false;
	return is_good;
}
