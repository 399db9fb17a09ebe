// Perplexity of a text under a model, by the definition of llama.cpp's tool of that name, so that figures compare.
//
// The text's tokens (one line break at its end is left out, the begin token added where the model wants one) are cut
// into chunks of `context` tokens; a rest is left out. Each chunk is read alone; its first token becomes the begin
// token where the model wants one; the tokens after its middle count: perplexity = e^(mean of -log p of those).
#pragma once
#include "engine/engine.h"

struct tdm_perplexity; // belongs to one thread

struct tdm_perplexity_figures {
	int n_chunks, n_done;
	uint64_t n_counted;  // tokens
	double value, error; // so far; error: the standard error of value
};

// The text is read here and not needed afterwards. Error: TDM_EVALUE when it has less than two chunks.
int tdm_perplexity_open(struct tdm_engine *e, const char *text, size_t n, int context, struct tdm_perplexity **out,
                        struct tdm_error *err);
void tdm_perplexity_close(struct tdm_perplexity *p);
int tdm_perplexity_next(struct tdm_perplexity *p, struct tdm_error *err); // one chunk; none is left: TDM_EVALUE
struct tdm_perplexity_figures tdm_perplexity_figures(const struct tdm_perplexity *p);
