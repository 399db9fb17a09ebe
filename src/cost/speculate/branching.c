// Branching: what the target makes of a bush: one pass over all of it, the walk down the tokens that stay, and both
// sessions behind the last of them.
#include "cost/speculate/bush.h"
#include "base/clock.h"
#include "models/local/writer.h"

static const float *target_row(void *context, int node) {
	struct tdm_drafted *a = context;
	const struct tdm_session *t = a->target.session;
	int extra = tdm_bush_stand(a, node);
	const float *row = tdm_draft_row(a, t->ops->logits(a->target.session, 1 + node), extra);
	return tdm_draft_transform(a, row, extra, a->p);
}

static struct tdm_branch verify(struct tdm_drafted *a) {
	const struct tdm_bush *b = a->bush;
	const float *q[1 + TDM_GUESS_MOST] = {0};
	double accept[TDM_GUESS_MOST];
	struct tdm_branches branches = {.n_vocab = a->n_vocab,
	                                .n_draws = b->n_draws,
	                                .tokens = b->tokens,
	                                .parents = b->parents,
	                                .drawn = b->drawn,
	                                .q = q,
	                                .p = target_row,
	                                .target = a,
	                                .rest = b->rest,
	                                .left = b->left};
	if (a->is_greedy)
		return tdm_branch_greedy(&branches);
	for (int i = 0; i < b->n_looks; i++)
		q[1 + b->looks[i].node] = b->looks[i].q;
	for (int i = 0; i < b->n_draws; i++)
		accept[i] = tdm_rng_double(&a->accept);
	double last = tdm_rng_double(&a->replace);
	if (a->kind->verify == TDM_VERIFY_KSEQ)
		return tdm_branch_independent(&branches, accept, last);
	return tdm_branch_distinct(&branches, accept, last);
}

static bool is_chain(const struct tdm_bush *b) {
	for (int i = 0; i < b->n; i++)
		if (b->parents[i] != i - 1)
			return false;
	return true;
}

static int pass(struct tdm_drafted *a) {
	const struct tdm_bush *b = a->bush;
	int32_t tokens[1 + TDM_GUESS_MOST];
	int parents[1 + TDM_GUESS_MOST] = {-1};
	tokens[0] = a->tokens[a->n_tokens - 1];
	for (int i = 0; i < b->n; i++) {
		tokens[1 + i] = b->tokens[i];
		parents[1 + i] = b->parents[i] + 1;
	}
	return tdm_side_append(&a->target, a->run, tokens, is_chain(b) ? NULL : parents, 1 + b->n);
}

// The path's tokens and the one after them, each with the row that it was chosen from.
static int emit(struct tdm_drafted *a, struct tdm_branch v, const int *path, int n) {
	int status = a->failed;
	for (int i = 0; status == TDM_OK && i <= n; i++) {
		tdm_writer_drafter(a->writer, i < n ? a->kind->draft->name : NULL);
		status = tdm_draft_emit(a, i < n ? a->bush->tokens[path[i]] : v.next, i ? 1 + path[i - 1] : 0);
		a->accepted_at[i < n ? i : 0] += i < n;
	}
	return status;
}

static int settle(struct tdm_drafted *a, bool was_cut) {
	struct tdm_bush *b = a->bush;
	struct tdm_branch v = verify(a);
	int path[TDM_DRAFT_MOST], before = a->n_tokens, n = v.node < 0 ? 0 : b->depths[v.node], i = n;
	for (int at = v.node; at >= 0; at = b->parents[at])
		path[--i] = at;
	a->all_drafted += b->n;
	a->all_accepted += n;
	int status = emit(a, v, path, n);
	if (status == TDM_OK && is_chain(b))
		status = tdm_side_forget(&a->target, before + n);
	else if (status == TDM_OK)
		a->target.session->ops->keep(a->target.session, 1 + v.node);
	a->target.seen = before + n;
	if (a->is_timed && a->tried > 0 && !was_cut)
		tdm_pace_branched(&a->pace, 0, a->tried, path, n);
	if (a->is_timed)
		tdm_draft_choose(a);
	if (status != TDM_OK || !a->draft.session)
		return status;
	int met = tdm_bush_meeting(b, b->base, v.node);
	return tdm_side_forget(&a->draft, before + (met < 0 ? 0 : b->depths[met]));
}

// A token pays its place while it comes true more often than the time of its row, in tokens as they come now.
static double floor_of(const struct tdm_drafted *a, int m) {
	const struct tdm_pace *p = &a->pace;
	double each = tdm_pace_each(p, 0, m), row = (tdm_pace_cost(p, 1 + m) - tdm_pace_cost(p, 1)) / m;
	if (!a->is_timed || each <= 0 || row <= 0)
		return a->kind->min_node;
	return row / each < 0.9 ? row / each : 0.9;
}

int tdm_bush_step(struct tdm_drafted *a) {
	const struct tdm_session *t = a->target.session;
	int room = t->context - t->prompt_tokens - a->n_tokens, status = tdm_run_check(a->run);
	a->tried = a->is_timed ? a->gamma : (int)a->kind->nodes;
	int m = a->tried < room ? a->tried : room;
	bool was_cut = m < a->tried || tdm_draft_fitting(a, a->n_tokens, (int)a->kind->depth) < a->kind->depth;
	int64_t start_us = tdm_now_us(), made_us;
	if (status == TDM_OK)
		status = tdm_bush_grow(a, m, m > 0 ? floor_of(a, m) : 1);
	made_us = tdm_now_us() - start_us;
	if (status == TDM_OK)
		status = pass(a);
	if (status == TDM_OK && a->is_timed)
		tdm_draft_timed(a, a->bush->n, made_us, tdm_now_us() - start_us - made_us);
	return status == TDM_OK ? settle(a, was_cut) : status;
}
