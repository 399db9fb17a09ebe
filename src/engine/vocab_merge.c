// Merging, common to both families: a linked list of symbols and a heap of the merges that are possible now. A merge
// that an earlier one made impossible stays in the heap and is recognised when it comes up, so that a piece of n
// symbols takes O(n log n).
#include "engine/vocab_parts.h"
#include <stdlib.h>

void tdm_scratch_release(struct tdm_scratch *s) {
	free(s->symbols);
	free(s->heap);
	*s = (struct tdm_scratch){0};
}

int tdm_scratch_reserve(struct tdm_scratch *s, size_t n_symbols) {
	if (n_symbols <= s->symbols_cap)
		return TDM_OK;
	if (n_symbols > INT32_MAX / 4)
		return TDM_ETOOLARGE;
	size_t cap = n_symbols < 64 ? 64 : n_symbols + n_symbols / 2;
	tdm_scratch_release(s);
	s->symbols = calloc(cap, sizeof *s->symbols);
	s->heap = calloc(3 * cap, sizeof *s->heap); // n - 1 at first, and each of n - 1 merges offers at most two more
	if (!s->symbols || !s->heap) {
		tdm_scratch_release(s);
		return TDM_ENOMEM;
	}
	s->symbols_cap = cap;
	s->heap_cap = 3 * cap;
	return TDM_OK;
}

static bool goes_before(const struct tdm_merge *a, const struct tdm_merge *b) {
	return a->rank < b->rank || (a->rank == b->rank && a->left < b->left);
}

static void heap_push(struct tdm_scratch *s, const struct tdm_merge *m) {
	size_t i = s->heap_n++;
	while (i && goes_before(m, &s->heap[(i - 1) / 2])) {
		s->heap[i] = s->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	s->heap[i] = *m;
}

static struct tdm_merge heap_pop(struct tdm_scratch *s) {
	struct tdm_merge top = s->heap[0], last = s->heap[--s->heap_n];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < s->heap_n; i = child) {
		if (child + 1 < s->heap_n && goes_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!goes_before(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
	}
	s->heap[i] = last;
	return top;
}

struct merging {
	const struct tdm_vocab *v;
	const char *piece;
	struct tdm_scratch *s;
	tdm_offer_fn *offer;
};

static void consider(const struct merging *g, int32_t left, int32_t right) {
	if (left < 0 || right < 0)
		return;
	const struct tdm_symbol *a = &g->s->symbols[left], *b = &g->s->symbols[right];
	struct tdm_merge m = {.left = left, .right = right, .left_token = a->token, .right_token = b->token};
	if (g->offer(g->v, g->piece, a, b, &m))
		heap_push(g->s, &m);
}

// A merge is still possible when both symbols are the ones it was offered for.
static bool still_holds(const struct tdm_scratch *s, const struct tdm_merge *m) {
	const struct tdm_symbol *left = &s->symbols[m->left], *right = &s->symbols[m->right];
	return left->len && right->len && left->after == m->right && left->token == m->left_token &&
	       right->token == m->right_token;
}

void tdm_merge_all(const struct tdm_vocab *v, const char *piece, struct tdm_scratch *s, size_t n, tdm_offer_fn *offer) {
	struct merging g = {v, piece, s, offer};
	s->heap_n = 0;
	for (size_t i = 1; i < n; i++)
		consider(&g, (int32_t)i - 1, (int32_t)i);
	while (s->heap_n) {
		struct tdm_merge m = heap_pop(s);
		if (!still_holds(s, &m))
			continue;
		struct tdm_symbol *left = &s->symbols[m.left], *right = &s->symbols[m.right];
		left->token = m.token;
		left->len += right->len;
		left->after = right->after;
		right->len = 0;
		if (left->after >= 0)
			s->symbols[left->after].before = m.left;
		consider(&g, left->before, m.left);
		consider(&g, m.left, left->after);
	}
}
