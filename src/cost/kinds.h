// The kinds of cost: the small model does what it can, the large one what it must. A new kind: one file with its row,
// one line here, one in cli/kinds.c.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_cache;     // an answer that was given before
extern const struct tdm_kind tdm_kind_budget;    // what may be spent
extern const struct tdm_kind tdm_kind_limit;     // how often and how many at a time
extern const struct tdm_kind tdm_kind_cascade;   // answer first, then decide
extern const struct tdm_kind tdm_kind_route;     // decide before anyone answers
extern const struct tdm_kind tdm_kind_speculate; // small drafts, large verifies, output unchanged
extern const struct tdm_kind tdm_kind_defer;     // small writes, large the tokens that are in doubt
extern const struct tdm_kind tdm_kind_shepherd;  // large writes a part, small the rest
