#include "engine/tokens.h"
#include "engine/runs.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKEN_BYTES = 65535 };

// --- tries

static int32_t rest_of(const struct tdm_token_tree *t, const struct tdm_token_rest *r, const char **text) {
	*text = t->text + t->at[r->token] + r->skip;
	return t->at[r->token + 1] - t->at[r->token] - r->skip;
}

static int by_bytes(const void *x, const void *y, void *tree) {
	const struct tdm_token_rest *a = x, *b = y;
	const char *left, *right;
	int32_t n = rest_of(tree, a, &left), m = rest_of(tree, b, &right);
	int order = memcmp(left, right, (size_t)(n < m ? n : m));
	if (!order)
		order = (n > m) - (n < m);
	return order ? order : (a->token > b->token) - (a->token < b->token);
}

static int32_t common(const struct tdm_token_tree *t, const struct tdm_token_rest *a, const struct tdm_token_rest *b) {
	const char *left, *right;
	int32_t n = 0, len = rest_of(t, a, &left), other = rest_of(t, b, &right);
	while (n < len && n < other && left[n] == right[n])
		n++;
	return n;
}

// In the order of the rests every one adds the nodes below what it shares with the one before it.
static void add_nodes(const struct tdm_token_tree *t, const struct tdm_token_rest *rests, int32_t n,
                      struct tdm_token_trie *out, int32_t *path) {
	int32_t depth = 0; // of the last rest; path[d] = its node at depth d
	for (int32_t i = 0; i < n; i++) {
		const char *text;
		int32_t len = rest_of(t, &rests[i], &text), same = i ? common(t, &rests[i - 1], &rests[i]) : 0;
		for (; depth > same; depth--)
			out->nodes[path[depth]].end = out->n_nodes;
		for (; depth < len; depth++) {
			path[depth + 1] = out->n_nodes;
			out->nodes[out->n_nodes++] = (struct tdm_token_node){
			    .first = i,
			    .depth = (uint16_t)(depth + 1),
			    .byte = (uint8_t)text[depth],
			};
		}
		out->leaves[i] = (struct tdm_token_leaf){rests[i].token, rests[i].run};
	}
	for (; depth > 0; depth--)
		out->nodes[path[depth]].end = out->n_nodes;
	out->nodes[out->n_nodes] = (struct tdm_token_node){.first = n};
	out->n_leaves = n;
}

// From the last node to the first: children come behind their parents.
static void find_runs(struct tdm_token_trie *trie) {
	for (int32_t i = trie->n_nodes - 1; i >= 0; i--) {
		struct tdm_token_node *node = &trie->nodes[i];
		node->run_min = UINT16_MAX;
		for (int32_t k = node->first; k < node[1].first; k++) {
			node->run_min = trie->leaves[k].run < node->run_min ? trie->leaves[k].run : node->run_min;
			node->run_max = trie->leaves[k].run > node->run_max ? trie->leaves[k].run : node->run_max;
		}
		for (int32_t k = i + 1; k < node->end; k = trie->nodes[k].end) {
			node->run_min = trie->nodes[k].run_min < node->run_min ? trie->nodes[k].run_min : node->run_min;
			node->run_max = trie->nodes[k].run_max > node->run_max ? trie->nodes[k].run_max : node->run_max;
		}
	}
}

int tdm_token_trie_build(const struct tdm_token_tree *t, struct tdm_token_rest *rests, int32_t n,
                         struct tdm_token_trie *out) {
	size_t n_nodes = 1;
	const char *text;
	*out = (struct tdm_token_trie){0};
	qsort_r(rests, (size_t)n, sizeof *rests, by_bytes, (void *)(uintptr_t)t);
	for (int32_t i = 0; i < n; i++)
		n_nodes += (size_t)(rest_of(t, &rests[i], &text) - (i ? common(t, &rests[i - 1], &rests[i]) : 0));
	out->nodes = calloc(n_nodes, sizeof *out->nodes);
	out->leaves = calloc((size_t)n + 1, sizeof *out->leaves);
	int32_t *path = calloc((size_t)t->max_depth + 1, sizeof *path);
	bool ok = out->nodes && out->leaves && path;
	if (ok) {
		add_nodes(t, rests, n, out, path);
		find_runs(out);
	}
	free(path);
	return ok ? TDM_OK : TDM_ENOMEM;
}

void tdm_token_trie_release(struct tdm_token_trie *trie) {
	free(trie->nodes);
	free(trie->leaves);
}

// --- the tree

static int read_pieces(struct tdm_token_tree *t, const struct tdm_token_source *source, struct tdm_token_rest *rests,
                       int32_t *n_rests) {
	size_t total = 0;
	const char *text;
	for (int32_t i = 0; i < t->n_vocab; i++)
		total += source->piece(source->self, i, &text);
	if (total > INT32_MAX)
		return TDM_EVALUE;
	t->text = malloc(total + 1);
	if (!t->text)
		return TDM_ENOMEM;
	for (int32_t i = 0, at = 0; i < t->n_vocab; i++) {
		size_t n = source->piece(source->self, i, &text);
		if (source->is_end(source->self, i))
			t->ends[t->n_ends++] = i;
		if (n > MAX_TOKEN_BYTES || source->is_end(source->self, i))
			n = 0;
		if (n)
			memcpy(t->text + at, text, n);
		t->at[i] = at;
		t->at[i + 1] = at += (int32_t)n;
		if (n)
			rests[(*n_rests)++] = (struct tdm_token_rest){i, 0, 0};
		if ((int)n > t->max_depth)
			t->max_depth = (int)n;
	}
	return TDM_OK;
}

static int build(struct tdm_token_tree *t, const struct tdm_token_source *source) {
	size_t n = (size_t)t->n_vocab;
	struct tdm_token_rest *rests = calloc(n + 1, sizeof *rests);
	int32_t n_rests = 0;
	t->ends = calloc(n + 1, sizeof *t->ends);
	t->at = calloc(n + 1, sizeof *t->at);
	t->shelf = tdm_shelf_new();
	int status = rests && t->ends && t->at && t->shelf ? read_pieces(t, source, rests, &n_rests) : TDM_ENOMEM;
	if (!status)
		status = tdm_token_trie_build(t, rests, n_rests, &t->all);
	free(rests);
	return status;
}

int tdm_token_tree_new(const struct tdm_token_source *source, struct tdm_token_tree **out, struct tdm_error *err) {
	struct tdm_token_tree *t = calloc(1, sizeof *t);
	int status = TDM_ENOMEM;
	if (t) {
		t->n_vocab = source->n_vocab;
		status = build(t, source);
	}
	if (!status) {
		*out = t;
		return TDM_OK;
	}
	tdm_token_tree_free(t);
	return tdm_fail(err, status, "no room for the tree of %d tokens", source->n_vocab);
}

void tdm_token_tree_free(struct tdm_token_tree *t) {
	if (!t)
		return;
	tdm_shelf_free(t->shelf);
	tdm_token_trie_release(&t->all);
	free(t->ends);
	free(t->text);
	free(t->at);
	free(t);
}
