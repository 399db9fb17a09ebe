// Tagger corpus: see tagger_corpus.h.
#include "learn/tagger_corpus.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define TEXT_LIMIT_BYTES ((size_t)1 << 16)

void tdm_tagger_corpus_release(struct tdm_tagger_corpus *c) {
	for (size_t i = 0; i < c->n; i++)
		tdm_bytes_release(&c->items[i].text);
	free(c->items);
	*c = (struct tdm_tagger_corpus){0};
}

int tdm_tagger_corpus_add(struct tdm_tagger_corpus *c, const struct tdm_labelled *text, struct tdm_error *err) {
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 256;
		struct tdm_labelled *items = realloc(c->items, cap * sizeof *items);
		if (!items)
			return tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory for %zu texts", cap);
		c->items = items;
		c->cap = cap;
	}
	struct tdm_labelled *copy = &c->items[c->n];
	*copy = *text;
	tdm_bytes_init(&copy->text, TEXT_LIMIT_BYTES);
	tdm_bytes_add(&copy->text, text->text.data ? text->text.data : "", text->text.len);
	if (copy->text.failed) {
		tdm_bytes_release(&copy->text);
		return tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory for a text of %zu bytes", text->text.len);
	}
	c->n++;
	return TDM_OK;
}

// --- CoNLL

struct reader {
	struct tdm_tagger_corpus *corpus;
	struct tdm_labelled now;
	bool is_open, unknown; // a span goes on; a label that is not learned
};

static int kind_of(const char *label, size_t n) {
	static const struct {
		const char *name;
		enum tdm_tag_kind kind;
	} kinds[] = {
	    {"person", TDM_TAG_PER}, {"location", TDM_TAG_LOC}, {"corporation", TDM_TAG_ORG}, {"group", TDM_TAG_ORG}};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strlen(kinds[i].name) == n && memcmp(kinds[i].name, label, n) == 0)
			return (int)kinds[i].kind;
	return -1;
}

static bool stands_apart(const struct tdm_bytes *text, const char *word) {
	if (text->len == 0 || memchr(".,!?;:)'%", *word, 9))
		return false;
	return !memchr("($#@", text->data[text->len - 1], 4);
}

static void read_token(struct reader *r, const char *word, size_t n, const char *label, size_t n_label) {
	struct tdm_labelled *t = &r->now;
	if (stands_apart(&t->text, word))
		tdm_bytes_putc(&t->text, ' ');
	uint32_t start = (uint32_t)t->text.len;
	tdm_bytes_add(&t->text, word, n);
	if (n_label < 3 || label[1] != '-') {
		r->is_open = false;
		return;
	}
	int kind = kind_of(label + 2, n_label - 2);
	r->unknown = r->unknown || kind < 0;
	if (kind >= 0 && *label == 'I' && r->is_open && t->n)
		t->spans[t->n - 1].end = (uint32_t)t->text.len;
	else if (kind >= 0 && t->n < TDM_TAG_SPANS)
		t->spans[t->n++] = (struct tdm_tag_span){start, (uint32_t)t->text.len, (enum tdm_tag_kind)kind};
	r->is_open = kind >= 0;
}

static int end_sentence(struct reader *r, struct tdm_error *err) {
	int status = r->now.text.len && !r->unknown ? tdm_tagger_corpus_add(r->corpus, &r->now, err) : TDM_OK;
	tdm_bytes_clear(&r->now.text);
	r->now.n = 0;
	r->is_open = r->unknown = false;
	return status;
}

int tdm_tagger_corpus_conll(struct tdm_tagger_corpus *c, const char *data, size_t n, struct tdm_error *err) {
	struct reader r = {.corpus = c};
	int status = TDM_OK;
	tdm_bytes_init(&r.now.text, TEXT_LIMIT_BYTES);
	for (size_t i = 0, length; i < n && status == TDM_OK; i += length + 1) {
		const char *end = memchr(data + i, '\n', n - i), *line = data + i;
		length = end ? (size_t)(end - line) : n - i;
		const char *tab = memchr(line, '\t', length);
		size_t word = tab ? (size_t)(tab - line) : 0, label = tab ? length - word - 1 : 0;
		while (label && (tab[label] == '\r' || tab[label] == ' '))
			label--;
		if (word == 0)
			status = end_sentence(&r, err);
		else
			read_token(&r, line, word, tab + 1, label);
	}
	if (status == TDM_OK)
		status = end_sentence(&r, err);
	tdm_bytes_release(&r.now.text);
	return status;
}

// --- plain text

// Labels the first names; false: there is another capital, and what it stands for is not known.
static bool label_names(struct tdm_labelled *t, const struct tdm_gazetteer *lists, const struct tdm_terms *terms) {
	for (size_t i = 0; i < terms->n; i++) {
		const struct tdm_term *term = &terms->items[i];
		unsigned on = term->caps ? tdm_gazetteer_find(lists, term->lower) : 0;
		bool is_name = on >> TDM_LIST_FIRST & 1 && !(on >> TDM_LIST_WORD & 1) && term->caps == TDM_CAPS_FIRST;
		if (is_name && t->n < TDM_TAG_SPANS)
			t->spans[t->n++] = (struct tdm_tag_span){term->start, term->end, TDM_TAG_PER};
		else if (term->caps && !term->first && term->letters > 1 && !(on >> TDM_LIST_ALLOW & 1))
			return false;
	}
	return true;
}

int tdm_tagger_corpus_plain(struct tdm_tagger_corpus *c, const struct tdm_gazetteer *lists, const char *data, size_t n,
                            struct tdm_error *err) {
	struct tdm_labelled now = {0};
	struct tdm_terms terms = {0};
	int status = TDM_OK;
	tdm_bytes_init(&now.text, TEXT_LIMIT_BYTES);
	for (size_t i = 0, length; i < n && status == TDM_OK; i += length + 1) {
		const char *end = memchr(data + i, '\n', n - i);
		length = end ? (size_t)(end - data) - i : n - i;
		if (length == 0 || length > TEXT_LIMIT_BYTES / 2)
			continue;
		tdm_bytes_clear(&now.text);
		tdm_bytes_add(&now.text, data + i, length);
		now.n = terms.n = 0;
		status = tdm_terms_cut(now.text.data, now.text.len, &terms, err);
		if (status == TDM_OK && label_names(&now, lists, &terms))
			status = tdm_tagger_corpus_add(c, &now, err);
	}
	tdm_terms_release(&terms);
	tdm_bytes_release(&now.text);
	return status;
}

// --- case of letters

static uint32_t upper_of(uint32_t c) { // of the letters that have the same length in both cases
	if (c < 0x80)
		return c >= 'a' && c <= 'z' ? c - 32 : c;
	if ((c >= 0xE0 && c <= 0xFE && c != 0xF7) || (c >= 0x430 && c <= 0x44F) || (c >= 0x3B1 && c <= 0x3C9 && c != 0x3C2))
		return c - 32;
	return c >= 0x100 && c < 0x180 && tdm_char_lower(c - 1) == c ? c - 1 : c;
}

void tdm_labelled_case(struct tdm_labelled *text, enum tdm_case how) {
	char *data = text->text.data, put[4];
	bool inside = false; // of a word
	uint32_t c;
	for (size_t i = 0, n; how != TDM_CASE_SAME && i < text->text.len; i += n) {
		n = tdm_utf8_next(data + i, text->text.len - i, &c);
		uint32_t changed = how == TDM_CASE_LOWER              ? tdm_char_lower(c)
		                   : how == TDM_CASE_UPPER || !inside ? upper_of(c)
		                                                      : c;
		if (changed != c && tdm_utf8_put(put, changed) == n)
			memcpy(data + i, put, n);
		inside = c == '\'' || c >= 0x80 || (c | 32) - 'a' < 26u || c - '0' < 10u;
	}
}
