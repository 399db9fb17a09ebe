// Prompt lookup: one walk back over the text. A match may overlap what it predicts: a text that repeats itself is then
// continued for as long as it is wanted.
#include "cost/speculate/lookup.h"

// How many tokens that end at `at` are the last ones of the text.
static int match(const int32_t *tokens, int n, int at) {
	int k = 0;
	while (k < TDM_LOOKUP_LONGEST && k <= at && tokens[at - k] == tokens[n - 1 - k])
		k++;
	return k;
}

void tdm_lookup(const int32_t *tokens, int n, int most, struct tdm_guess *out) {
	int best = 0, from = 0;
	for (int at = n - 2; at >= 0 && best < TDM_LOOKUP_LONGEST; at--) {
		int k = match(tokens, n, at);
		if (k > best) {
			best = k;
			from = at + 1;
		}
	}
	out->n = 0;
	out->sort = best - 1;
	if (most > TDM_LOOKUP_MOST)
		most = TDM_LOOKUP_MOST;
	while (best > 0 && out->n < most) {
		int next = from + out->n;
		out->tokens[out->n] = next < n ? tokens[next] : out->tokens[next - n];
		out->parents[out->n] = out->n - 1;
		out->n++;
	}
}
