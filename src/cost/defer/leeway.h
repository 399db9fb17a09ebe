// Leeway: acceptance that is not exact, and what an answer may then be called.
//
// The rule it protects: only TDM_ACCEPT_EXACT keeps the target's distribution. The rules of the second kind keep the
// target's own answer at temperature 0 and no other; those of the third never promise it.
//
// Pure, like verify.h. p and q are distributions after the same transform; at temperature 0, where these would be one
// token each, the cascades weigh them as they are at temperature 1.
#pragma once
#include "cost/speculate/verify.h"
#include <stdbool.h>

enum tdm_accept { // in the order of the option
	TDM_ACCEPT_EXACT,
	TDM_ACCEPT_GREEDY,  // a token stays while it is the target's most likely one
	TDM_ACCEPT_TYPICAL, // while p(x) > min(0.09, 0.3 e^-H(p)) (Medusa, Cai et al. 2401.10774)
	// Speculative cascades (Narasimhan et al. 2405.19261): the answer's law is a mixture of q and p, verified exactly.
	TDM_ACCEPT_CASCADE, // q for tokens with p(x) >= (1 - alpha) max p; p for the rest of q's mass
	TDM_ACCEPT_OPT,     // p where max q < max p - alpha TV(p, q), else q
};
#define TDM_ACCEPT_CHOICES "exact|greedy|typical|cascade|cascade_opt"

static inline bool tdm_accept_mixes(enum tdm_accept accept) {
	return accept >= TDM_ACCEPT_CASCADE;
}
const char *tdm_accept_name(enum tdm_accept accept); // as the option says it
// What may be said of an answer: exact, greedy-exact (it is the target's own, because it was greedy) or lossy.
const char *tdm_guarantee(enum tdm_accept accept, bool is_greedy);

// Greedy or typical acceptance; at the first token that does not stay, and after the last, one more drawn from p.
struct tdm_verified tdm_leeway_chain(enum tdm_accept accept, const struct tdm_chain *chain, double last);
// The law of a cascade at one place; out may be p.
void tdm_leeway_mix(enum tdm_accept accept, double alpha, const float *p, const float *q, int n, float *out);
// At temperature 0: whether x, the draft's most likely token, stands in for best, the target's.
bool tdm_leeway_keeps(enum tdm_accept accept, double alpha, const float *p, const float *q, int n, int32_t best,
                      int32_t x);
