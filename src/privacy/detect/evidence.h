// Evidence: what speaks for a span being private, combined into one score (check digit, context words, form).
#pragma once
#include "privacy/detect/scan.h"

// Called for every span whose score reaches the threshold of its row. Negative: stops, and tdm_evidence returns it.
typedef int tdm_evidence_fn(void *arg, const struct tdm_candidate *c, float score);

// text: the view that was scanned (NUL at text[n]). Rows above `level` are passed over. hard: only rows the egress
// monitor blocks on, without context words.
int tdm_evidence(const struct tdm_scan *scan, const char *text, size_t n, int level, bool hard, tdm_evidence_fn *found,
                 void *arg);
