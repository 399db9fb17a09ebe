// Decoder: the forward pass over rows, which are tokens of any mixture of sequences.
#pragma once
#include "base/pool.h"
#include "engine/adapter.h"
#include "engine/pages.h"

enum { TDM_MAX_ROWS = 64 }; // of one pass

struct tdm_row {
	int32_t token;
	int position;                  // in its sequence; its keys go to page position / 16
	const struct tdm_pages *pages; // of its sequence: rows of a sequence stand together
	// Other sequences that get its key and value too: bit i stands for others[i], their pages. Of trees only.
	const struct tdm_pages *const *others;
	uint64_t also;
	int n_layers;                      // only so many of the first layers, then the head; 0: all
	int n_keys;                        // of the sequence that it sees; 0: those up to its own
	const struct tdm_adapter *adapter; // NULL: none
	const float *added;                // to its embedding, width floats; NULL: nothing
	float *logits;                     // NULL, or room for n_vocab, padded to a multiple of 32; then hidden too
	float *hidden;                     // NULL, or room for width
};

struct tdm_decoder; // buffers of one pass; one pass at a time

struct tdm_decoder *tdm_decoder_new(const struct tdm_weights *w, const struct tdm_cache *cache, int n_threads);
void tdm_decoder_free(struct tdm_decoder *d);
int tdm_decoder_threads(const struct tdm_decoder *d);
// 1 <= n <= TDM_MAX_ROWS. stop (may be NULL) is asked before each layer; false: it said yes, and what rows point to is
// undefined.
bool tdm_decoder_run(struct tdm_decoder *d, const struct tdm_row *rows, int n, bool (*stop)(void *), void *arg);
