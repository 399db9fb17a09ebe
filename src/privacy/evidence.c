// Evidence: see evidence.h. The numbers are the rule: a passed check decides alone, a failed one weakens but never
// clears (a mistyped card is still somebody's card), a context word near by is worth 0.35.
#include "privacy/evidence.h"
#include "privacy/checks.h"
#include <string.h>

#define BEFORE_BYTES 60
#define AFTER_BYTES 40
#define LONGEST_WORD 48

static bool has_context(const struct tdm_scan *scan, const struct tdm_candidate *c) {
	uint64_t row = UINT64_C(1) << (c->entity - tdm_entities);
	size_t low = 0, high = scan->n_words, first = c->start > BEFORE_BYTES ? c->start - BEFORE_BYTES : 0;
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
		if ((word->rows & row) && (before || after))
			return true;
	}
	return false;
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

int tdm_evidence(const struct tdm_scan *scan, const char *text, size_t n, int level, bool hard, tdm_evidence_fn *found,
                 void *arg) {
	size_t claimed[64] = {0}; // per row: the end of its last span; an anchor inside it brings nothing new
	struct tdm_candidate c = {.text = text, .n = n};
	int status = TDM_OK;
	for (size_t i = 0; i < scan->n_anchors && status == TDM_OK; i++) {
		size_t row = scan->anchors[i].entity;
		c.anchor = scan->anchors[i].end;
		if (tdm_entities[row].flags & TDM_ENTITY_NUMBER)
			tdm_number_read(&c.number, text, c.anchor - 1);
		do {
			c.entity = &tdm_entities[row];
			if (!wanted(c.entity, level, hard) || c.anchor <= claimed[row])
				continue;
			enum tdm_check verdict = check(&c);
			if (verdict == TDM_CHECK_NONE)
				continue;
			claimed[row] = c.end;
			float score = score_of(scan, &c, verdict, hard);
			if (score >= c.entity->threshold)
				status = found(arg, &c, score);
		} while (status == TDM_OK && ++row < tdm_n_entities && !tdm_entities[row].pattern);
	}
	return status;
}
