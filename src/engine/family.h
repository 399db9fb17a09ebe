// Families: the architectures of weight files that this engine runs, as rows of a table.
//
// There is one decoder, and an encoder made of its parts; what a family does otherwise than Llama is a word here, a
// tensor that its files have, or a number in their metadata. To add a family: a row in family.c, and a line in the tool
// that makes random weights of each (tests/tools/random_model.c), from which the tests compare it with llama.cpp.
#pragma once
#include <stddef.h>

enum tdm_trait {
	TDM_QKV_BIAS = 1,          // its files have biases of q, k and v; other biases may be there in every family
	TDM_HEAD_NORMS = 2,        // each head of q and k is normalised before it is rotated
	TDM_POST_NORMS = 4,        // what attention and feed-forward return is normalised before it is added
	TDM_FUSED_GATE = 8,        // ffn_up holds the rows of the gate and then those of up
	TDM_HALVES = 16,           // rotation pairs element i with i + n / 2; without: 2 i with 2 i + 1
	TDM_GELU = 32,             // the gate is GELU (by tanh); without: SiLU
	TDM_SCALED_EMBEDDING = 64, // embeddings are multiplied with the square root of the width
	TDM_ENCODER = 128,         // every token sees every other one; layer norms with biases, after the sums
	TDM_PLAIN = 256,           // the feed-forward has no gate: the activation of up
	TDM_POSITIONS = 512,       // a vector of each position is added to the embeddings
};
#define TDM_EVERY_LAYER 0x7FFFFFFF

struct tdm_family {
	const char *name; // general.architecture
	unsigned traits;  // enum tdm_trait
	int unrotated;    // every n-th layer is without rotation; 0: none is
	// Of each n layers the last sees everything, the others a window of the metadata's length; 0: the metadata's window
	// is not what the model was trained with, and no layer has one.
	int window_period;
	int window;                      // where the metadata names none; 0: no layer has one
	double local_base;               // of the rotation in layers with a window; 0: as in the others
	double attention_cap, logit_cap; // where the metadata names none; 0: none
	int n_wide_layers; // a model of as many layers scales attention by width / heads instead of the head's length; or 0
};

const struct tdm_family *tdm_family_find(const char *name, size_t n); // NULL: not supported
const struct tdm_family *tdm_family_at(size_t i);                     // NULL after the last
