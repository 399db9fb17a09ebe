// Lookup: what followed the last tokens when they stood in the text before, be it the prompt or the answer so far.
#pragma once
#include "cost/speculate/guess.h"

enum { TDM_LOOKUP_LONGEST = 4, TDM_LOOKUP_MOST = 16 };

// The latest place where as many of the last tokens stood as can be found, at most TDM_LOOKUP_LONGEST; at most `most`
// tokens after it. sort: one less than how many stood there.
void tdm_lookup(const int32_t *tokens, int n, int most, struct tdm_guess *out);
