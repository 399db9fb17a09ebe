// Detector: made from the operator's lists and patterns, for the mask and for the commands that look at texts.
#include "privacy/detect/detect.h"
#include <string.h>

static int read_deny(struct tdm_arena *arena, const char *where, const struct tdm_strings *deny,
                     struct tdm_dictionary *out, struct tdm_error *err) {
	struct tdm_view view;
	int status = TDM_OK;
	for (size_t i = 0; i < deny->n && status == TDM_OK; i++) {
		status = tdm_view_make(arena, deny->items[i], strlen(deny->items[i]), true, &view, err);
		if (status == TDM_OK && view.n < 3)
			status = tdm_fail(err, TDM_ECONFIG, "%s: deny: item %zu has fewer than 3 characters", where, i + 1);
		if (status == TDM_OK)
			status = tdm_dictionary_add(out, arena, tdm_entity_deny, view.text, view.n);
	}
	if (status == TDM_OK)
		status = tdm_dictionary_build(out, arena);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, status, "%s: no memory for the deny list", where);
}

static int read_embedded(const char *where, const struct tdm_detector_lists *lists, const char *name,
                         struct tdm_tagger *out, struct tdm_error *err) {
	size_t n = 0;
	const void *data = lists->embedded ? lists->embedded(name, &n) : NULL;
	if (!data)
		return tdm_fail(err, TDM_ECONFIG, "%s: weights: this program holds no \"%s\"; give the path of a file", where,
		                name);
	return tdm_tagger_read(data, n, name, out, err);
}

static int open_tagger(struct tdm_arena *arena, const char *where, const struct tdm_detector_lists *lists,
                       struct tdm_detector *detector, struct tdm_error *err) {
	struct tdm_error why = {0};
	const char *path = lists->weights ? lists->weights : "embedded:tagger";
	bool listed = false;
	for (size_t i = 0; i < lists->detect.n; i++) {
		listed = listed || strcmp(lists->detect.items[i], "tagger") == 0;
		if (strcmp(lists->detect.items[i], "tagger") != 0 && strcmp(lists->detect.items[i], "rules") != 0)
			return tdm_fail(err, TDM_ECONFIG, "%s: detect: expected rules and tagger, not %s", where,
			                lists->detect.items[i]);
	}
	detector->bias = (float)lists->bias;
	if (!listed)
		return TDM_OK;
	if (strncmp(path, "embedded:", 9) == 0)
		return read_embedded(where, lists, path + 9, &detector->tagger, err);
	if (*path != '/' && lists->folder)
		path = tdm_arena_printf(arena, "%s/%s", lists->folder, path);
	if (!path)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the weights", where);
	int status = tdm_tagger_open(path, &detector->tagger, &why);
	return status == TDM_OK ? TDM_OK : tdm_fail(err, TDM_ECONFIG, "%s: weights: %s", where, why.text);
}

// The rows of countries that are not listed. "all" is all of them.
static int read_packs(const char *where, const struct tdm_strings *packs, struct tdm_detector *d,
                      struct tdm_error *err) {
	d->some_off = packs->n > 0;
	for (size_t i = 0; i < tdm_n_entities; i++)
		if (tdm_entities[i].pack)
			d->off[i / 64] |= UINT64_C(1) << i % 64;
	for (size_t k = 0; k < packs->n; k++) {
		bool known = strcmp(packs->items[k], "all") == 0;
		d->some_off = d->some_off && !known;
		for (size_t i = 0; i < tdm_n_entities; i++)
			if (tdm_entities[i].pack && strcmp(tdm_entities[i].pack, packs->items[k]) == 0) {
				d->off[i / 64] &= ~(UINT64_C(1) << i % 64);
				known = true;
			}
		if (!known)
			return tdm_fail(err, TDM_ECONFIG, "%s: packs: expected all or codes of countries that have one, not %s",
			                where, packs->items[k]);
	}
	return TDM_OK;
}

int tdm_detector_open(struct tdm_detector *detector, struct tdm_arena *arena, const char *where,
                      const struct tdm_detector_lists *lists, struct tdm_error *err) {
	struct tdm_error why = {0};
	*detector = (struct tdm_detector){.allow = lists->allow};
	int status = read_deny(arena, where, &lists->deny, &detector->deny, err);
	if (status == TDM_OK)
		status = read_packs(where, &lists->packs, detector, err);
	if (status == TDM_OK)
		status = open_tagger(arena, where, lists, detector, err);
	if (status != TDM_OK)
		return status;
	status = tdm_scanner_new(lists->patterns.items, lists->patterns.n, &detector->scanner, &why);
	if (status == TDM_OK)
		return TDM_OK;
	tdm_tagger_release(&detector->tagger);
	return tdm_fail(err, status, "%s: patterns: %s", where, why.text);
}

void tdm_detector_close(struct tdm_detector *detector) {
	tdm_scanner_free(detector->scanner);
	detector->scanner = NULL;
	tdm_tagger_release(&detector->tagger);
}
