// Terms: see terms.h. Linear in the text: no rule looks further back than one term or further ahead than one character.
#include "privacy/detect/terms.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

uint8_t tdm_script_of(uint32_t c) {
	static const struct {
		uint32_t first, last;
		enum tdm_script script;
	} ranges[] = {
	    {0x370, 0x3FF, TDM_SCRIPT_GREEK},      {0x400, 0x52F, TDM_SCRIPT_CYRILLIC},
	    {0x530, 0x58F, TDM_SCRIPT_ARMENIAN},   {0x590, 0x5FF, TDM_SCRIPT_HEBREW},
	    {0x600, 0x8FF, TDM_SCRIPT_ARABIC},     {0x900, 0xDFF, TDM_SCRIPT_INDIC},
	    {0xE00, 0xEFF, TDM_SCRIPT_THAI},       {0x1000, 0x109F, TDM_SCRIPT_KHMER},
	    {0x10A0, 0x10FF, TDM_SCRIPT_GEORGIAN}, {0x1100, 0x11FF, TDM_SCRIPT_HANGUL},
	    {0x1200, 0x137F, TDM_SCRIPT_ETHIOPIC}, {0x1780, 0x17FF, TDM_SCRIPT_KHMER},
	    {0x1F00, 0x1FFF, TDM_SCRIPT_GREEK},    {0x2E80, 0x312F, TDM_SCRIPT_HAN},
	    {0x3130, 0x318F, TDM_SCRIPT_HANGUL},   {0x31A0, 0x9FFF, TDM_SCRIPT_HAN},
	    {0xAC00, 0xD7FF, TDM_SCRIPT_HANGUL},   {0xF900, 0xFAFF, TDM_SCRIPT_HAN},
	    {0xFB50, 0xFDFF, TDM_SCRIPT_ARABIC},   {0xFE70, 0xFEFF, TDM_SCRIPT_ARABIC},
	    {0xFF66, 0xFF9F, TDM_SCRIPT_HAN},      {0x20000, 0x323AF, TDM_SCRIPT_HAN},
	};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return (uint8_t)ranges[i].script;
	return TDM_SCRIPT_LATIN;
}

static bool is_digit(uint32_t c) {
	return c >= '0' && c <= '9';
}

static bool is_word(uint32_t c) {
	if (c < 0x80)
		return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z');
	enum tdm_char_kind kind = tdm_char_kind(c);
	return kind == TDM_CHAR_OTHER || kind == TDM_CHAR_MARK;
}

static bool is_inner(uint32_t c) {
	return c == '\'' || c == 0x2019 || c == '.' || c == '@' || c == '&' || c == '-' || c == '_';
}

static uint32_t lower_of(uint32_t c) {
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 32 : c;
	return tdm_char_lower(c);
}

bool tdm_among(const char *list, const char *word, size_t n) {
	for (const char *p = list; (p = strchr(p, ' ')); p++)
		if (strncmp(p + 1, word, n) == 0 && p[1 + n] == ' ')
			return n > 0;
	return false;
}

uint64_t tdm_term_hash(const char *lower, size_t n) {
	uint64_t hash = TDM_TERM_SEED;
	uint32_t c;
	for (size_t i = 0; i < n;) {
		i += tdm_utf8_next(lower + i, n - i, &c);
		hash = tdm_term_step(hash, c == 0x2019 ? '\'' : c);
	}
	return hash;
}

int tdm_term_lower(const char *text, const struct tdm_term *term, uint32_t out[TDM_TERM_LETTERS]) {
	int n = 0;
	uint32_t c;
	for (size_t i = term->start; i < term->end;) {
		i += tdm_utf8_next(text + i, term->end - i, &c);
		if (n == TDM_TERM_LETTERS) { // the last ones move up
			memmove(out + n / 2, out + n / 2 + 1, ((size_t)n / 2 - 1) * sizeof *out);
			n--;
		}
		out[n++] = lower_of(c == 0x2019 ? '\'' : c);
	}
	return n;
}

struct cutter {
	const char *text;
	size_t n, at;
	struct tdm_terms *out;
	bool first, line;     // what the next term is
	struct tdm_term last; // zero at the beginning
};

static void count(uint8_t *n) {
	if (*n < 255)
		(*n)++;
}

// One character of a word joins it.
static void take(struct tdm_term *t, uint32_t c, size_t *capitals, size_t *smalls) {
	uint32_t lower = lower_of(c);
	if (is_digit(c)) {
		count(&t->digits);
	} else if (is_word(c)) {
		*capitals += lower != c;
		*smalls += lower == c;
		if (t->letters == 0) {
			t->script = tdm_script_of(c);
			t->caps = lower != c;
		}
		count(&t->letters);
	}
	t->lower = tdm_term_step(t->lower, c == 0x2019 ? '\'' : lower);
}

// Whether the word goes on with c, of which the first byte stands at `at`; *step: how many bytes to the next
// character of a word.
static bool goes_on(const struct cutter *k, const struct tdm_term *t, size_t at, uint32_t c, size_t bytes) {
	uint32_t next;
	if (is_word(c))
		return is_digit(c) || t->letters == 0 || tdm_script_of(c) == t->script;
	if (!is_inner(c) || at + bytes >= k->n)
		return false;
	tdm_utf8_next(k->text + at + bytes, k->n - at - bytes, &next);
	return is_word(next) && (is_digit(next) || t->letters == 0 || tdm_script_of(next) == t->script);
}

static void read_word(struct cutter *k, struct tdm_term *t) {
	size_t capitals = 0, smalls = 0, bytes;
	uint32_t c;
	while (k->at < k->n) {
		bytes = tdm_utf8_next(k->text + k->at, k->n - k->at, &c);
		if (!goes_on(k, t, k->at, c, bytes))
			break;
		take(t, c, &capitals, &smalls);
		k->at += bytes;
	}
	if (capitals > 1 && smalls == 0)
		t->caps = TDM_CAPS_ALL;
	else if (capitals > (size_t)(t->caps == TDM_CAPS_FIRST))
		t->caps = TDM_CAPS_MIXED;
}

static int add(struct cutter *k, const struct tdm_term *t, struct tdm_error *err) {
	struct tdm_terms *out = k->out;
	if (out->n == out->cap) {
		size_t cap = out->cap ? out->cap * 2 : 64;
		struct tdm_term *items = realloc(out->items, cap * sizeof *items);
		if (!items)
			return tdm_fail(err, TDM_ENOMEM, "no memory for the %zu words of a text", cap);
		out->items = items;
		out->cap = cap;
	}
	out->items[out->n++] = *t;
	return TDM_OK;
}

// Whether a dot behind this word is part of it: a title, a street, a single letter.
static bool abbreviates(const struct cutter *k, const struct tdm_term *t) {
	static const char words[] =
	    " mr mrs ms dr prof st sr jr rev hon gen col sgt capt lt mme mlle dott sig sra dra ing dipl hr fr ave blvd rd "
	    "ln "
	    "apt ste no nr vs inc ltd co corp dept univ str av bd via esq mt ft messrs mx p.o bldg fl tel attn ";
	char word[12];
	size_t n = t->end - t->start;
	if (n == 1 && t->caps == TDM_CAPS_FIRST)
		return true;
	if (n == 0 || n > sizeof word - 3)
		return false;
	word[0] = word[n + 1] = ' ';
	word[n + 2] = 0;
	for (size_t i = 0; i < n; i++)
		word[i + 1] = (char)lower_of((unsigned char)k->text[t->start + i]);
	return strstr(words, word) != NULL;
}

static bool ends_sentence(const struct cutter *k, uint32_t c) {
	if (c == '!' || c == '?' || c == 0x3002)
		return true;
	return c == '.' && !(k->last.end == k->at - 1 && k->last.letters && abbreviates(k, &k->last));
}

static bool skip_spaces(struct cutter *k) {
	uint32_t c;
	while (k->at < k->n) {
		size_t bytes = tdm_utf8_next(k->text + k->at, k->n - k->at, &c);
		if (c == '\n' || c == '\r')
			k->first = k->line = true;
		else if (c != ' ' && c != '\t' && (c < 0x80 || tdm_char_kind(c) != TDM_CHAR_SPACE))
			return true;
		k->at += bytes;
	}
	return false;
}

int tdm_terms_cut(const char *text, size_t n, struct tdm_terms *out, struct tdm_error *err) {
	struct cutter k = {.text = text, .n = n, .out = out, .first = true, .line = true};
	int status = TDM_OK;
	while (status == TDM_OK && skip_spaces(&k)) {
		struct tdm_term t = {.start = (uint32_t)k.at, .lower = TDM_TERM_SEED, .first = k.first, .line = k.line};
		uint32_t c;
		size_t bytes = tdm_utf8_next(text + k.at, n - k.at, &c);
		k.line = false;
		if (is_word(c)) {
			k.first = false;
			read_word(&k, &t);
		} else {
			k.at += bytes;
			t.lower = tdm_term_step(t.lower, c);
			// quotes, dashes and brackets at a beginning leave the next word the first one
			k.first = ends_sentence(&k, c) || (t.first && c != ',' && c != ':' && c != '.');
		}
		t.end = (uint32_t)k.at;
		k.last = t;
		status = add(&k, &t, err);
	}
	return status;
}

void tdm_terms_take(struct tdm_terms *terms, size_t start, size_t end) {
	size_t low = 0, high = terms->n;
	while (low < high) { // the first one that ends behind start
		size_t middle = low + (high - low) / 2;
		if (terms->items[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	while (low < terms->n && terms->items[low].start < end)
		terms->items[low++].taken = true;
}

void tdm_terms_release(struct tdm_terms *terms) {
	free(terms->items);
	*terms = (struct tdm_terms){0};
}
