// Scan: finds the anchors of all rows and all context words in one pass of a Vectorscan automaton. No back-references,
// no time limit, nothing is ever skipped: time is linear in the text, whatever it is.
#pragma once
#include "base/status.h"
#include "privacy/detect/entities.h"

struct tdm_scanner;

struct tdm_anchor {
	uint32_t end;    // offset just after the match
	uint32_t entity; // index of the first row with this pattern
};
struct tdm_word { // a context word
	uint32_t start, end;
	const uint64_t *rows; // TDM_ENTITY_SETS words; bit i: row i of tdm_entities lists it
};
struct tdm_own { // where a pattern of the operator's own stands
	uint32_t start, end;
};
struct tdm_cell { // what stands here has a name of its own: of the field that holds it, of the column of a table
	uint32_t start, end;
	const uint64_t *rows; // for which the name speaks
};
struct tdm_scan { // what a scan found, in order of `end`; heap
	struct tdm_anchor *anchors;
	struct tdm_word *words;
	struct tdm_own *own;
	size_t n_anchors, cap_anchors, n_words, cap_words, n_own, cap_own;
	// Set by the caller before it weighs the evidence:
	const struct tdm_cell *cells; // in order, never overlapping
	size_t n_cells;
	const uint64_t *off; // rows of packs that are not wanted; NULL = none
	float lack;          // of score that a span may have and still counts
};

// Compiles every row once, and the operator's own patterns (own[0..n_own), Vectorscan's syntax, any letter case; all of
// what they match is private). Error: TDM_ECONFIG names the pattern that does not compile. Threads: one scanner serves
// any number; scratch space is borrowed under a lock. Without patterns of their own all get the same one.
int tdm_scanner_new(const char *const *own, size_t n_own, struct tdm_scanner **out, struct tdm_error *err);
void tdm_scanner_free(struct tdm_scanner *s); // NULL is allowed
// text[n] must be 0 (it is scanned too: an end of text is an end of a word). Fails closed: TDM_EGUARD, TDM_ENOMEM.
int tdm_scanner_scan(struct tdm_scanner *s, const char *text, size_t n, struct tdm_scan *out, struct tdm_error *err);
void tdm_scan_release(struct tdm_scan *scan);
// Adds to rows those for which a word in the name of a field speaks: "cardNumber", "date_of_birth".
int tdm_scanner_name(struct tdm_scanner *s, const char *name, uint64_t rows[TDM_ENTITY_SETS], struct tdm_error *err);
