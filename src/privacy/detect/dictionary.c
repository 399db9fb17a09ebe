// Dictionary: see dictionary.h. Two automata in one pass over the text: one over its bytes, one over the same bytes
// without separators, with a ring that remembers where each of the last characters stood.
#include "privacy/detect/dictionary.h"
#include "base/automaton.h"
#include "base/view.h"
#include <string.h>

#define RING 64 // longest value that is searched without separators; a power of two
#define SHORTEST 3

static bool known(const struct tdm_dictionary *d, const char *folded, size_t n) {
	for (size_t i = 0; i < d->n; i++)
		if (d->items[i].n == n && memcmp(d->items[i].folded, folded, n) == 0)
			return true;
	return false;
}

static int grow(struct tdm_dictionary *d, struct tdm_arena *arena) {
	size_t cap = d->cap ? d->cap * 2 : 16;
	struct tdm_protected *items = tdm_arena_array(arena, cap, sizeof *items);
	if (!items)
		return TDM_ENOMEM;
	if (d->n)
		memcpy(items, d->items, d->n * sizeof *items);
	d->items = items;
	d->cap = cap;
	return TDM_OK;
}

static char *without_separators(struct tdm_arena *arena, const char *text, size_t n, size_t *m) {
	char *out = tdm_arena_alloc(arena, n + 1);
	*m = 0;
	for (size_t i = 0; out && i < n; i++)
		if (!tdm_separator(text[i]))
			out[(*m)++] = text[i];
	return out;
}

int tdm_dictionary_add(struct tdm_dictionary *d, struct tdm_arena *arena, const struct tdm_entity *entity,
                       const char *folded, size_t n) {
	if (n < SHORTEST || known(d, folded, n))
		return TDM_OK;
	if (d->n == d->cap && grow(d, arena) != TDM_OK)
		return TDM_ENOMEM;
	struct tdm_protected item = {.entity = entity, .n = n, .folded = tdm_arena_copy(arena, folded, n)};
	if (entity->flags & TDM_ENTITY_GROUPED) {
		item.bare = without_separators(arena, folded, n, &item.n_bare);
		if (!item.bare)
			return TDM_ENOMEM;
		if (item.n_bare < SHORTEST || item.n_bare > RING)
			item.bare = NULL;
		else
			d->bare_bytes += item.n_bare;
	}
	if (!item.folded)
		return TDM_ENOMEM;
	d->bytes += n;
	d->items[d->n++] = item;
	return TDM_OK;
}

const struct tdm_entity *tdm_dictionary_number(const struct tdm_dictionary *d, const char *folded, size_t n) {
	char bare[RING];
	size_t m = 0;
	for (size_t i = 0; i < n && m < RING; i++)
		if (!tdm_separator(folded[i]))
			bare[m++] = folded[i];
	for (size_t i = 0; m < RING && i < d->n; i++)
		if (d->items[i].bare && d->items[i].n_bare == m && memcmp(d->items[i].bare, bare, m) == 0)
			return d->items[i].entity;
	return NULL;
}

int tdm_dictionary_build(struct tdm_dictionary *d, struct tdm_arena *arena) {
	int status = TDM_OK;
	d->folded = tdm_automaton_new(arena, d->bytes);
	d->bare = tdm_automaton_new(arena, d->bare_bytes);
	if (!d->folded || !d->bare)
		return TDM_ENOMEM;
	for (size_t i = 0; i < d->n && status == TDM_OK; i++) {
		status = tdm_automaton_add(d->folded, d->items[i].folded, d->items[i].n, (int)i);
		if (status == TDM_OK && d->items[i].bare)
			status = tdm_automaton_add(d->bare, d->items[i].bare, d->items[i].n_bare, (int)i);
	}
	if (status == TDM_OK)
		status = tdm_automaton_build(d->folded);
	return status == TDM_OK ? tdm_automaton_build(d->bare) : status;
}

struct search {
	const struct tdm_dictionary *d;
	const char *text;
	size_t n;
	tdm_dictionary_fn *found;
	void *arg;
	size_t ring[RING], n_ring; // offsets of the characters the second automaton has read
};

static int report(struct search *s, int id, size_t start, size_t end) {
	if (!tdm_whole_word(s->text, s->n, start, end))
		return TDM_OK;
	return s->found(s->arg, s->d->items[id].entity, start, end);
}

static int matches(struct search *s, const struct tdm_automaton *a, uint32_t state, size_t end, bool bare) {
	size_t length;
	int id, status = TDM_OK;
	while (status == TDM_OK && (id = tdm_automaton_match(a, state, &length, &state)) >= 0)
		status = report(s, id, bare ? s->ring[(s->n_ring - length) % RING] : end - length, end);
	return status;
}

int tdm_dictionary_search(const struct tdm_dictionary *d, const char *text, size_t n, tdm_dictionary_fn *found,
                          void *arg) {
	struct search s = {.d = d, .text = text, .n = n, .found = found, .arg = arg};
	uint32_t state = 0, bare = 0;
	int status = TDM_OK;
	if (d->n == 0)
		return TDM_OK;
	for (size_t i = 0; i < n && status == TDM_OK; i++) {
		unsigned char c = (unsigned char)text[i];
		state = tdm_automaton_step(d->folded, state, c);
		if (state)
			status = matches(&s, d->folded, state, i + 1, false);
		if (status != TDM_OK || d->bare_bytes == 0 || tdm_separator((char)c))
			continue;
		s.ring[s.n_ring++ % RING] = i;
		bare = tdm_automaton_step(d->bare, bare, c);
		if (bare)
			status = matches(&s, d->bare, bare, i + 1, true);
	}
	return status;
}
