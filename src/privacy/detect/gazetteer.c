// Gazetteer: see gazetteer.h.
#include "privacy/detect/gazetteer.h"

#define PROBES 6

// Six bits in a block of 512 for one word on one list.
static uint64_t probes_of(uint64_t lower, enum tdm_list list) {
	return tdm_term_mix(lower + UINT64_C(0x9e3779b97f4a7c15) * ((uint64_t)list + 1));
}

static const uint8_t *block_of(const struct tdm_gazetteer *g, uint64_t lower) {
	uint64_t h = tdm_term_mix(lower);
	return g->blocks + (((h >> 32) * g->n_blocks) >> 32) * TDM_GAZETTEER_BLOCK;
}

static bool has(const uint8_t *block, uint64_t lower, enum tdm_list list) {
	uint64_t bits = probes_of(lower, list);
	for (int i = 0; i < PROBES; i++, bits >>= 9)
		if (!(block[(bits & 511) >> 3] >> (bits & 7) & 1))
			return false;
	return true;
}

void tdm_gazetteer_add(uint8_t *blocks, uint32_t n_blocks, enum tdm_list list, uint64_t lower) {
	struct tdm_gazetteer g = {blocks, n_blocks};
	uint8_t *block = blocks + (block_of(&g, lower) - blocks);
	uint64_t bits = probes_of(lower, list);
	for (int i = 0; i < PROBES; i++, bits >>= 9)
		block[(bits & 511) >> 3] |= (uint8_t)(1 << (bits & 7));
}

static unsigned find(const struct tdm_gazetteer *g, uint64_t lower, unsigned wanted) {
	unsigned found = 0;
	const uint8_t *block = block_of(g, lower);
	for (int list = 0; list < TDM_N_LISTS; list++)
		if (wanted >> list & 1)
			found |= (unsigned)has(block, lower, (enum tdm_list)list) << list;
	return found;
}

unsigned tdm_gazetteer_find(const struct tdm_gazetteer *g, uint64_t lower) {
	return g->n_blocks ? find(g, lower, ~0u) : 0;
}

uint64_t tdm_gazetteer_pair(uint64_t lower, uint64_t next) {
	return tdm_term_mix(lower * 3 + next);
}

static bool is_word(const struct tdm_gazetteer *g, const uint32_t *letters, int n) {
	uint64_t hash = TDM_TERM_SEED;
	for (int i = 0; i < n; i++)
		hash = tdm_term_step(hash, letters[i]);
	return n > 1 && has(block_of(g, hash), hash, TDM_LIST_WORD);
}

static bool ends(const uint32_t *letters, int n, const char *end, int n_end) {
	for (int i = 0; i < n_end; i++)
		if (n <= n_end || letters[n - n_end + i] != (unsigned char)end[i])
			return false;
	return true;
}

// "walks", "walked", "easily": another form of a common word. cut: letters to take off; add: one to put in their place.
static bool is_form_of(const struct tdm_gazetteer *g, uint32_t *letters, int n) {
	static const struct {
		char end[5];
		uint8_t n, cut;
		char add;
	} forms[] = {{"'s", 2, 2, 0},   {"s", 1, 1, 0},     {"es", 2, 2, 0},   {"ies", 3, 3, 'y'}, {"d", 1, 1, 0},
	             {"ed", 2, 2, 0},   {"ied", 3, 3, 'y'}, {"ing", 3, 3, 0},  {"ing", 3, 3, 'e'}, {"ings", 4, 4, 0},
	             {"ly", 2, 2, 0},   {"ily", 3, 3, 'y'}, {"er", 2, 2, 0},   {"r", 1, 1, 0},     {"est", 3, 3, 0},
	             {"ers", 3, 3, 0},  {"rs", 2, 2, 0},    {"ally", 4, 4, 0}, {"ness", 4, 4, 0},  {"less", 4, 4, 0},
	             {"able", 4, 4, 0}, {"ful", 3, 3, 0},   {"n't", 3, 3, 0},  {"'re", 3, 3, 0},   {"'ll", 3, 3, 0},
	             {"'ve", 3, 3, 0},  {"'m", 2, 2, 0},    {"'d", 2, 2, 0}};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		int left = n - forms[i].cut;
		if (!ends(letters, n, forms[i].end, forms[i].n))
			continue;
		if (is_word(g, letters, left) && !forms[i].add)
			return true;
		bool twice = left > 3 && letters[left - 1] == letters[left - 2]; // "running"
		if (!forms[i].add && forms[i].n > 1 && twice && is_word(g, letters, left - 1))
			return true;
		uint32_t kept = letters[left];
		letters[left] = (unsigned char)forms[i].add;
		bool is_it = forms[i].add && is_word(g, letters, left + 1);
		letters[left] = kept;
		if (is_it)
			return true;
	}
	return false;
}

// "well-known": both are; "e-mail": a letter before the dash says nothing.
static bool is_compound(const struct tdm_gazetteer *g, uint32_t *letters, int n) {
	for (int i = 1; i < n - 2; i++)
		if (letters[i] == '-')
			return (i == 1 || is_word(g, letters, i) || is_form_of(g, letters, i)) &&
			       (is_word(g, letters + i + 1, n - i - 1) || is_form_of(g, letters + i + 1, n - i - 1));
	return false;
}

static bool is_form(const struct tdm_gazetteer *g, const char *text, const struct tdm_term *t) {
	uint32_t letters[TDM_TERM_LETTERS];
	if (t->letters < 3 || t->script || t->end - t->start > TDM_TERM_LETTERS)
		return false;
	int n = tdm_term_lower(text, t, letters);
	return is_form_of(g, letters, n) || is_compound(g, letters, n);
}

static uint64_t without_owner(const char *text, const struct tdm_term *t) { // "Smith's" is Smith
	uint32_t letters[TDM_TERM_LETTERS];
	uint64_t hash = TDM_TERM_SEED;
	int n = tdm_term_lower(text, t, letters);
	for (int i = 0; i < n - 2; i++)
		hash = tdm_term_step(hash, letters[i]);
	return hash;
}

static bool has_owner(const char *text, const struct tdm_term *t) {
	size_t n = t->end - t->start;
	return n > 3 && n < TDM_TERM_LETTERS && (text[t->end - 1] | 32) == 's' &&
	       (text[t->end - 2] == '\'' || (n > 5 && (unsigned char)text[t->end - 2] == 0x99));
}

static unsigned lists_of(const struct tdm_gazetteer *g, const char *text, const struct tdm_term *t) {
	unsigned found = tdm_gazetteer_find(g, t->lower);
	if (has_owner(text, t))
		found |= tdm_gazetteer_find(g, without_owner(text, t));
	if (!(found >> TDM_LIST_WORD & 1) && is_form(g, text, t))
		found |= 1u << TDM_LIST_WORD;
	return found;
}

#define KNOWN 512 // words whose lists are remembered: most words of a text stand there more than once

void tdm_gazetteer_mark(const struct tdm_gazetteer *g, const char *text, struct tdm_term *terms, size_t n) {
	const unsigned pairs = 1 << TDM_LIST_CITY | 1 << TDM_LIST_COUNTRY | 1 << TDM_LIST_FIRM;
	struct {
		uint64_t lower;
		unsigned lists;
	} known[KNOWN] = {{0}};
	for (size_t i = 0; i < n && g->n_blocks; i++)
		terms[i].lists = 0;
	for (size_t i = 0; i < n && g->n_blocks; i++) {
		struct tdm_term *t = &terms[i];
		size_t at = tdm_term_mix(t->lower) % KNOWN;
		if (t->letters == 0)
			continue;
		if (known[at].lower != t->lower) {
			known[at].lower = t->lower;
			known[at].lists = lists_of(g, text, t);
		}
		t->lists |= (uint8_t)known[at].lists;
		if (i + 1 < n && terms[i + 1].letters) {
			unsigned both = find(g, tdm_gazetteer_pair(t->lower, terms[i + 1].lower), pairs);
			t->lists |= (uint8_t)both;
			terms[i + 1].lists |= (uint8_t)both;
		}
	}
}
