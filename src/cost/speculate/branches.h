// Branches: which tokens of a drafted tree the target keeps, and the token after them.
//
// The rule it protects: as in verify.h, what comes out is distributed exactly as the target's p. Children of a node are
// tried in the order in which they were drawn. Drawn without replacement (SpecInfer, 2305.09781): one stays with
// probability min(1, p / q), else p becomes norm(p - q), and q loses it. Drawn independently of each other (K-SEQ of
// SpecTr, 2310.15141): each stays with probability min(1, p / (rho q)), and when none does, what they leave of p is
// drawn from. How many children a node has, and which node gets the next one, may depend on all that was drawn
// before, never on what is still to be drawn; independent ones are drawn all at once, so their number comes before
// them.
//
// Pure, like verify.h, and for the same reason. A new rule is one more function here.
#pragma once
#include <stdint.h>

struct tdm_branches {
	int n_vocab, n_draws;
	const int32_t *tokens; // of the nodes
	const int *parents;    // of the nodes, each before its children; -1: the text
	const int *drawn;      // n_draws nodes in the order of their draws; one that was drawn again comes again
	const float *const *q; // [1 + node], [0] of the text: what the children there were drawn from; NULL: nothing was
	const float *(*p)(void *target,
	                  int node); // of the target after a node or (-1) the text, until the next is asked for
	void *target;
	double *rest, *left; // scratch, n_vocab each; not for the greedy rule
};

struct tdm_branch {
	int node;     // the last one that stays, with all before it; -1: none
	int32_t next; // the token after it
};

// accept: n_draws uniform draws on [0, 1); last: one more. No draw is used twice.
typedef struct tdm_branch tdm_branch_rule(const struct tdm_branches *b, const double *accept, double last);
tdm_branch_rule tdm_branch_distinct, tdm_branch_independent;
// At temperature 0: the child stays that the target's largest logit names. p gives logits here; q is not looked at.
struct tdm_branch tdm_branch_greedy(const struct tdm_branches *b);
// The least rho for k draws with which no token is kept more often than p has it; at least 1, at most k.
double tdm_branch_rho(const float *p, const float *q, int n_vocab, int k);
