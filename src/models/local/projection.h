// Projection: from what one model makes of a prompt's tokens, its hidden states, to vectors that are added to another
// model's embeddings of the same tokens: outer relu(inner x) (LLM-to-SLM, arXiv 2402.16844). `tandem fit-states` makes
// it for a pair.
//
// The rule it protects: a projection serves the two weight files that it was made for and no others. It names them by
// the hashes of their bytes.
#pragma once
#include "base/status.h"

struct tdm_build;
struct tdm_model;
struct tdm_projection {
	int layers; // of the large model, from the first on, after which its states are taken; 0: all
	int n_in, n_hidden, n_out;
	float *inner, *outer; // [n_in, n_hidden], [n_hidden, n_out]: a row is what one input adds to the outputs
	char small[72], large[72];
};

// out[n, n_out] of states[n, n_in].
void tdm_projection_apply(const struct tdm_projection *p, const float *states, int n, float *out);
int tdm_projection_write(const struct tdm_projection *p, const char *path, struct tdm_error *err); // F16
// For create() of a kind: the file that an option names, for these two models of kind local. In the tree's arena.
// Error: TDM_ECONFIG with b->error set.
int tdm_projection_open(const struct tdm_build *b, const char *name, const struct tdm_model *small,
                        const struct tdm_model *large, const struct tdm_projection **out);
