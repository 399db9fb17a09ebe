// Features: see tagger_features.h.
#include "privacy/detect/tagger_features.h"
#include "base/text.h"
#include <string.h>

static uint64_t shape_of(uint32_t c) {
	if (c >= '0' && c <= '9')
		return '0';
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? 'A' : c >= 'a' && c <= 'z' ? 'a' : c;
	return tdm_char_lower(c) != c ? 'A' : 'a';
}

// The word as written and its shapes: each character to A, a, 0 or itself, and the same with runs made one.
static void read_spelling(const char *text, const struct tdm_term *term, struct tdm_facts *out) {
	uint64_t last = 0;
	uint32_t c;
	out->word = out->shape = out->brief = TDM_TERM_SEED;
	for (size_t i = term->start; i < term->end;) {
		i += tdm_utf8_next(text + i, term->end - i, &c);
		uint64_t shape = shape_of(c);
		out->word = tdm_term_step(out->word, c);
		out->shape = tdm_term_step(out->shape, (uint32_t)shape);
		if (shape != last)
			out->brief = tdm_term_step(out->brief, (uint32_t)shape);
		last = shape;
	}
}

void tdm_facts_read(const char *text, const struct tdm_term *term, struct tdm_facts *out) {
	uint32_t letters[TDM_TERM_LETTERS];
	int n = tdm_term_lower(text, term, letters);
	uint64_t front = TDM_TERM_SEED, back = TDM_TERM_SEED;
	read_spelling(text, term, out);
	out->lower = term->lower;
	for (int i = 0; i < 4; i++) {
		front = i < n ? tdm_term_step(front, letters[i]) : front;
		back = i < n ? tdm_term_step(back, letters[n - 1 - i]) : back;
		out->prefix[i] = front;
		out->suffix[i] = back;
	}
	out->lists = term->lists;
	out->memory = term->memory;
	out->caps = term->caps;
	out->first = term->first;
}

struct list {
	uint64_t *out;
	int n;
};

static void put(struct list *l, uint64_t template, uint64_t value) {
	l->out[l->n++] = tdm_term_mix(value + template * UINT64_C(0x9e3779b97f4a7c15));
}

static uint64_t both(uint64_t a, uint64_t b) {
	return (a ^ (a >> 29)) * UINT64_C(0x9fb21c651e98df25) + b;
}

static void put_own(struct list *l, const struct tdm_facts *f) {
	put(l, 1, f->word);
	put(l, 2, f->lower);
	for (unsigned i = 0; i < 4; i++) {
		put(l, 3 + i, f->prefix[i]);
		put(l, 7 + i, f->suffix[i]);
	}
	put(l, 11, f->shape);
	put(l, 12, f->brief);
	put(l, 13, both(f->brief, f->first));
	put(l, 14, f->memory * 8u + f->caps * 2u + f->first);
	put(l, 15, both(f->lists, f->caps * 2u + f->first));
	put(l, 16, f->lists);
}

static void put_around(struct list *l, const struct tdm_facts *b2, const struct tdm_facts *b1,
                       const struct tdm_facts *f, const struct tdm_facts *a1, const struct tdm_facts *a2) {
	put(l, 20, b2->lower);
	put(l, 21, b1->lower);
	put(l, 22, a1->lower);
	put(l, 23, a2->lower);
	put(l, 24, both(b1->lower, f->lower));
	put(l, 25, both(f->lower, a1->lower));
	put(l, 26, both(b2->lower, b1->lower));
	put(l, 27, both(a1->lower, a2->lower));
	put(l, 28, both(b1->lower, a1->lower));
	put(l, 29, b1->brief);
	put(l, 30, a1->brief);
	put(l, 31, both(both(b1->brief, f->brief), a1->brief));
	put(l, 32, b1->suffix[2]);
	put(l, 33, a1->suffix[2]);
	put(l, 34, both(b1->lower, f->brief));
	put(l, 35, both(a1->lower, f->brief));
	put(l, 36, both(both(b2->lower, b1->lower), f->brief));
	put(l, 37, b1->lists);
	put(l, 38, a1->lists);
	put(l, 39, both(b1->lists, f->lists));
	put(l, 40, both(f->lists, a1->lists));
	put(l, 41, both(both(b1->lists, f->lists), a1->lists));
	put(l, 42, both(b1->lower, f->lists));
	put(l, 43, both(a1->lower, f->lists));
	put(l, 44, both(both(b2->lower, b1->lower), f->lists));
	put(l, 45, both(both(b1->lists, f->lists), both(f->caps, b1->caps * 4u + a1->caps)));
}

static void put_lists(struct list *l, unsigned lists, unsigned template) {
	for (unsigned i = 0; i < 8; i++)
		if (lists >> i & 1)
			put(l, template + i, 1);
}

int tdm_features_of(const struct tdm_facts *facts, size_t n, size_t i, uint64_t out[TDM_TAGGER_FEATURES]) {
	static const struct tdm_facts begin = {.lower = 1, .brief = 1, .suffix = {1, 1, 1, 1}},
	                              end = {.lower = 2, .brief = 2, .suffix = {2, 2, 2, 2}};
	struct list l = {out, 0};
	const struct tdm_facts *f = &facts[i];
	const struct tdm_facts *b1 = i > 0 ? f - 1 : &begin, *b2 = i > 1 ? f - 2 : &begin;
	const struct tdm_facts *a1 = i + 1 < n ? f + 1 : &end, *a2 = i + 2 < n ? f + 2 : &end;
	put_own(&l, f);
	put_around(&l, b2, b1, f, a1, a2);
	put_lists(&l, f->lists, 50);
	put_lists(&l, b1->lists, 60);
	put_lists(&l, a1->lists, 70);
	return l.n;
}

void tdm_memory_mark(struct tdm_term *terms, size_t n, uint8_t *seen) {
	for (size_t i = 0; i < n; i++)
		if (terms[i].letters && !terms[i].first && terms[i].caps != TDM_CAPS_ALL)
			seen[tdm_term_mix(terms[i].lower) % TDM_MEMORY_BYTES] |=
			    terms[i].caps ? TDM_MEMORY_CAPITAL : TDM_MEMORY_SMALL;
	for (size_t i = 0; i < n; i++)
		terms[i].memory = terms[i].letters ? seen[tdm_term_mix(terms[i].lower) % TDM_MEMORY_BYTES] : 0;
}
