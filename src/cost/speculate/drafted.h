// Drafted: an answer of the target whose tokens a smaller model drafts; the target verifies a whole draft in one pass.
//
// The rule it protects: exactness. p and q pass through the same transform; q is recorded as it was when it drew the
// token; nothing of a rejected draft survives in either session; every random number is used once, from streams of its
// own for draft, acceptance and replacement. "Exact" is with respect to the target's logits in verification passes.
// Where acceptance is not exact (leeway.h), the answer's record says so.
#pragma once
#include "cost/speculate/follow.h"
#include "cost/defer/leeway.h"
#include "models/align.h"

enum { TDM_DRAFT_MOST = 24 };
enum tdm_draft_rule {
	TDM_VERIFY_TOKEN, // of sampled answers: verify.h; of trees: branches.h, without replacement
	TDM_VERIFY_BLOCK,
	TDM_VERIFY_KSEQ // of trees alone
};

struct tdm_drafted_kind { // of the kind's model; lives as long as it
	const char *name;
	struct tdm_model *target, *draft; // draft NULL: the target's own first layers
	int layers;                       // so many of them
	const struct tdm_align *map;      // of the draft's tokens to the target's; NULL: they are the same
	int64_t gamma, opening;           // tokens of a draft, and of the one made while the target reads the prompt
	int64_t nodes, width, depth;      // of a tree; nodes 0: chains
	double min_node;                  // of a tree: no token is less likely
	enum tdm_draft_rule verify;
	enum tdm_accept accept;
	double alpha; // of cascades
	bool adaptive, ahead;
	double min_prob;
	struct tdm_follow_kind *paces; // keeps what answers have learned of time
};

int tdm_drafted(const struct tdm_drafted_kind *k, struct tdm_run *run, const struct tdm_request *request,
                struct tdm_sink *sink, struct tdm_result *result);
