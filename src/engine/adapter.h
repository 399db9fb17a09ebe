// Adapter: a low-rank change of some of a model's matrices, for the sequences that ask for it (LoRA: Hu et al. 2021,
// equation 3: W x + alpha / r * B A x). The file is a GGUF file of general.type "adapter" with pairs of tensors
// NAME.lora_a [r rows of the matrix's inputs] and NAME.lora_b [outputs of r].
#pragma once
#include "engine/weights.h"

enum { TDM_MOST_RANK = 256 };

struct tdm_low_rank {
	struct tdm_matrix a, b; // F32; b has the factor scale * alpha / r in it. b.n_rows 0: this matrix is as it was
};

struct tdm_adapter {
	struct tdm_store store;
	struct tdm_low_rank *pairs; // [places of the model]
	uint64_t id;                // of its own among all that were ever opened
	int n_pairs;                // that change something
};

// name: for sentences. scale: of the change. Error: TDM_EFORMAT for a file that is no adapter, of another architecture,
// or with a tensor that has no place in the model or another shape; TDM_ENOMEM. On failure *out is empty.
int tdm_adapter_read(struct tdm_adapter *out, const struct tdm_weights *w, const struct tdm_gguf *g, const char *name,
                     float scale, struct tdm_error *err);
void tdm_adapter_release(struct tdm_adapter *a);
