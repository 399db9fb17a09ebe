// Tagger lists: the gazetteer of a fit, from lists, and from the small words that texts show outside of names.
#include "base/text.h"
#include "learn/fit_tagger.h"
#include <stdlib.h>
#include <string.h>

#define BITS_PER_KEY 12
#define DRAWN 20000 // texts whose small words count as common
#define COUNTS ((size_t)1 << 19)

struct key {
	uint64_t lower;
	enum tdm_list list;
};
struct lists {
	struct key *keys;
	size_t n, cap;
	bool failed;
	enum tdm_list list; // of what is being read
	struct tdm_terms terms;
	struct tdm_error *error;
	struct {
		uint64_t lower;
		uint32_t n;
	} * counts; // open addressing
	size_t n_counts;
};

static void add_key(struct lists *l, uint64_t lower, enum tdm_list list) {
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 4096;
		struct key *keys = realloc(l->keys, cap * sizeof *keys);
		if (!keys) {
			l->failed = true;
			return;
		}
		l->keys = keys;
		l->cap = cap;
	}
	l->keys[l->n++] = (struct key){lower, list};
}

// One word is a key of its own; of two the pair; of more every word that is no small one.
static int add_item(void *arg, const char *item, size_t n) {
	struct lists *l = arg;
	l->terms.n = 0;
	int status = tdm_terms_cut(item, n, &l->terms, l->error);
	if (status != TDM_OK)
		return status;
	const struct tdm_term *t = l->terms.items;
	if (l->terms.n == 1)
		add_key(l, t[0].lower, l->list);
	else if (l->terms.n == 2)
		add_key(l, tdm_gazetteer_pair(t[0].lower, t[1].lower), l->list);
	for (size_t i = 0; l->terms.n > 2 && i + 1 < l->terms.n; i++)
		if (t[i].letters && t[i + 1].letters)
			add_key(l, tdm_gazetteer_pair(t[i].lower, t[i + 1].lower), l->list);
	return l->failed ? tdm_fail(l->error, TDM_ENOMEM, "fit-tagger: no memory for the lists") : TDM_OK;
}

static int add_lines(struct lists *l, enum tdm_list list, const char *data, size_t n) {
	int status = TDM_OK;
	l->list = list;
	for (size_t i = 0, length; data && i < n && status == TDM_OK; i += length + 1) {
		const char *end = memchr(data + i, '\n', n - i);
		length = end ? (size_t)(end - data) - i : n - i;
		bool is_capital = data[i] >= 'A' && data[i] <= 'Z'; // a name among the words
		if (length && !(list == TDM_LIST_WORD && is_capital))
			status = add_item(l, data + i, length);
	}
	return status;
}

static void count_word(struct lists *l, uint64_t lower, uint32_t by) {
	size_t at = tdm_term_mix(lower) % COUNTS;
	while (l->counts[at].n && l->counts[at].lower != lower)
		at = (at + 1) % COUNTS;
	if (l->counts[at].n == 0 && l->n_counts++ > COUNTS / 2) // half full: no more new ones
		return;
	l->counts[at].lower = lower;
	l->counts[at].n += by;
}

static int count_text(struct lists *l, const struct tdm_labelled *text, uint32_t by) {
	size_t span = 0;
	l->terms.n = 0;
	int status = tdm_terms_cut(text->text.data ? text->text.data : "", text->text.len, &l->terms, l->error);
	for (size_t i = 0; i < l->terms.n && status == TDM_OK; i++) {
		const struct tdm_term *t = &l->terms.items[i];
		while (span < text->n && text->spans[span].end <= t->start)
			span++;
		bool inside = span < text->n && text->spans[span].start < t->end;
		if (!inside && t->letters > 1 && t->digits == 0 && (t->caps == TDM_CAPS_NONE || t->first))
			count_word(l, t->lower, t->caps == TDM_CAPS_NONE ? by : 1);
	}
	return status;
}

// What is drawn shows a word of a template often, and a word of a file at least twice.
static int count_words(struct lists *l, const struct tdm_fit_lists *o) {
	struct tdm_labelled text = {0};
	struct tdm_rng rng;
	int status = TDM_OK;
	tdm_bytes_init(&text.text, (size_t)1 << 16);
	tdm_rng_stream(&rng, o->seed, "words", 0);
	for (int i = 0; i < DRAWN && status == TDM_OK; i++) {
		status = tdm_tagger_text_make(o->text, &rng, &text, l->error);
		if (status == TDM_OK)
			status = count_text(l, &text, 2);
	}
	for (size_t i = 0; o->corpus && i < o->corpus->n && status == TDM_OK; i++)
		status = count_text(l, &o->corpus->items[i], 1);
	for (size_t i = 0; i < COUNTS && status == TDM_OK; i++)
		if (l->counts[i].n > 1)
			add_key(l, l->counts[i].lower, TDM_LIST_WORD);
	tdm_bytes_release(&text.text);
	return status;
}

static int collect(struct lists *l, const struct tdm_fit_lists *o) {
	static const char *const names[TDM_N_LISTS] = {"first", "surname", "city",  "country",
	                                               "firm",  "word",    "group", "allow"};
	int status = TDM_OK;
	for (int list = 0; list < TDM_N_LISTS && status == TDM_OK; list++) {
		l->list = (enum tdm_list)list;
		status = tdm_tagger_text_items(o->text, names[list], add_item, l);
	}
	if (status == TDM_OK)
		status = add_lines(l, TDM_LIST_FIRST, o->first, o->n_first);
	if (status == TDM_OK)
		status = add_lines(l, TDM_LIST_WORD, o->words, o->n_words);
	return status == TDM_OK ? count_words(l, o) : status;
}

int tdm_fit_tagger_lists(const struct tdm_fit_lists *o, struct tdm_gazetteer *out, struct tdm_error *err) {
	struct lists l = {.error = err, .counts = calloc(COUNTS, sizeof *l.counts)};
	*out = (struct tdm_gazetteer){0};
	int status = l.counts ? collect(&l, o) : TDM_ENOMEM;
	uint32_t n = (uint32_t)(l.n * BITS_PER_KEY / 8 / TDM_GAZETTEER_BLOCK + 1);
	uint8_t *blocks = status == TDM_OK && !l.failed ? calloc(n, TDM_GAZETTEER_BLOCK) : NULL;
	for (size_t i = 0; i < l.n && blocks; i++)
		tdm_gazetteer_add(blocks, n, l.keys[i].list, l.keys[i].lower);
	if (blocks)
		*out = (struct tdm_gazetteer){blocks, n};
	else if (status == TDM_OK)
		status = TDM_ENOMEM;
	free(l.keys);
	free(l.counts);
	tdm_terms_release(&l.terms);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, status, "fit-tagger: no memory for the lists");
}
