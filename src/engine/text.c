// Text: what an engine makes of text beside tokens: conversations, the tree of its vocabulary, constraints, embeddings.
//
// The rule it protects: what needs only the vocabulary never waits for a pass; the tree is made once.
#include "base/status.h"
#include "engine/batch.h"
#include "engine/constraint.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

// --- conversations and forms

int tdm_engine_render(const struct tdm_engine *e, const struct tdm_message *messages, size_t n, int32_t *out, int cap,
                      struct tdm_error *err) {
	bool is_open = n > 0 && messages[n - 1].from == TDM_FROM_ASSISTANT;
	if (!e->chat)
		return tdm_fail(err, TDM_ECONFIG, "%s has no chat template, and no chat format was set", e->name);
	return tdm_chat_tokens(e->chat, e->vocab, messages, n, !is_open, is_open, out, cap, err);
}

static size_t vocab_piece(const void *vocab, int32_t token, const char **text) {
	return tdm_token_piece(vocab, token, text);
}

static bool vocab_is_end(const void *vocab, int32_t token) {
	return tdm_token_is_end(vocab, token);
}

const struct tdm_token_tree *tdm_engine_tokens(struct tdm_engine *e, struct tdm_error *err) {
	struct tdm_token_source source = {e->vocab, e->info.n_vocab, vocab_piece, vocab_is_end};
	pthread_mutex_lock(&e->tokens_lock);
	if (!e->tokens)
		tdm_token_tree_new(&source, &e->tokens, err);
	const struct tdm_token_tree *tokens = e->tokens;
	pthread_mutex_unlock(&e->tokens_lock);
	return tokens;
}

const struct tdm_token_tree *tdm_engine_tokens_made(struct tdm_engine *e) {
	pthread_mutex_lock(&e->tokens_lock);
	const struct tdm_token_tree *tokens = e->tokens;
	pthread_mutex_unlock(&e->tokens_lock);
	return tokens;
}

int tdm_engine_constrain(struct tdm_engine *e, const struct tdm_grammar *g, struct tdm_constraint **out,
                         struct tdm_error *err) {
	const struct tdm_token_tree *tokens = tdm_engine_tokens(e, err);
	return tokens ? tdm_constraint_new(g, tokens, out, err) : TDM_ENOMEM;
}

// --- embeddings

// The tokens of the text between the marks of its beginning and, for an encoder, its end, as far as the vocabulary has
// them. Their number, or a negative status; *out is to be freed.
static int whole_text(const struct tdm_engine *e, const char *text, size_t len, int32_t **out, struct tdm_error *err) {
	int32_t bos = tdm_token_bos(e->vocab), eos = tdm_token_eos(e->vocab);
	int first = bos >= 0, n = tdm_tokenize(e->vocab, text, len, NULL, 0);
	if (n < 0)
		return tdm_fail(err, n, "%s: the text cannot be split into tokens", e->name);
	*out = malloc(((size_t)n + 2) * sizeof **out);
	if (!*out)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for %d tokens", e->name, n);
	if (first)
		(*out)[0] = bos;
	n = first + tdm_tokenize(e->vocab, text, len, *out + first, n);
	if (first && eos >= 0 && e->info.is_encoder)
		(*out)[n++] = eos;
	if (n < 1)
		return tdm_fail(err, TDM_EVALUE, "%s: an empty text has no embedding", e->name);
	if (n > e->info.context)
		return tdm_fail(err, TDM_ECONTEXT, "%s: the text has %d tokens, but the context holds %d", e->name, n,
		                e->info.context);
	return n;
}

// Sum of the hidden rows of all tokens.
static int sum_hidden(struct tdm_seq *s, const int32_t *tokens, int n, const tdm_flag *cancelled, float *sum,
                      struct tdm_error *err) {
	uint8_t all[TDM_MAX_ROWS];
	int width = s->engine->info.width, status = TDM_OK;
	memset(all, 1, sizeof all);
	memset(sum, 0, (size_t)width * sizeof *sum);
	for (int at = 0; at < n && !status; at += TDM_MAX_ROWS) {
		int length = n - at < TDM_MAX_ROWS ? n - at : TDM_MAX_ROWS;
		status = tdm_seq_eval(s, tokens + at, length, all, cancelled, err);
		for (int row = 0; row < length && !status; row++)
			for (int i = 0; i < width; i++)
				sum[i] += tdm_seq_hidden(s, row)[i];
	}
	return status;
}

static void normalise(float *x, int n) {
	double square = 0;
	for (int i = 0; i < n; i++)
		square += (double)x[i] * (double)x[i];
	for (int i = 0; square > 0 && i < n; i++)
		x[i] = (float)((double)x[i] / sqrt(square));
}

static int embed_tokens(struct tdm_engine *e, const struct tdm_adapter *adapter, const int32_t *tokens, int n,
                        const tdm_flag *cancelled, float *out, struct tdm_error *err) {
	struct tdm_seq *s;
	if (e->info.is_encoder)
		return tdm_engine_encode(e, tokens, n, cancelled, out, err);
	int status = tdm_seq_open(e, &s, err);
	if (status)
		return status;
	tdm_seq_use(s, adapter);
	status = sum_hidden(s, tokens, n, cancelled, out, err);
	tdm_seq_close(s);
	return status;
}

int tdm_engine_embed(struct tdm_engine *e, const struct tdm_adapter *adapter, const char *text, size_t len,
                     const tdm_flag *cancelled, float *out, int *n_tokens, struct tdm_error *err) {
	int32_t *tokens = NULL;
	if (adapter && e->info.is_encoder)
		return tdm_fail(err, TDM_ECONFIG, "%s is an encoder, which takes no adapter", e->name);
	int n = whole_text(e, text, len, &tokens, err), status = n;
	if (n > 0)
		status = embed_tokens(e, adapter, tokens, n, cancelled, out, err);
	free(tokens);
	if (status)
		return status;
	normalise(out, e->info.width);
	if (n_tokens)
		*n_tokens = n;
	return TDM_OK;
}
