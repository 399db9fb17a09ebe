#include "engine/tokens.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKEN_BYTES = 65535 };

static int by_bytes(const void *x, const void *y, void *tree) {
	const struct tdm_token_tree *t = tree;
	int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;
	int32_t n = t->at[a + 1] - t->at[a], m = t->at[b + 1] - t->at[b];
	int order = memcmp(t->text + t->at[a], t->text + t->at[b], (size_t)(n < m ? n : m));
	if (!order)
		order = (n > m) - (n < m);
	return order ? order : (a > b) - (a < b);
}

static int read_pieces(struct tdm_token_tree *t, const struct tdm_token_source *source) {
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
		memcpy(t->text + at, text, n);
		t->at[i] = at;
		t->at[i + 1] = at += (int32_t)n;
		if (n)
			t->order[t->n_order++] = i;
		if ((int)n > t->max_depth)
			t->max_depth = (int)n;
	}
	return TDM_OK;
}

static int32_t common(const struct tdm_token_tree *t, int32_t a, int32_t b) {
	int32_t n = 0, len = t->at[a + 1] - t->at[a], other = t->at[b + 1] - t->at[b];
	while (n < len && n < other && t->text[t->at[a] + n] == t->text[t->at[b] + n])
		n++;
	return n;
}

// In the order of the tokens every one adds the nodes below what it shares with the one before it.
static void add_nodes(struct tdm_token_tree *t, int32_t *path) {
	int32_t depth = 0; // of the last token; path[d] = its node at depth d
	for (int32_t i = 0; i < t->n_order; i++) {
		int32_t token = t->order[i], len = t->at[token + 1] - t->at[token];
		int32_t same = i ? common(t, t->order[i - 1], token) : 0;
		for (; depth > same; depth--)
			t->nodes[path[depth]].end = t->n_nodes;
		for (; depth < len; depth++) {
			path[depth + 1] = t->n_nodes;
			t->nodes[t->n_nodes++] = (struct tdm_token_node){
			    .first = i,
			    .depth = (uint16_t)(depth + 1),
			    .byte = (uint8_t)t->text[t->at[token] + depth],
			};
		}
	}
	for (; depth > 0; depth--)
		t->nodes[path[depth]].end = t->n_nodes;
	t->nodes[t->n_nodes] = (struct tdm_token_node){.first = t->n_order};
}

static size_t count_nodes(const struct tdm_token_tree *t) {
	size_t n = 0;
	for (int32_t i = 0; i < t->n_order; i++) {
		int32_t token = t->order[i];
		n += (size_t)(t->at[token + 1] - t->at[token] - (i ? common(t, t->order[i - 1], token) : 0));
	}
	return n;
}

static int build(struct tdm_token_tree *t, const struct tdm_token_source *source) {
	size_t n = (size_t)t->n_vocab;
	t->order = calloc(n + 1, sizeof *t->order);
	t->ends = calloc(n + 1, sizeof *t->ends);
	t->at = calloc(n + 1, sizeof *t->at);
	int status = t->order && t->ends && t->at ? read_pieces(t, source) : TDM_ENOMEM;
	if (status)
		return status;
	qsort_r(t->order, (size_t)t->n_order, sizeof *t->order, by_bytes, t);
	t->nodes = calloc(count_nodes(t) + 1, sizeof *t->nodes);
	int32_t *path = calloc((size_t)t->max_depth + 1, sizeof *path);
	if (t->nodes && path)
		add_nodes(t, path);
	else
		status = TDM_ENOMEM;
	free(path);
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
	free(t->nodes);
	free(t->order);
	free(t->ends);
	free(t->text);
	free(t->at);
	free(t);
}
