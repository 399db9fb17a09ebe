// Detect: see detect.h. One stretch of text gives exactly one entity: overlapping evidence becomes the union of its
// spans, labelled by the longest, then the highest score, then the order of the table.
#include "privacy/detect/detect.h"
#include "privacy/detect/decode.h"
#include "privacy/detect/evidence.h"
#include "privacy/detect/names.h"
#include "privacy/detect/table.h"
#include "privacy/mask/token.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_ROUNDS 5

#define REACH 128 // bytes of the end of one text and the beginning of the next

struct end { // of a text, without the blanks there, as it was before anything was found
	size_t start, n;
	const char *text;
};

struct leaf { // one text while it is searched
	struct tdm_view plain, folded;
	const struct tdm_text *of;
	struct tdm_finds fresh; // found in this round
	struct tdm_finds *all;
	struct tdm_cells cells; // whose name says what they hold
	struct end begin, end;  // of texts that belong to a strand
	bool changed;           // blanked since the last scan
	bool encoded;           // says more than it says as it stands
};

struct search {
	const struct tdm_detector *detector;
	struct tdm_arena *arena;
	struct tdm_error *error;
	struct leaf *leaves;
	size_t n_leaves;
	int level;
	struct tdm_dictionary *protect;
	size_t n_built;          // values the dictionary's automata know
	struct leaf *leaf;       // the one being searched
	struct tdm_view decoded; // what it says beside its text
	struct tdm_names *names; // NULL = not looked for
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
                         const struct tdm_entity *entity, float score, unsigned why) {
	while (view->at && end < view->n && end > start && view->at[end] == view->at[end - 1])
		end++;
	struct tdm_find find = {
	    tdm_view_origin(view, start), tdm_view_origin(view, end), entity, score, why, NULL, 0, false};
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
	return add_view_find(s, &s->leaf->plain, c->start, c->end, c->entity, score, c->why);
}

static int on_known_value(void *arg, const struct tdm_entity *entity, size_t start, size_t end) {
	struct search *s = arg;
	unsigned why = entity == tdm_entity_deny ? TDM_WHY_LIST : TDM_WHY_AGAIN;
	return add_view_find(s, &s->leaf->folded, start, end, entity, 1.f, why);
}

// The words of a person's name are looked for alone too.
static int protect_parts(struct search *s, const struct tdm_name *name) {
	const struct leaf *leaf = s->leaf;
	int status = TDM_OK;
	for (const struct tdm_term *t = name->first; t <= name->last && status == TDM_OK; t++) {
		if (!tdm_names_part(t))
			continue;
		size_t start = tdm_view_find(&leaf->folded, tdm_view_origin(&leaf->plain, t->start));
		size_t end = tdm_view_find(&leaf->folded, tdm_view_origin(&leaf->plain, t == name->last ? name->end : t->end));
		const char *copy = tdm_arena_copy(s->arena, leaf->folded.text + start, end - start);
		status = copy ? tdm_dictionary_add(s->protect, s->arena, name->entity, copy, end - start) : TDM_ENOMEM;
	}
	return status == TDM_OK ? TDM_OK : tdm_fail(s->error, status, "mask: no memory for the parts of a name");
}

static int on_name(void *arg, const struct tdm_name *name) {
	struct search *s = arg;
	const char *text = s->leaf->plain.text + name->start;
	if (tdm_detector_allows(s->detector, text, name->end - name->start))
		return TDM_OK;
	int status = add_view_find(s, &s->leaf->plain, name->start, name->end, name->entity, name->score, TDM_WHY_NAME);
	if (status != TDM_OK)
		return status;
	s->leaf->fresh.items[s->leaf->fresh.n - 1].stay = name->common;
	return strcmp(name->entity->label, "PERSON") == 0 && name->last > name->first ? protect_parts(s, name) : TDM_OK;
}

static int find_literals(struct search *s) {
	const struct tdm_view *view = &s->leaf->plain;
	size_t start, end;
	int status = TDM_OK;
	for (size_t i = 0; i < view->n && status == TDM_OK; i++) {
		i += strcspn(view->text + i, "_\\%");
		if (i < view->n && view->text[i] && tdm_token_shape(view->text, view->n, i, &start, &end))
			status = add_view_find(s, view, start, end, tdm_entity_literal, 1.f, TDM_WHY_TOKEN);
	}
	return status;
}

static int add_own(struct search *s, const struct tdm_scan *scan, const struct tdm_view *view) {
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_own && status == TDM_OK; i++) {
		const struct tdm_own *own = &scan->own[i];
		size_t end = own->end < view->n ? own->end : view->n; // the NUL behind the text is scanned too
		if (end > own->start && !tdm_detector_allows(s->detector, view->text + own->start, end - own->start))
			status = add_view_find(s, view, own->start, end, tdm_entity_deny, 1.f, TDM_WHY_OWN);
	}
	return status;
}

// What the caller of the evidence knows: the names of cells, the packs that are wanted.
static void speak_for(const struct search *s, struct tdm_scan *scan, const struct tdm_cells *cells) {
	scan->cells = cells ? cells->items : NULL;
	scan->n_cells = cells ? cells->n : 0;
	scan->off = s->detector->some_off ? s->detector->off : NULL;
	scan->lack = s->detector->lack;
}

// --- what the text says once its encodings are undone

static int on_decoded(void *arg, const struct tdm_candidate *c, float score) {
	struct search *s = arg;
	if (tdm_detector_allows(s->detector, c->text + c->start, c->end - c->start))
		return TDM_OK;
	return add_view_find(s, &s->decoded, c->start, c->end, c->entity, score, c->why);
}

static int decode(struct search *s) {
	struct tdm_bytes text, at;
	struct leaf *leaf = s->leaf;
	tdm_bytes_init(&text, leaf->plain.n * 3 + 4096);
	tdm_bytes_init(&at, (leaf->plain.n * 3 + 4096) * sizeof(uint32_t));
	int status = tdm_decode(leaf->plain.text, leaf->plain.n, &text, &at, s->error);
	leaf->encoded = status == TDM_OK && text.len > 0;
	if (leaf->encoded) {
		uint32_t *from = (uint32_t *)(void *)tdm_arena_copy(s->arena, at.data, at.len);
		s->decoded = (struct tdm_view){tdm_arena_copy(s->arena, text.data, text.len), text.len, from};
		for (size_t i = 0; from && leaf->plain.at && i < at.len / sizeof *from; i++)
			from[i] = (uint32_t)tdm_view_origin(&leaf->plain, from[i]);
		if (!s->decoded.text || !from)
			status = tdm_fail(s->error, TDM_ENOMEM, "mask: no memory to undo encodings; nothing was sent");
	}
	tdm_bytes_release(&text);
	tdm_bytes_release(&at);
	return status;
}

struct folded { // of what was decoded
	struct search *search;
	struct tdm_view view;
};

static int on_decoded_value(void *arg, const struct tdm_entity *entity, size_t start, size_t end) {
	struct folded *f = arg;
	start = tdm_view_origin(&f->view, start);
	end = tdm_view_origin(&f->view, end);
	unsigned why = entity == tdm_entity_deny ? TDM_WHY_LIST : TDM_WHY_AGAIN;
	return add_view_find(f->search, &f->search->decoded, start, end, entity, 1.f, why);
}

// The values known so far in what was decoded.
static int search_decoded(struct search *s) {
	struct folded f = {.search = s};
	int status = tdm_view_make(s->arena, s->decoded.text, s->decoded.n, true, &f.view, s->error);
	if (status == TDM_OK)
		status = tdm_dictionary_search(&s->detector->deny, f.view.text, f.view.n, on_decoded_value, &f);
	if (status == TDM_OK && s->n_built)
		status = tdm_dictionary_search(s->protect, f.view.text, f.view.n, on_decoded_value, &f);
	return status;
}

static int scan_decoded(struct search *s) {
	struct tdm_scan scan;
	int status = decode(s);
	if (status != TDM_OK || !s->leaf->encoded)
		return status;
	status = tdm_scanner_scan(s->detector->scanner, s->decoded.text, s->decoded.n, &scan, s->error);
	if (status != TDM_OK)
		return status;
	speak_for(s, &scan, NULL);
	status = tdm_evidence(&scan, s->decoded.text, s->decoded.n, s->level, false, on_decoded, s);
	if (status == TDM_OK)
		status = add_own(s, &scan, &s->decoded);
	tdm_scan_release(&scan);
	return status == TDM_OK ? search_decoded(s) : status;
}

// The field that holds the whole text, or the tables in it.
static int find_cells(struct search *s) {
	struct leaf *leaf = s->leaf;
	struct tdm_scanner *scanner = s->detector->scanner;
	if (!leaf->of->field)
		return tdm_table_find(scanner, s->arena, leaf->plain.text, leaf->plain.n, &leaf->cells, s->error);
	struct tdm_cell *cell = tdm_arena_alloc(s->arena, sizeof *cell);
	uint64_t *rows = tdm_arena_array(s->arena, TDM_ENTITY_SETS, sizeof *rows);
	if (!cell || !rows)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for the name of a field; nothing was sent");
	memset(rows, 0, TDM_ENTITY_SETS * sizeof *rows);
	*cell = (struct tdm_cell){0, (uint32_t)leaf->plain.n, rows};
	leaf->cells = (struct tdm_cells){cell, 1, 1};
	return tdm_scanner_name(scanner, leaf->of->field, rows, s->error);
}

// Names, after the recognisers: a word of an address of e-mail is none.
static int find_names(struct search *s) {
	const struct leaf *leaf = s->leaf;
	int status = tdm_names_cut(s->names, leaf->plain.text, leaf->plain.n, s->error);
	for (size_t i = 0; i < leaf->fresh.n && status == TDM_OK; i++)
		tdm_terms_take(&s->names->terms, tdm_view_find(&leaf->plain, leaf->fresh.items[i].start),
		               tdm_view_find(&leaf->plain, leaf->fresh.items[i].end));
	return status == TDM_OK ? tdm_names_find(s->names, leaf->plain.text, &leaf->cells, on_name, s) : status;
}

static int scan_leaf(struct search *s, bool first) {
	struct leaf *leaf = s->leaf;
	struct tdm_scan scan;
	int status = first ? find_literals(s) : TDM_OK;
	if (status == TDM_OK && first)
		status = find_cells(s);
	if (status == TDM_OK)
		status = tdm_dictionary_search(&s->detector->deny, leaf->folded.text, leaf->folded.n, on_known_value, s);
	if (status != TDM_OK)
		return status;
	status = tdm_scanner_scan(s->detector->scanner, leaf->plain.text, leaf->plain.n, &scan, s->error);
	if (status != TDM_OK)
		return status;
	speak_for(s, &scan, &leaf->cells);
	status = tdm_evidence(&scan, leaf->plain.text, leaf->plain.n, s->level, false, on_evidence, s);
	if (status == TDM_OK)
		status = add_own(s, &scan, &leaf->plain);
	if (status == TDM_OK && first && s->names && !leaf->of->identifier)
		status = find_names(s);
	tdm_scan_release(&scan);
	return status == TDM_OK ? scan_decoded(s) : status;
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
			last->stay = last->stay && items[i].stay;
			if (better(&items[i], &best))
				best = items[i];
			last->entity = best.entity;
			last->score = best.score;
			last->why = best.why;
			continue;
		}
		best = items[i];
		items[kept++] = items[i];
	}
	return kept;
}

static bool stays(const struct tdm_find *find) {
	bool letters = true;
	for (size_t i = 0; letters && i < find->n_folded; i++)
		letters = find->folded[i] >= 'a' && find->folded[i] <= 'z';
	return find->stay || find->entity->flags & TDM_ENTITY_STAY || (find->entity->flags & TDM_ENTITY_WORD && letters) ||
	       find->entity == tdm_entity_deny;
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
	if (stays(find))
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
		if (status == TDM_OK && s->leaf->encoded)
			status = decode(s);
		if (status == TDM_OK && s->leaf->encoded)
			status = search_decoded(s);
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

// --- a value that goes on in the next text of its strand

struct seam {
	struct search *search;
	struct leaf *first, *second;
	size_t gap;
	struct tdm_view folded; // of what is joined
};

// What is not hidden already of text[start..end).
static int add_part(struct seam *k, struct leaf *leaf, size_t start, size_t end, const struct tdm_candidate *c,
                    float score) {
	struct search *s = k->search;
	int status = TDM_OK;
	s->leaf = leaf;
	for (size_t i = start, last; i < end && status == TDM_OK; i = last + 1) {
		for (last = i; last < end && leaf->plain.text[last] != TDM_VIEW_BLANK;)
			last++;
		if (last == i)
			continue;
		status = add_view_find(s, &leaf->plain, i, last, c->entity, score, c->why);
		if (status == TDM_OK)
			leaf->fresh.items[leaf->fresh.n - 1].stay = true; // half a value
	}
	return status;
}

static bool all_blank(const struct leaf *leaf, size_t start, size_t end) {
	while (start < end && leaf->plain.text[start] == TDM_VIEW_BLANK)
		start++;
	return start == end;
}

// Whether a value of this entity was found there whole: with more behind it, it is no other one ("a@b.org" and
// "again").
static bool is_whole(const struct leaf *leaf, size_t start, size_t end, const struct tdm_entity *entity) {
	size_t from = tdm_view_origin(&leaf->plain, start), to = tdm_view_origin(&leaf->plain, end);
	for (size_t i = 0; i < leaf->all->n; i++) {
		const struct tdm_find *find = &leaf->all->items[i];
		if (find->start < to && find->end > from && find->entity == entity && find->why & TDM_WHY_CHECK)
			return true;
	}
	return false;
}

// A half may have been taken for a value by chance; where it is hidden already, only a right check speaks for the
// whole.
static int on_seam(void *arg, const struct tdm_candidate *c, float score) {
	struct seam *k = arg;
	const struct end *a = &k->first->end, *b = &k->second->begin;
	size_t second = a->n + k->gap;
	if (c->start >= a->n || c->end <= second)
		return TDM_OK;
	size_t from = a->start + c->start, end = a->start + a->n, to = b->start + c->end - second;
	while (end > from && strchr(".,;:!?", k->first->plain.text[end - 1])) // of the sentence, perhaps
		end--;
	bool hidden = all_blank(k->first, from, end) || all_blank(k->second, b->start, to);
	if (hidden && !(c->why & (TDM_WHY_CHECK | TDM_WHY_LIST | TDM_WHY_OWN | TDM_WHY_AGAIN)))
		return TDM_OK;
	if (hidden && (is_whole(k->first, from, end, c->entity) || is_whole(k->second, b->start, to, c->entity)))
		return TDM_OK;
	int status = add_part(k, k->first, from, a->start + a->n, c, score);
	return status == TDM_OK ? add_part(k, k->second, b->start, to, c, score) : status;
}

static int on_seam_value(void *arg, const struct tdm_entity *entity, size_t start, size_t end) {
	struct seam *k = arg;
	struct tdm_candidate c = {.entity = entity,
	                          .start = tdm_view_origin(&k->folded, start),
	                          .end = tdm_view_origin(&k->folded, end),
	                          .why = entity == tdm_entity_deny ? TDM_WHY_LIST : TDM_WHY_AGAIN};
	return on_seam(k, &c, 1.f);
}

// Patterns of the operator, the deny list, and values known from elsewhere.
static int search_seam(struct seam *k, const struct tdm_scan *scan, const char *text, size_t n) {
	struct search *s = k->search;
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_own && status == TDM_OK; i++) {
		struct tdm_candidate c = {
		    .entity = tdm_entity_deny, .start = scan->own[i].start, .end = scan->own[i].end, .why = TDM_WHY_OWN};
		c.end = c.end < n ? c.end : n;
		if (!tdm_detector_allows(s->detector, text + c.start, c.end - c.start))
			status = on_seam(k, &c, 1.f);
	}
	if (status == TDM_OK)
		status = tdm_view_make(s->arena, text, n, true, &k->folded, s->error);
	if (status == TDM_OK)
		status = tdm_dictionary_search(&s->detector->deny, k->folded.text, k->folded.n, on_seam_value, k);
	if (status == TDM_OK && s->n_built)
		status = tdm_dictionary_search(s->protect, k->folded.text, k->folded.n, on_seam_value, k);
	return status;
}

static bool blank(char c) {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int scan_seam(struct seam *k) {
	char text[2 * REACH + 2];
	struct tdm_scan scan;
	const struct end *a = &k->first->end, *b = &k->second->begin;
	size_t n = a->n + k->gap + b->n;
	memcpy(text, a->text, a->n);
	text[a->n] = ' ';
	memcpy(text + a->n + k->gap, b->text, b->n);
	text[n] = 0;
	struct search *s = k->search;
	int status = tdm_scanner_scan(s->detector->scanner, text, n, &scan, s->error);
	if (status == TDM_OK) {
		speak_for(s, &scan, NULL);
		status = tdm_evidence(&scan, text, n, s->level, false, on_seam, k);
		if (status == TDM_OK)
			status = search_seam(k, &scan, text, n);
		tdm_scan_release(&scan);
	}
	return status;
}

// Neighbouring texts of a strand, joined with a blank and without one. Runs last: the rest of a value of which a half
// was found by itself is still hidden.
static int scan_seams(struct search *s) {
	struct leaf *before = NULL;
	bool any = false;
	int status = TDM_OK;
	for (size_t i = 0; i < s->n_leaves && status == TDM_OK; i++) {
		struct seam k = {.search = s, .first = before, .second = &s->leaves[i]};
		if (!k.second->of->strand)
			continue;
		if (before && before->of->strand != k.second->of->strand)
			k.first = NULL;
		before = k.second;
		for (; k.first && k.gap < 2 && status == TDM_OK; k.gap++)
			status = scan_seam(&k);
	}
	return status == TDM_OK ? settle(s, &any) : status;
}

static int keep_ends(struct search *s, struct leaf *leaf) {
	const struct tdm_view *view = &leaf->plain;
	size_t start = 0, end = view->n;
	while (start < end && blank(view->text[start]))
		start++;
	while (end > start && blank(view->text[end - 1]))
		end--;
	size_t n = end - start < REACH ? end - start : REACH;
	leaf->begin = (struct end){start, n, tdm_arena_copy(s->arena, view->text + start, n)};
	leaf->end = (struct end){end - n, n, tdm_arena_copy(s->arena, view->text + end - n, n)};
	if (leaf->begin.text && leaf->end.text)
		return TDM_OK;
	return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory for the ends of a text; nothing was sent");
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
		leaf->of = &texts[i];
		leaf->all = &finds[i];
		if (status == TDM_OK && leaf->of->strand)
			status = keep_ends(s, leaf);
		if (status != TDM_OK)
			return status;
	}
	return TDM_OK;
}

static int prepare_names(struct search *s) {
	s->names = tdm_arena_alloc(s->arena, sizeof *s->names);
	if (!s->names)
		return tdm_fail(s->error, TDM_ENOMEM, "mask: no memory to look for names; nothing was sent");
	s->names->tagger = &s->detector->tagger;
	s->names->bias = s->detector->bias;
	s->names->level = s->level;
	for (size_t i = 0; i < s->n_leaves; i++)
		tdm_names_count(s->names, s->leaves[i].plain.text, s->leaves[i].plain.n);
	return TDM_OK;
}

int tdm_detect(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
               size_t n_texts, int level, struct tdm_finds *finds, struct tdm_dictionary *protect,
               struct tdm_error *err) {
	struct search s = {
	    .detector = detector, .arena = arena, .error = err, .n_leaves = n_texts, .level = level, .protect = protect};
	bool any = true;
	int status = prepare(&s, texts, finds);
	if (status == TDM_OK && detector->tagger.weights && level > 1)
		status = prepare_names(&s);
	for (int round = 0; round < MAX_ROUNDS && status == TDM_OK && any; round++)
		status = round_of(&s, round == 0, &any);
	if (status == TDM_OK && n_texts > 1)
		status = scan_seams(&s);
	for (size_t i = 0; i < n_texts && status == TDM_OK; i++) {
		if (finds[i].n)
			qsort(finds[i].items, finds[i].n, sizeof *finds[i].items, by_start);
	}
	if (s.names)
		tdm_names_release(s.names);
	return status;
}
