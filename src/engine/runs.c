#include "engine/runs.h"
#include "base/text.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// --- making them

// Bytes of the run that text[0..n) begins with; *chars of it.
static int32_t run_of(const struct tdm_run_set *set, const char *text, int32_t n, int *chars) {
	int32_t at = 0;
	for (*chars = 0; at < n; ++*chars) {
		uint32_t c;
		if (!tdm_run_set_has(set, (uint8_t)text[at]))
			break;
		size_t len = (uint8_t)text[at] < 128 ? 1 : tdm_utf8_next(text + at, (size_t)(n - at), &c);
		if (!tdm_utf8_valid(text + at, len))
			break;
		at += (int32_t)len;
	}
	return at;
}

static void set_bit(uint64_t *bits, int32_t token) {
	bits[token / 64] |= (uint64_t)1 << (token % 64);
}

static int by_run(const void *x, const void *y) {
	const struct tdm_token_leaf *a = x, *b = y;
	return a->run != b->run ? (a->run > b->run) - (a->run < b->run) : (a->token > b->token) - (a->token < b->token);
}

// Divides the tokens: whole[0..return value) are runs, the others go to rests, but for those that the tree of all
// tokens has beneath a first byte that no run begins with.
static int32_t divide(const struct tdm_token_tree *t, const struct tdm_runs *r, struct tdm_token_leaf *whole,
                      struct tdm_token_rest *rests, int32_t *n_rests) {
	int32_t n = 0;
	for (int32_t i = 0; i < t->all.n_leaves; i++) {
		int32_t token = t->all.leaves[i].token, len = t->at[token + 1] - t->at[token];
		const char *text = t->text + t->at[token];
		int chars;
		if (r->is_spaced ? *text != ' ' : !tdm_run_set_has(&r->set, (uint8_t)*text))
			continue;
		int32_t at = r->is_spaced + run_of(&r->set, text + r->is_spaced, len - r->is_spaced, &chars);
		if (at == len)
			whole[n++] = (struct tdm_token_leaf){token, (uint16_t)chars};
		else
			rests[(*n_rests)++] = (struct tdm_token_rest){token, at, (uint16_t)chars};
	}
	return n;
}

static int make_masks(struct tdm_runs *r, struct tdm_token_leaf *whole, int32_t n) {
	size_t bytes = (size_t)r->n_words * sizeof *r->all;
	int32_t at = 0;
	qsort(whole, (size_t)n, sizeof *whole, by_run);
	r->n_whole = n;
	r->max_run = r->longest = n ? whole[n - 1].run : 0;
	r->n_masks = r->max_run < TDM_RUN_MASKS ? r->max_run : TDM_RUN_MASKS;
	r->all = calloc(1, bytes);
	for (int k = 0; k <= r->n_masks; k++) {
		if (!(r->masks[k] = calloc(1, bytes)))
			return TDM_ENOMEM;
		if (k)
			memcpy(r->masks[k], r->masks[k - 1], bytes);
		for (; at < n && whole[at].run <= k; at++)
			set_bit(r->masks[k], whole[at].token);
	}
	r->n_longer = n - at;
	r->longer = calloc((size_t)r->n_longer + 1, sizeof *r->longer);
	if (!r->longer || !r->all)
		return TDM_ENOMEM;
	memcpy(r->all, r->masks[r->n_masks], bytes);
	for (int32_t i = 0; i < r->n_longer; i++) {
		r->longer[i] = whole[at + i];
		set_bit(r->all, r->longer[i].token);
	}
	return TDM_OK;
}

int tdm_runs_new(const struct tdm_token_tree *t, const struct tdm_run_set *set, bool is_spaced, struct tdm_runs **out) {
	struct tdm_runs *r = calloc(1, sizeof *r);
	struct tdm_token_leaf *whole = calloc((size_t)t->all.n_leaves + 1, sizeof *whole);
	struct tdm_token_rest *rests = calloc((size_t)t->all.n_leaves + 1, sizeof *rests);
	int32_t n_rests = 0;
	int status = r && whole && rests ? TDM_OK : TDM_ENOMEM;
	if (!status) {
		r->set = *set;
		r->is_spaced = is_spaced;
		r->n_words = (t->n_vocab + 63) / 64;
		int32_t n = divide(t, r, whole, rests, &n_rests);
		status = make_masks(r, whole, n);
	}
	if (!status)
		status = tdm_token_trie_build(t, rests, n_rests, &r->rests);
	for (int32_t i = 0; i < n_rests && !status; i++)
		r->longest = rests[i].run > r->longest ? rests[i].run : r->longest;
	free(whole);
	free(rests);
	if (status)
		tdm_runs_free(r);
	else
		*out = r;
	return status;
}

void tdm_runs_free(struct tdm_runs *r) {
	if (!r)
		return;
	for (int k = 0; k <= TDM_RUN_MASKS; k++)
		free(r->masks[k]);
	free(r->all);
	free(r->longer);
	tdm_token_trie_release(&r->rests);
	free(r);
}

void tdm_runs_put(const struct tdm_runs *r, int most, uint64_t *bits) {
	const uint64_t *from = most < 0 || most >= r->max_run ? r->all : r->masks[most < r->n_masks ? most : r->n_masks];
	for (int i = 0; i < r->n_words; i++)
		bits[i] |= from[i];
	for (int32_t i = 0; from != r->all && i < r->n_longer && r->longer[i].run <= most; i++)
		set_bit(bits, r->longer[i].token);
}

// --- the shelf of a vocabulary: `lock` guards all of it

enum { N_PLACES = 16 };

struct tdm_shelf {
	pthread_mutex_t lock;
	struct {
		struct tdm_runs *runs; // NULL = free
		int users;
		uint64_t last; // when it was taken; the oldest unused one makes room
	} places[N_PLACES];
	uint64_t clock;
};

struct tdm_shelf *tdm_shelf_new(void) {
	struct tdm_shelf *s = calloc(1, sizeof *s);
	if (s && pthread_mutex_init(&s->lock, NULL) != 0) {
		free(s);
		return NULL;
	}
	return s;
}

void tdm_shelf_free(struct tdm_shelf *s) {
	if (!s)
		return;
	for (int i = 0; i < N_PLACES; i++)
		tdm_runs_free(s->places[i].runs);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool is_for(const struct tdm_runs *r, const struct tdm_run_set *set, bool is_spaced) {
	return r && r->is_spaced == is_spaced && r->set.others == set->others && r->set.ascii[0] == set->ascii[0] &&
	       r->set.ascii[1] == set->ascii[1];
}

// The place of the runs, or else one that may be cleared for them, or -1.
static int place_for(const struct tdm_shelf *s, const struct tdm_run_set *set, bool is_spaced) {
	int oldest = -1;
	for (int i = 0; i < N_PLACES; i++) {
		if (is_for(s->places[i].runs, set, is_spaced))
			return i;
		if (!s->places[i].users && (oldest < 0 || s->places[i].last < s->places[oldest].last))
			oldest = i;
	}
	return oldest;
}

const struct tdm_runs *tdm_shelf_take(const struct tdm_token_tree *t, const struct tdm_run_set *set, bool is_spaced) {
	struct tdm_shelf *s = t->shelf;
	struct tdm_runs *runs = NULL;
	pthread_mutex_lock(&s->lock);
	int at = place_for(s, set, is_spaced);
	if (at >= 0 && !is_for(s->places[at].runs, set, is_spaced)) {
		tdm_runs_free(s->places[at].runs);
		s->places[at].runs = NULL;
		tdm_runs_new(t, set, is_spaced, &s->places[at].runs); // without memory there are none, as without room
	}
	if (at >= 0 && (runs = s->places[at].runs)) {
		s->places[at].users++;
		s->places[at].last = ++s->clock;
	}
	pthread_mutex_unlock(&s->lock);
	return runs;
}

void tdm_shelf_give(const struct tdm_token_tree *t, const struct tdm_runs *r) {
	struct tdm_shelf *s = t->shelf;
	if (!r)
		return;
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < N_PLACES; i++)
		if (s->places[i].runs == r)
			s->places[i].users--;
	pthread_mutex_unlock(&s->lock);
}
