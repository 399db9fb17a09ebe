// Detect: see detect.h. One stretch of text gives exactly one entity: overlapping evidence becomes the union of its
// spans, labelled by the longest, then the highest score, then the order of the table.
#include "privacy/detect.h"
#include "privacy/evidence.h"
#include "privacy/token.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_ROUNDS 5

struct leaf { // one text while it is searched
	struct tdm_view plain, folded;
	struct tdm_finds fresh; // found in this round
	struct tdm_finds *all;
	bool changed; // blanked since the last scan
};

struct search {
	const struct tdm_detector *detector;
	struct tdm_arena *arena;
	struct tdm_error *error;
	struct leaf *leaves;
	size_t n_leaves;
	int level;
	struct tdm_dictionary *protect;
	size_t n_built;    // values the dictionary's automata know
	struct leaf *leaf; // the one being searched
};

static int add_find(struct search *s, struct tdm_finds *list, const struct tdm_find *find) {
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 8;
		struct tdm_find *items = tdm_arena_array(s->arena, cap, sizeof *items);
		if (!items)
			return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for what was found; nothing was sent");
		if (list->n)
			memcpy(items, list->items, list->n * sizeof *items);
		list->items = items;
		list->cap = cap;
	}
	list->items[list->n++] = *find;
	return TDM_OK;
}

// start and end in the view; a match that ends inside a character that the view spells out takes all of it.
static int add_view_find(struct search *s, const struct tdm_view *view, size_t start, size_t end,
                         const struct tdm_entity *entity, float score) {
	while (view->at && end < view->n && end > start && view->at[end] == view->at[end - 1])
		end++;
	struct tdm_find find = {tdm_view_origin(view, start), tdm_view_origin(view, end), entity, score, NULL, 0};
	return add_find(s, &s->leaf->fresh, &find);
}

bool tdm_detector_allows(const struct tdm_detector *detector, const char *text, size_t n) {
	for (size_t i = 0; i < detector->allow.n; i++)
		if (strlen(detector->allow.items[i]) == n && strncasecmp(detector->allow.items[i], text, n) == 0)
			return true;
	return false;
}

static int on_evidence(void *arg, const struct tdm_candidate *c, float score) {
	struct search *s = arg;
	if (tdm_detector_allows(s->detector, c->text + c->start, c->end - c->start))
		return TDM_OK;
	return add_view_find(s, &s->leaf->plain, c->start, c->end, c->entity, score);
}

static int on_known_value(void *arg, const struct tdm_entity *entity, size_t start, size_t end) {
	struct search *s = arg;
	return add_view_find(s, &s->leaf->folded, start, end, entity, 1.f);
}

static int find_literals(struct search *s) {
	const struct tdm_view *view = &s->leaf->plain;
	size_t start, end;
	int status = TDM_OK;
	for (size_t i = 0; i < view->n && status == TDM_OK; i++) {
		i += strcspn(view->text + i, "_\\%");
		if (i < view->n && view->text[i] && tdm_token_shape(view->text, view->n, i, &start, &end))
			status = add_view_find(s, view, start, end, tdm_entity_literal, 1.f);
	}
	return status;
}

static int add_own(struct search *s, const struct tdm_scan *scan) {
	const struct tdm_view *view = &s->leaf->plain;
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_own && status == TDM_OK; i++) {
		const struct tdm_own *own = &scan->own[i];
		size_t end = own->end < view->n ? own->end : view->n; // the NUL behind the text is scanned too
		if (end > own->start && !tdm_detector_allows(s->detector, view->text + own->start, end - own->start))
			status = add_view_find(s, view, own->start, end, tdm_entity_deny, 1.f);
	}
	return status;
}

static int scan_leaf(struct search *s, bool first) {
	struct leaf *leaf = s->leaf;
	struct tdm_scan scan;
	int status = first ? find_literals(s) : TDM_OK;
	if (status == TDM_OK)
		status = tdm_dictionary_search(&s->detector->deny, leaf->folded.text, leaf->folded.n, on_known_value, s);
	if (status != TDM_OK)
		return status;
	status = tdm_scanner_scan(s->detector->scanner, leaf->plain.text, leaf->plain.n, &scan, s->error);
	if (status != TDM_OK)
		return status;
	status = tdm_evidence(&scan, leaf->plain.text, leaf->plain.n, s->level, false, on_evidence, s);
	if (status == TDM_OK)
		status = add_own(s, &scan);
	tdm_scan_release(&scan);
	return status;
}

static int by_start(const void *a, const void *b) {
	const struct tdm_find *x = a, *y = b;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->end < y->end ? -1 : x->end > y->end;
}

// Whether a gives a better label than b.
static bool better(const struct tdm_find *a, const struct tdm_find *b) {
	if (a->end - a->start != b->end - b->start)
		return a->end - a->start > b->end - b->start;
	if (a->score != b->score)
		return a->score > b->score;
	return a->entity < b->entity;
}

// Joins overlapping finds. Returns how many are left.
static size_t join(struct tdm_find *items, size_t n) {
	size_t kept = 0;
	struct tdm_find best = {0};
	if (n)
		qsort(items, n, sizeof *items, by_start);
	for (size_t i = 0; i < n; i++) {
		if (kept && items[i].start < items[kept - 1].end) {
			struct tdm_find *last = &items[kept - 1];
			if (items[i].end > last->end)
				last->end = items[i].end;
			if (better(&items[i], &best))
				best = items[i];
			last->entity = best.entity;
			last->score = best.score;
			continue;
		}
		best = items[i];
		items[kept++] = items[i];
	}
	return kept;
}

static int protect_value(struct search *s, const struct tdm_view *folded, struct tdm_find *find) {
	size_t start = tdm_view_find(folded, find->start), end = tdm_view_find(folded, find->end);
	find->n_folded = end - start;
	find->folded = tdm_arena_copy(s->arena, folded->text + start, end - start);
	if (!find->folded)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for what was found; nothing was sent");
	const struct tdm_entity *known = find->entity->flags & TDM_ENTITY_GROUPED
	                                     ? tdm_dictionary_number(s->protect, find->folded, find->n_folded)
	                                     : NULL;
	if (known) // one number, one name, however it is written
		find->entity = known;
	if (find->entity->flags & TDM_ENTITY_STAY || find->entity == tdm_entity_deny)
		return TDM_OK;
	if (s->protect->n > TDM_MAX_VALUES)
		return tdm_fail(s->error, TDM_EGUARD, "mask: more than %d private values in one conversation; nothing was sent",
		                TDM_MAX_VALUES);
	if (tdm_dictionary_add(s->protect, s->arena, find->entity, find->folded, find->n_folded) != TDM_OK)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for what was found; nothing was sent");
	return TDM_OK;
}

static int settle_leaf(struct search *s, struct leaf *leaf) {
	int status = TDM_OK;
	leaf->fresh.n = join(leaf->fresh.items, leaf->fresh.n);
	for (size_t k = 0; k < leaf->fresh.n && status == TDM_OK; k++) {
		struct tdm_find *find = &leaf->fresh.items[k];
		status = protect_value(s, &leaf->folded, find);
		if (status == TDM_OK)
			status = add_find(s, leaf->all, find);
		tdm_view_blank(&leaf->plain, find->start, find->end);
		tdm_view_blank(&leaf->folded, find->start, find->end);
		leaf->changed = true;
	}
	leaf->fresh.n = 0;
	return status;
}

// Moves what was found into the result and blanks it in the views.
static int settle(struct search *s, bool *any) {
	int status = TDM_OK;
	for (size_t i = 0; i < s->n_leaves && status == TDM_OK; i++) {
		*any = *any || s->leaves[i].fresh.n;
		status = settle_leaf(s, &s->leaves[i]);
	}
	return status;
}

static int propagate(struct search *s) {
	int status = TDM_OK;
	if (s->protect->n != s->n_built && tdm_dictionary_build(s->protect, s->arena) != TDM_OK)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory to search for %zu values", s->protect->n);
	s->n_built = s->protect->n;
	for (size_t i = 0; i < s->n_leaves && status == TDM_OK; i++) {
		s->leaf = &s->leaves[i];
		status = tdm_dictionary_search(s->protect, s->leaf->folded.text, s->leaf->folded.n, on_known_value, s);
	}
	return status;
}

// One round: recognisers over the texts that changed, then the values found so far over all of them.
static int round_of(struct search *s, bool first, bool *any) {
	int status = TDM_OK;
	*any = false;
	for (size_t i = 0; i < s->n_leaves && status == TDM_OK; i++) {
		s->leaf = &s->leaves[i];
		if (!first && !s->leaf->changed)
			continue;
		s->leaf->changed = false;
		status = scan_leaf(s, first);
	}
	if (status == TDM_OK)
		status = settle(s, any);
	if (status == TDM_OK && s->protect->n) // also when this round found nothing: blanks of the last one end words
		status = propagate(s);
	return status == TDM_OK ? settle(s, any) : status;
}

static int prepare(struct search *s, const struct tdm_text *texts, struct tdm_finds *finds) {
	s->leaves = tdm_arena_array(s->arena, s->n_leaves ? s->n_leaves : 1, sizeof *s->leaves);
	if (!s->leaves)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for %zu texts", s->n_leaves);
	for (size_t i = 0; i < s->n_leaves; i++) {
		struct leaf *leaf = &s->leaves[i];
		int status = tdm_view_make(s->arena, texts[i].text, texts[i].n, false, &leaf->plain, s->error);
		if (status == TDM_OK)
			status = tdm_view_make(s->arena, texts[i].text, texts[i].n, true, &leaf->folded, s->error);
		if (status != TDM_OK)
			return status;
		leaf->all = &finds[i];
	}
	return TDM_OK;
}

int tdm_detect(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
               size_t n_texts, int level, struct tdm_finds *finds, struct tdm_dictionary *protect,
               struct tdm_error *err) {
	struct search s = {
	    .detector = detector, .arena = arena, .error = err, .n_leaves = n_texts, .level = level, .protect = protect};
	bool any = true;
	int status = prepare(&s, texts, finds);
	for (int round = 0; round < MAX_ROUNDS && status == TDM_OK && any; round++)
		status = round_of(&s, round == 0, &any);
	for (size_t i = 0; i < n_texts && status == TDM_OK; i++) {
		if (finds[i].n)
			qsort(finds[i].items, finds[i].n, sizeof *finds[i].items, by_start);
	}
	return status;
}
