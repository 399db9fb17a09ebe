// Sight: what protected values are seen by whom. See sight.h.
//
// The rule it protects: doubt counts as seen. A value is looked for as it is and without letter case and separators,
// and when there is no memory to look, the source counts as having seen it.
#include "eval/sight.h"
#include <ctype.h>
#include <string.h>

#define TEXT_LIMIT_BYTES ((size_t)16 << 20)
#define LEAST_PLAIN_BYTES 6 // shorter values are looked for as they are only

static bool is_source(const struct tdm_model *m) {
	return m->kind && m->kind->family == TDM_SOURCE;
}

static bool is_mask(const struct tdm_model *m) {
	return m->kind && m->kind->family == TDM_POLICY && m->kind->goal == TDM_GOAL_PRIVACY;
}

static size_t find(const struct tdm_model *const *sources, size_t n, const struct tdm_model *m) {
	size_t i = 0;
	while (i < n && sources[i] != m)
		i++;
	return i;
}

void tdm_sight_sources(const struct tdm_model *m, const struct tdm_model **sources, size_t *n, size_t cap) {
	if (is_source(m) && find(sources, *n, m) == *n && *n < cap)
		sources[(*n)++] = m;
	for (size_t i = 0; i < m->n_parts; i++)
		tdm_sight_sources(m->parts[i], sources, n, cap);
}

static bool leads_to(const struct tdm_model *m, const struct tdm_model *source, bool around_masks) {
	if (m == source)
		return true;
	for (size_t i = 0; i < m->n_parts && !(around_masks && is_mask(m)); i++)
		if (leads_to(m->parts[i], source, around_masks))
			return true;
	return false;
}

void tdm_sight_covered(const struct tdm_model *m, const struct tdm_model *const *sources, size_t n, bool *covered) {
	for (size_t i = 0; i < n; i++)
		covered[i] = leads_to(m, sources[i], false) && !leads_to(m, sources[i], true);
}

// Letters and digits alone, small.
static void plain(struct tdm_bytes *out, const char *text, size_t n) {
	tdm_bytes_clear(out);
	for (size_t i = 0; i < n; i++)
		if (isalnum((unsigned char)text[i]))
			tdm_bytes_putc(out, (char)tolower((unsigned char)text[i]));
}

static bool contains(struct tdm_sight *s, const char *value, const char *bytes, size_t n) {
	size_t len = strlen(value);
	if (memmem(bytes, n, value, len))
		return true;
	plain(&s->value, value, len);
	if (s->value.failed || s->text.failed)
		return true;
	return s->value.len >= LEAST_PLAIN_BYTES && s->text.len &&
	       memmem(s->text.data, s->text.len, s->value.data, s->value.len);
}

static void saw(struct tdm_tap *tap, const struct tdm_model *source, const char *bytes, size_t n) {
	struct tdm_sight *s = (struct tdm_sight *)tap;
	size_t at = find(s->sources, s->n_sources, source);
	bool covered = at < s->n_sources && s->covered[at], seen = false;
	pthread_mutex_lock(&s->lock);
	plain(&s->text, bytes, n);
	for (size_t i = 0; i < s->item->n_protected && !seen; i++)
		seen = contains(s, s->item->protected_values[i], bytes, n);
	s->leaked |= seen && covered;
	s->exposed |= seen && !covered;
	s->left |= seen && source->leaves;
	pthread_mutex_unlock(&s->lock);
}

void tdm_sight_init(struct tdm_sight *s, const struct tdm_gym_item *item, const struct tdm_model *const *sources,
                    const bool *covered, size_t n_sources) {
	*s = (struct tdm_sight){.tap = {.saw = saw}, .item = item, .sources = sources};
	s->covered = covered;
	s->n_sources = n_sources;
	pthread_mutex_init(&s->lock, NULL);
	tdm_bytes_init(&s->value, TEXT_LIMIT_BYTES);
	tdm_bytes_init(&s->text, TEXT_LIMIT_BYTES);
}

void tdm_sight_release(struct tdm_sight *s) {
	tdm_bytes_release(&s->value);
	tdm_bytes_release(&s->text);
	pthread_mutex_destroy(&s->lock);
}
