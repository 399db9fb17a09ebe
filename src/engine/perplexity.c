// Perplexity of a text under a model, by the definition of llama.cpp's tool of that name, so that figures compare.
//
// The text's tokens (one line break at its end is left out, the begin token added where the model wants one) are cut
// into chunks of `context` tokens; a rest is left out. Each chunk is read alone; its first token becomes the begin
// token where the model wants one; the tokens after its middle count: perplexity = e^(mean of -log p of those).
// The rule it protects: the same tokens count, and are conditioned on the same tokens, as in that tool.
#include "base/status.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 64 }; // rows of logits at a time

struct tdm_perplexity {
	struct tdm_engine *engine;
	struct tdm_seq *seq;
	int32_t *tokens;
	int context, n_chunks, n_done;
	int32_t begin; // -1: the model wants none
	uint64_t n_counted;
	double sum, sum_squares; // of -log p
};

// The begin token stands where the text's tokens start.
static int read_tokens(struct tdm_perplexity *p, const char *text, size_t n, struct tdm_error *err) {
	const struct tdm_vocab *v = tdm_engine_vocab(p->engine);
	n -= n && text[n - 1] == '\n';
	int n_begin = p->begin >= 0, n_tokens = tdm_tokenize(v, text, n, NULL, 0);
	if (n_tokens < 0)
		return tdm_fail(err, n_tokens, "the text cannot be turned into tokens");
	p->tokens = malloc(((size_t)n_tokens + 1) * sizeof *p->tokens);
	if (!p->tokens)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a text of %d tokens", n_tokens);
	p->tokens[0] = p->begin;
	tdm_tokenize(v, text, n, p->tokens + n_begin, n_tokens);
	p->n_chunks = (n_tokens + n_begin) / p->context;
	if (p->n_chunks < 2)
		return tdm_fail(err, TDM_EVALUE, "the text has %d tokens; expected two chunks of %d tokens or more",
		                n_tokens + n_begin, p->context);
	return TDM_OK;
}

int tdm_perplexity_open(struct tdm_engine *e, const char *text, size_t n, int context, struct tdm_perplexity **out,
                        struct tdm_error *err) {
	const struct tdm_engine_info *info = tdm_engine_info(e);
	if (context < 4 || context > info->context)
		return tdm_fail(err, TDM_EVALUE, "chunks of %d tokens; expected 4 to the model's %d", context, info->context);
	struct tdm_perplexity *p = calloc(1, sizeof *p);
	if (!p)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a perplexity");
	p->engine = e;
	p->context = context;
	p->begin = tdm_token_bos(tdm_engine_vocab(e));
	int status = read_tokens(p, text, n, err);
	if (status == TDM_OK)
		status = tdm_seq_open(e, &p->seq, err);
	if (status == TDM_OK)
		*out = p;
	else
		tdm_perplexity_close(p);
	return status;
}

void tdm_perplexity_close(struct tdm_perplexity *p) {
	if (!p)
		return;
	tdm_seq_close(p->seq);
	free(p->tokens);
	free(p);
}

// n tokens of a chunk; when they count, each row of logits meets the token after it.
static int read_slice(struct tdm_perplexity *p, const int32_t *tokens, int n, bool counts, struct tdm_error *err) {
	uint8_t wanted[SLICE];
	int n_vocab = tdm_engine_info(p->engine)->n_vocab;
	memset(wanted, counts, sizeof wanted);
	int status = tdm_seq_eval(p->seq, tokens, n, wanted, NULL, err);
	for (int i = 0; i < n && counts && status == TDM_OK; i++) {
		double loss = -(double)tdm_log_softmax_at(tdm_seq_logits(p->seq, i), n_vocab, tokens[i + 1]);
		p->sum += loss;
		p->sum_squares += loss * loss;
		p->n_counted++;
	}
	return status;
}

int tdm_perplexity_next(struct tdm_perplexity *p, struct tdm_error *err) {
	if (p->n_done == p->n_chunks)
		return tdm_fail(err, TDM_EVALUE, "all %d chunks are read", p->n_chunks);
	int32_t *chunk = p->tokens + (size_t)p->n_done * (size_t)p->context;
	int middle = p->context / 2, status = TDM_OK, n;
	if (p->begin >= 0)
		chunk[0] = p->begin;
	tdm_seq_rewind(p->seq, 0);
	for (int at = 0; at < p->context - 1 && status == TDM_OK; at += n) {
		int end = at < middle ? middle : p->context - 1; // nothing follows the last token
		n = end - at < SLICE ? end - at : SLICE;
		status = read_slice(p, chunk + at, n, at >= middle, err);
	}
	p->n_done += status == TDM_OK;
	return status;
}

struct tdm_perplexity_figures tdm_perplexity_figures(const struct tdm_perplexity *p) {
	struct tdm_perplexity_figures f = {.n_chunks = p->n_chunks, .n_done = p->n_done, .n_counted = p->n_counted};
	double n = (double)p->n_counted;
	if (n < 2)
		return f;
	double mean = p->sum / n, variance = p->sum_squares / n - mean * mean;
	f.value = exp(mean);
	f.error = variance > 0 ? f.value * sqrt(variance / (n - 1)) : 0;
	return f;
}
