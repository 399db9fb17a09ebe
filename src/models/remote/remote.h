// Remote, inside: what remote.c makes and remote_send.c uses. Nobody else includes this.
#pragma once
#include "models/policies/breaker.h"
#include "models/remote/dialect.h"
#include "models/remote/keys.h"

struct tdm_remote_options {
	const char *url, *model, *key, *ca;
	struct tdm_strings keys, forward;
	int format;
	int64_t timeout_ms, connect_timeout_ms, first_token_ms, idle_ms, token_ms, min_rate, rate_window_ms, max_tokens,
	    embed_batch;
	double temperature;
	bool breaker, score, trace, embed, cuts_vectors;
};

struct tdm_remote {
	struct tdm_model model;
	struct tdm_remote_options options;
	const struct tdm_dialect *dialect;
	struct tdm_asking asking;
	const char *url, *prompt_url, *embed_url, *host;
	struct tdm_http *http;
	struct tdm_keys keys;
	struct tdm_breaker breaker;
};

struct tdm_remote_ask { // one request to the upstream
	struct tdm_remote *remote;
	struct tdm_run *run;
	const struct tdm_request *request;
	const char *url;
	const struct tdm_bytes *body;
	struct tdm_sink *sink; // NULL: the answer is no stream, and goes into `whole`
	struct tdm_result *result;
	struct tdm_bytes *whole; // of an answer with status 200
};
// Asks, by way of the breaker, with a key that does not rest, once more where the connection was cut before anything
// was answered. A stream leaves its row in the record; for a whole answer the caller does that.
int tdm_remote_send(const struct tdm_remote_ask *a);
// Of an upstream that echoes prompts (remote_score.c): tdm_model_ops.score, and the tokens of a raw prompt into its
// echo.
int tdm_remote_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, const char *const *texts,
                     size_t n, double *logprobs, int *n_tokens);
// Of an upstream that makes vectors (remote_embed.c): tdm_model_ops.embed_all.
int tdm_remote_embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                     const float **out, int *width);
int tdm_remote_echo(struct tdm_remote *r, struct tdm_run *run, const struct tdm_request *rq, struct tdm_result *result);
