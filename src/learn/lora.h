// Lora: low-rank changes of a net's matrices that learn in the net's place (Hu et al. 2021, equation 3:
// W = W0 + alpha / r B A). The passes give the gradient of W as ever; those of A and B follow from it.
//
// Every matrix of every layer has a pair; the embedding, which is the output head too, and the norms stay as they are.
#pragma once
#include "learn/net.h"

enum { TDM_LORA_MOST_RANK = 256 }; // as the engine

struct tdm_lora {
	int rank;
	float alpha;
	size_t n;                  // floats of all pairs
	float *base;               // [net's n_params]: W0
	float *factors, *gradient; // [n]: pair after pair, A [rank, n_in], then B [n_out, rank]
};

// A normal of variance 1 / n_in, B zero, so that the net is what it was. Error: TDM_EVALUE for a rank that is not 1 to
// TDM_LORA_MOST_RANK, TDM_ENOMEM; then the caller releases.
int tdm_lora_init(struct tdm_lora *l, const struct tdm_net *net, int rank, double alpha, uint64_t seed,
                  struct tdm_error *err);
void tdm_lora_release(struct tdm_lora *l);
void tdm_lora_apply(const struct tdm_lora *l, struct tdm_net *net); // after the factors have changed
// l->gradient from that of all the net's parameters.
void tdm_lora_gradient(struct tdm_lora *l, const struct tdm_net *net, const float *gradient);
// As a GGUF adapter that this engine and llama.cpp load. type: as for tdm_export. Error: TDM_EIO, TDM_ENOMEM.
int tdm_lora_export(const struct tdm_lora *l, const struct tdm_net *net, const char *name, enum tdm_tensor_type type,
                    const char *path, struct tdm_error *err);
