// Trees of tokens: several continuations of a sequence, which share their beginnings, in one pass.
//
// Every leaf's path is a fork of the sequence, so that a token finds the keys before it where it would find them in a
// plain sequence, in the same order, and its logits are the same to the last bit. A token is computed once; its key and
// value are stored in every path through it. Price: a copy of the last page for each path beyond the first.
#include "engine/batch.h"
#include <stdlib.h>

static int plan(struct tdm_tree *t, const int *parents, int n, struct tdm_error *err) {
	bool has_child[TDM_MAX_ROWS] = {0};
	if (n < 1 || n > TDM_MAX_ROWS)
		return tdm_fail(err, TDM_EVALUE, "a tree of %d tokens; expected 1 to %d", n, TDM_MAX_ROWS);
	t->n = n;
	for (int i = 0; i < n; i++) {
		if (parents[i] < -1 || parents[i] >= i)
			return tdm_fail(err, TDM_EVALUE, "the parent of token %d of a tree is %d; expected -1 to %d", i, parents[i],
			                i - 1);
		t->parents[i] = parents[i];
		t->depths[i] = parents[i] < 0 ? 0 : t->depths[parents[i]] + 1;
		if (parents[i] >= 0)
			has_child[parents[i]] = true;
	}
	for (int i = 0; i < n; i++) {
		if (has_child[i])
			continue;
		for (int at = i; at >= 0; at = parents[at])
			t->on[at] |= (uint64_t)1 << t->n_paths;
		t->leaves[t->n_paths++] = i;
	}
	return TDM_OK;
}

void tdm_tree_drop(struct tdm_seq *s) {
	for (int p = 1; s->tree && p < s->tree->n_paths; p++)
		tdm_seq_close(s->tree->paths[p]);
	free(s->tree);
	s->tree = NULL;
}

// Forks first: a page that is written must be seen to be shared.
static int open_paths(struct tdm_seq *s, struct tdm_tree *t, struct tdm_error *err) {
	int status = TDM_OK;
	t->paths[0] = s;
	for (int p = 1; p < t->n_paths && status == TDM_OK; p++)
		status = tdm_seq_fork(s, &t->paths[p], err);
	for (int p = 0; p < t->n_paths && status == TDM_OK; p++) {
		if (!tdm_seq_reserve(t->paths[p], t->depths[t->leaves[p]] + 1, p ? 0 : t->n))
			status = tdm_fail(err, TDM_ENOMEM, "no memory for a tree of %d tokens after %d", t->n, s->length);
		t->pages[p] = &t->paths[p]->pages;
	}
	return status;
}

int tdm_seq_eval_tree(struct tdm_seq *s, const int32_t *tokens, const int *parents, int n, const atomic_bool *cancelled,
                      struct tdm_error *err) {
	uint8_t all[TDM_MAX_ROWS];
	tdm_seq_rewind(s, s->length);
	int status = tdm_seq_check(s, tokens, n, err);
	if (status != TDM_OK)
		return status;
	status = tdm_seq_restore(s, cancelled, err);
	if (status != TDM_OK)
		return status;
	struct tdm_tree *t = s->tree = calloc(1, sizeof *t);
	if (!t)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a tree of %d tokens", n);
	status = plan(t, parents, n, err);
	if (status == TDM_OK)
		status = open_paths(s, t, err);
	for (int i = 0; i < n && status == TDM_OK; i++) {
		t->tokens[i] = tokens[i];
		all[i] = 1;
	}
	struct tdm_request request = {.seq = s, .tree = t, .tokens = tokens, .wanted = all, .cancelled = cancelled, .n = n};
	if (status == TDM_OK && tdm_batch_run(s->engine, &request) != TDM_OK)
		status = tdm_fail(err, request.status, "the evaluation of a tree of %d tokens was cancelled", n);
	if (status != TDM_OK)
		tdm_seq_rewind(s, s->length);
	else
		s->rows = n;
	return status;
}

void tdm_seq_keep(struct tdm_seq *s, int node) {
	struct tdm_tree *t = s->tree;
	if (!t || node < 0 || node >= t->n) {
		tdm_seq_rewind(s, s->length);
		return;
	}
	int path = 0, n = t->depths[node] + 1;
	while (!(t->on[node] >> path & 1))
		path++;
	if (path)
		tdm_seq_swap_pages(s, t->paths[path]);
	for (int at = node; at >= 0; at = t->parents[at])
		s->tokens[s->length + t->depths[at]] = t->tokens[at];
	tdm_tree_drop(s);
	tdm_seq_grow(s, n);
}
