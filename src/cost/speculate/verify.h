// Verify: which of the drafted tokens the target keeps, and the token after them.
//
// The rule it protects: what comes out is distributed exactly as the target's p, whatever the draft's q was (Leviathan
// et al. 2211.17192, Chen et al. 2302.01318): token x is kept with probability min(1, p(x) / q(x)); the first rejection
// is replaced by a draw from norm(p - q); when all are kept one more token is drawn from p. p and q come after the same
// transform, and q is the distribution that the drafted token was really drawn from.
//
// Pure: probability rows and uniform draws in, tokens out, so that tests can enumerate every outcome. Arithmetic is in
// double. A new rule is one more function here.
#pragma once
#include <stdint.h>

struct tdm_chain {
	int n_vocab, n_drafted;
	const int32_t *drafted;                 // n_drafted tokens, each inside the vocabulary
	const float *q;                         // n_drafted rows of n_vocab: what each drafted token was drawn from
	const float *(*p)(void *target, int i); // row i of the target, 0..n_drafted, until the next is asked for
	void *target;
};

struct tdm_verified {
	int accepted; // the first `accepted` drafted tokens stay
	int32_t next; // the token after them
};

// accept: n_drafted uniform draws on [0, 1); last: one more. No draw is used twice.
struct tdm_verified tdm_verify_chain(const struct tdm_chain *chain, const double *accept, double last);
// The whole draft together (block verification, Sun et al. 2403.10444): the same distribution, and on average at least
// as many tokens. With P_0 = 1, P_i = min(1, P_(i-1) p(x_i) / q(x_i)), the longest beginning stays whose draw is below
// A_i / (A_i + 1 - P_i), A_i = sum of max(P_i p - q, 0), or P_n for all of it; then a draw from norm(P_i p - q).
// Where a draft ends may depend on the tokens drawn so far, never on one that is still to be drawn.
struct tdm_verified tdm_verify_block(const struct tdm_chain *chain, const double *accept, double last);
// The same at temperature 0: kept while the target's largest logit names the drafted token. p gives logits here.
struct tdm_verified tdm_verify_greedy(const struct tdm_chain *chain);
// Inverse transform: the first token whose cumulative probability passes u * total. p may be unnormalised.
int32_t tdm_verify_draw(const float *p, int n, double u);
