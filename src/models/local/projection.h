// Projection: from what one model makes of a prompt's tokens, its hidden states, to vectors that are added to another
// model's embeddings of the same tokens: outer relu(inner x) (LLM-to-SLM, arXiv 2402.16844). `tandem fit-states` makes
// it for a pair.
//
// The rule it protects: a projection serves the two weight files that it was made for and no others. It names them by
// the hashes of their bytes.
#pragma once
#include "base/status.h"
#include "engine/kernels.h"

struct tdm_build;
struct tdm_model;

struct tdm_projection { // as it is learned and written
	int layers;         // of the large model, from the first on, after which its states are taken; 0: all
	int n_in, n_hidden, n_out;
	float *inner, *outer; // [n_in, n_hidden], [n_hidden, n_out]: a row is what one input adds to the outputs
	char small[72], large[72];
};
int tdm_projection_write(const struct tdm_projection *p, const char *path, struct tdm_error *err); // F16

struct tdm_projector { // as it is used, by any number of threads
	int layers, n_in, n_hidden, n_out;
	const struct tdm_kernels *kernels;
	struct tdm_store store;
	struct tdm_matrix inner, outer;
};
int tdm_projector_init(struct tdm_projector *out, const struct tdm_projection *p, struct tdm_error *err);
void tdm_projector_release(struct tdm_projector *p);
// out[n, n_out] of states[n, n_in]. TDM_ENOMEM.
int tdm_projector_apply(const struct tdm_projector *p, const float *states, int n, float *out, struct tdm_error *err);
// For create() of a kind: the file that an option names, for these two models of kind local; to be released. Error:
// TDM_ECONFIG with b->error set.
int tdm_projector_open(const struct tdm_build *b, const char *name, const struct tdm_model *small,
                       const struct tdm_model *large, struct tdm_projector *out);
