// Evidence: see evidence.h. The numbers are the rule: a passed check decides alone, a failed one weakens but never
// clears (a mistyped card is still somebody's card), a context word near by is worth 0.35.
#include "privacy/evidence.h"
#include "privacy/checks.h"
#include "privacy/compact.h"
#include <string.h>

#define BEFORE_BYTES 60
#define AFTER_BYTES 40
#define LONGEST_WORD 64

// The rows for which a word stands within reach of the span.
static void context_of(const struct tdm_scan *scan, const struct tdm_candidate *c, uint64_t rows[TDM_ENTITY_SETS]) {
	size_t low = 0, high = scan->n_words, first = c->start > BEFORE_BYTES ? c->start - BEFORE_BYTES : 0;
	memset(rows, 0, TDM_ENTITY_SETS * sizeof *rows);
	while (low < high) { // first word that ends inside the window
		size_t middle = low + (high - low) / 2;
		if (scan->words[middle].end < first)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < scan->n_words && scan->words[low].end <= c->end + AFTER_BYTES + LONGEST_WORD; low++) {
		const struct tdm_word *word = &scan->words[low];
		bool before = word->end <= c->start && word->start >= first;
		bool after = word->start >= c->end && word->end <= c->end + AFTER_BYTES;
		for (int i = 0; (before || after) && i < TDM_ENTITY_SETS; i++)
			rows[i] |= word->rows[i];
	}
}

static bool lists(const uint64_t rows[TDM_ENTITY_SETS], const struct tdm_entity *row) {
	size_t i = (size_t)(row - tdm_entities);
	return rows[i / 64] >> i % 64 & 1;
}

static bool has_context(const struct tdm_scan *scan, const struct tdm_candidate *c) {
	uint64_t rows[TDM_ENTITY_SETS];
	context_of(scan, c, rows);
	return lists(rows, c->entity);
}

static float score_of(const struct tdm_scan *scan, const struct tdm_candidate *c, enum tdm_check verdict, bool hard) {
	const struct tdm_entity *row = c->entity;
	float score = row->base;
	if (verdict == TDM_CHECK_PASS)
		score = .99f;
	else if (verdict == TDM_CHECK_FAIL)
		score = score < .20f ? score : .20f;
	bool needed = row->flags & TDM_ENTITY_CONTEXT;
	if (!needed && score >= row->threshold) // context could only raise it
		return score;
	if (!hard && has_context(scan, c)) {
		score += .35f;
		return score < .40f ? .40f : score > 1.f ? 1.f : score;
	}
	return needed && score > .30f ? .30f : score;
}

static bool wanted(const struct tdm_entity *row, int level, bool hard) {
	return row->level <= level && (!hard || (row->flags & TDM_ENTITY_HARD));
}

static enum tdm_check check(struct tdm_candidate *c) {
	return c->entity->check ? c->entity->check(c) : tdm_check_prefix(c);
}

// What speaks best for one number of letters and digits.
struct choice {
	const struct tdm_scan *scan;
	bool hard;
	uint64_t context[TDM_ENTITY_SETS];
	size_t start, end; // of the span whose context this is; start == end: none yet
	struct tdm_candidate best;
	float score;
};

static bool only_digits(const struct tdm_compact *k) {
	return (k->digits & ((UINT64_C(1) << k->n) - 1)) == (UINT64_C(1) << k->n) - 1;
}

// A run of digits alone says little; with separators it is as good as its row says.
static float base_of(const struct tdm_candidate *c) {
	const struct tdm_compact *k = &c->compact;
	bool plain = only_digits(k) && k->separator != '-' && k->separator != '/' && k->separator != '+';
	return plain && c->entity->base > .25f ? .25f : c->entity->base;
}

// Of digits one check digit of ten agrees by chance: they are hidden all the same, but what a word speaks for, or what
// knows their groups, gives the name.
static float passed(const struct tdm_candidate *c, bool context) {
	if (context || !only_digits(&c->compact))
		return .99f;
	return c->compact.groups > 1 ? .45f : .59f;
}

static bool in_context(struct choice *best, const struct tdm_candidate *c) {
	if (best->hard || best->scan->n_words == 0)
		return false;
	if (best->start != c->start || best->end != c->end) {
		context_of(best->scan, c, best->context);
		best->start = c->start;
		best->end = c->end;
	}
	return lists(best->context, c->entity);
}

static float score_number(const struct tdm_candidate *c, enum tdm_check verdict, bool context, bool needed) {
	float score = base_of(c);
	if (verdict == TDM_CHECK_PASS)
		score = passed(c, context);
	else if (verdict == TDM_CHECK_FAIL)
		score = score < .20f ? score : .20f;
	float most = verdict == TDM_CHECK_PASS ? 1.f : .90f; // only a right check digit makes certain
	if (context)
		return score + .35f > most ? most : score + .35f < .40f ? .40f : score + .35f;
	return needed && score > .30f ? .30f : score;
}

static void on_compact(void *arg, struct tdm_candidate *c, enum tdm_check verdict, bool embedded) {
	struct choice *best = arg;
	bool alone = c->compact.groups == 1 && only_digits(&c->compact) && !c->entity->bare;
	bool needed = embedded || alone || c->entity->flags & TDM_ENTITY_CONTEXT;
	float score = score_number(c, verdict, in_context(best, c), needed);
	if (score <= best->score || score < c->entity->threshold)
		return;
	best->score = score;
	best->best.start = c->start;
	best->best.end = c->end;
	best->best.entity = verdict == TDM_CHECK_FAIL ? tdm_entity_number : c->entity;
}

static int compact(const struct tdm_scan *scan, struct tdm_candidate *c, int level, bool hard, tdm_evidence_fn *found,
                   void *arg) {
	struct choice best = {.scan = scan, .hard = hard};
	bool alone = hard || scan->n_words == 0;
	if (!tdm_compact_read(c, alone))
		return TDM_OK;
	best.best.text = c->text;
	best.best.n = c->n;
	tdm_compact_match(c, level, hard ? TDM_ENTITY_HARD : 0, !alone, on_compact, &best);
	return best.score > 0 ? found(arg, &best.best, best.score) : TDM_OK;
}

int tdm_evidence(const struct tdm_scan *scan, const char *text, size_t n, int level, bool hard, tdm_evidence_fn *found,
                 void *arg) {
	uint32_t claimed[64 * TDM_ENTITY_SETS] = {
	    0}; // per row: the end of its last span; an anchor inside it brings nothing new
	struct tdm_candidate c = {.text = text, .n = n};
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_anchors && status == TDM_OK; i++) {
		size_t row = scan->anchors[i].entity;
		c.anchor = scan->anchors[i].end;
		if (row == TDM_ANCHOR_COMPACT) {
			status = compact(scan, &c, level, hard, found, arg);
			continue;
		}
		if (tdm_entities[row].flags & TDM_ENTITY_NUMBER)
			tdm_number_read(&c.number, text, c.anchor - 1);
		do {
			c.entity = &tdm_entities[row];
			if (!wanted(c.entity, level, hard) || c.anchor <= claimed[row])
				continue;
			enum tdm_check verdict = check(&c);
			if (verdict == TDM_CHECK_NONE)
				continue;
			claimed[row] = (uint32_t)c.end;
			float score = score_of(scan, &c, verdict, hard);
			if (score >= c.entity->threshold)
				status = found(arg, &c, score);
		} while (status == TDM_OK && ++row < tdm_n_entities && !tdm_entities[row].pattern);
	}
	return status;
}
