// Local: weights in this process as a model. The rule kept here: an answer depends on the request, the run's seed and
// the weights alone, and decoding stops at the next token when nobody waits for it.
//
// generate() is the plainest user of a session: render, evaluate, choose, write, evaluate one more token. Strategies
// that do more open sessions of their own. The tree keeps the engine open as long as there can be sessions.
#include "models/account.h"
#include "models/local/local.h"
#include "base/clock.h"
#include "models/local/echo.h"
#include "models/local/encoded.h"
#include "models/local/engines.h"
#include "models/local/joint.h"
#include "models/forms.h"
#include "models/keeper.h"
#include "models/sources.h"
#include "models/local/writer.h"
#include <stdlib.h>
#include <string.h>

#define N_CHUNK 64 // tokens per pass where every row is wanted: bounds the memory of long scores and embeddings

struct options {
	const char *path, *chat, *kernels, *adapter;
	int64_t threads, context, top_k, max_tokens, cache_mb;
	double adapter_scale, temperature, top_p, min_p, repeat_penalty;
	int cache_type;
	bool cuts_vectors;
};

struct local {
	struct tdm_model model;
	struct tdm_engine *engine;
	struct tdm_adapter *adapter; // NULL: none; every session uses it
	struct tdm_sampling own;
	int max_tokens;
};

struct local_session {
	struct tdm_session session;
	struct local *local;
	struct tdm_seq *seq;
	uint8_t all[N_CHUNK]; // "every row is wanted"
};

static struct local_session *of(struct tdm_session *s) {
	return (struct local_session *)s;
}

// --- the conversation as tokens

struct prompt {
	int32_t *tokens;
	int n;
};

static int too_long(struct local *l, struct tdm_run *run, int n) {
	return tdm_fail(&run->error, TDM_ECONTEXT, "model %s: the request has %d tokens, but the context holds %d",
	                l->model.name, n, tdm_engine_info(l->engine)->context);
}

// The prompt's own tokens.
static int copy_tokens(const struct tdm_raw *raw, int32_t *out, int cap) {
	int n = raw->n_tokens < cap ? raw->n_tokens : cap;
	if (n > 0)
		memcpy(out, raw->tokens, (size_t)n * sizeof *out);
	return raw->n_tokens;
}

static int split_texts(const struct local *l, struct tdm_run *run, const struct tdm_request *rq, int32_t *out,
                       int cap) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(l->engine);
	int n = 0;
	for (size_t i = 0; i < rq->n_messages; i++) {
		int room = cap > n ? cap - n : 0;
		int more = tdm_tokenize(vocab, rq->messages[i].text, rq->messages[i].len, room ? out + n : NULL, room);
		if (more < 0)
			return tdm_fail(&run->error, more, "model %s: the prompt cannot be split into tokens", l->model.name);
		n += more;
	}
	return n;
}

// A prompt as it stands: tokens, or the texts one after the other behind what texts begin with. Their number, or a
// negative status; at most cap are written.
static int render_raw(const struct local *l, struct tdm_run *run, const struct tdm_request *rq, int32_t *out, int cap) {
	const struct tdm_vocab *vocab = tdm_engine_vocab(l->engine);
	int32_t bos = tdm_token_bos(vocab), start = bos >= 0 ? bos : tdm_token_eos(vocab);
	bool is_split = rq->raw->tokens && rq->raw->vocab_id == tdm_vocab_id(vocab);
	int first = bos >= 0 && !is_split;
	int n = is_split ? copy_tokens(rq->raw, out, cap)
	                 : split_texts(l, run, rq, cap > first ? out + first : NULL, cap > first ? cap - first : 0);
	if (n < 0)
		return n;
	if (n == 0 && start < 0)
		return tdm_fail_param(&run->error, TDM_EVALUE, "prompt", "prompt: is empty, and model %s has no start token",
		                      l->model.name);
	if ((first || n == 0) && cap > 0)
		out[0] = start;
	return first || n == 0 ? n + 1 : n;
}

static int count_tokens(const struct local *l, struct tdm_run *run, const struct tdm_request *rq, int32_t *out,
                        int cap) {
	if (rq->raw)
		return render_raw(l, run, rq, out, cap);
	return tdm_engine_render(l->engine, rq->messages, rq->n_messages, out, cap, &run->error);
}

static int render(struct local *l, struct tdm_run *run, const struct tdm_request *rq, struct prompt *out) {
	int cap = tdm_engine_info(l->engine)->context;
	out->tokens = tdm_arena_array(run->arena, (size_t)cap, sizeof *out->tokens);
	if (!out->tokens)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the prompt", l->model.name);
	out->n = count_tokens(l, run, rq, out->tokens, cap);
	if (out->n < 0)
		return out->n;
	return out->n > cap ? too_long(l, run, out->n) : TDM_OK;
}

static int local_count(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, int64_t *n) {
	struct local *l = (struct local *)m;
	int count = count_tokens(l, run, rq, NULL, 0);
	*n = count > 0 ? count : 0;
	return count < 0 ? count : TDM_OK;
}

// --- sessions

// Appends tokens with a row for each of them.
static int eval_all(struct local_session *s, struct tdm_run *run, const int32_t *tokens, int n) {
	const uint8_t *wanted = s->all;
	if (n > N_CHUNK) {
		uint8_t *flags = tdm_arena_alloc(run->arena, (size_t)n);
		if (!flags)
			return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for %d tokens", s->local->model.name, n);
		memset(flags, 1, (size_t)n);
		wanted = flags;
	}
	return tdm_seq_eval(s->seq, tokens, n, wanted, run->cancelled, &run->error);
}

// As prompt_silently, for a prompt whose tokens are wanted.
static int prompt_with_echo(struct local_session *s, struct tdm_run *run, const struct tdm_request *rq,
                            const struct prompt *prompt) {
	struct tdm_echo *echo = rq->raw->echo;
	tdm_seq_rewind(s->seq, 0);
	int status = tdm_echo_read(run, &s->session, prompt->tokens, prompt->n, rq->top_logprobs, echo);
	if (!status && !rq->raw->tokens && rq->n_messages == 1)
		tdm_echo_fit(echo, rq->messages[0].text, rq->messages[0].len);
	if (!status)
		status = tdm_seq_eval(s->seq, prompt->tokens + prompt->n - 1, 1, NULL, run->cancelled, &run->error);
	s->session.prompt_tokens = status ? 0 : prompt->n;
	s->session.cached_tokens = 0;
	return status;
}

static int prompt_silently(struct local_session *s, struct tdm_run *run, const struct tdm_request *rq,
                           const struct tdm_tail *tail) {
	struct prompt prompt = {0};
	int status = render(s->local, run, rq, &prompt);
	if (status)
		return status;
	if (rq->raw && rq->raw->echo)
		return prompt_with_echo(s, run, rq, &prompt);
	status = tdm_seq_prompt_and(s->seq, run->tenant, prompt.tokens, prompt.n, tail, run->cancelled,
	                            &s->session.cached_tokens, &run->error);
	s->session.prompt_tokens = status ? 0 : prompt.n;
	return status;
}

static int session_prompt(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *rq,
                          const struct tdm_tail *tail) {
	int status = tdm_spend_check(run, s->model, rq);
	if (status)
		return status;
	tdm_run_saw(run, s->model, rq);
	return prompt_silently(of(s), run, rq, tail);
}

int tdm_local_states(struct tdm_session *session, struct tdm_run *run, const struct tdm_request *rq, float **states) {
	struct local_session *s = of(session);
	struct prompt prompt = {0};
	*states = NULL;
	int status = tdm_spend_check(run, session->model, rq);
	if (status)
		return status;
	tdm_run_saw(run, session->model, rq);
	status = render(s->local, run, rq, &prompt);
	if (status)
		return status;
	*states = malloc((size_t)prompt.n * (size_t)session->width * sizeof **states);
	if (!*states)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the states of %d tokens",
		                session->model->name, prompt.n);
	tdm_seq_rewind(s->seq, 0);
	session->prompt_tokens = prompt.n;
	session->cached_tokens = 0;
	return tdm_seq_states(s->seq, prompt.tokens, prompt.n, *states, run->cancelled, &run->error);
}

void tdm_local_add(struct tdm_session *s, const float *vectors, int n) {
	tdm_seq_add(of(s)->seq, vectors, n);
}

static int session_eval(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, const int *parents, int n) {
	int status = tdm_run_check(run);
	if (status)
		return status;
	if (parents)
		return tdm_seq_eval_tree(of(s)->seq, tokens, parents, n, run->cancelled, &run->error);
	return eval_all(of(s), run, tokens, n);
}

static void session_keep(struct tdm_session *s, int node) {
	tdm_seq_keep(of(s)->seq, node);
}

static const float *session_logits(struct tdm_session *s, int row) {
	return tdm_seq_logits(of(s)->seq, row);
}

static const float *session_hidden(struct tdm_session *s, int row) {
	return tdm_seq_hidden(of(s)->seq, row);
}

static int session_length(struct tdm_session *s) {
	return tdm_seq_length(of(s)->seq);
}

static int session_rewind(struct tdm_session *s, int length) {
	if (length < 0 || length > tdm_seq_length(of(s)->seq))
		return TDM_EVALUE;
	tdm_seq_rewind(of(s)->seq, length);
	return TDM_OK;
}

static size_t session_piece(struct tdm_session *s, int32_t token, const char **text) {
	return tdm_token_piece(tdm_engine_vocab(of(s)->local->engine), token, text);
}

static bool session_is_end(struct tdm_session *s, int32_t token) {
	return tdm_token_is_end(tdm_engine_vocab(of(s)->local->engine), token);
}

static int session_tokenize(struct tdm_session *s, const char *text, size_t len, int32_t *out, int cap) {
	return tdm_tokenize(tdm_engine_vocab(of(s)->local->engine), text, len, out, cap);
}

static int session_ids(struct tdm_session *s, int32_t *out, int cap) {
	return tdm_seq_ids(of(s)->seq, out, cap);
}

static const struct tdm_token_tree *session_tokens(struct tdm_session *s, struct tdm_run *run) {
	return tdm_engine_tokens(of(s)->local->engine, &run->error);
}

static void session_close(struct tdm_session *s) {
	tdm_seq_close(of(s)->seq);
	free(s);
}

// n_layers 0: all of them.
static int fork_to(struct tdm_session *s, struct tdm_run *run, int n_layers, struct tdm_session **out) {
	struct local_session *copy = malloc(sizeof *copy);
	if (!copy)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a session", s->model->name);
	*copy = *of(s);
	int status = n_layers ? tdm_seq_fork_first(of(s)->seq, n_layers, &copy->seq, &run->error)
	                      : tdm_seq_fork(of(s)->seq, &copy->seq, &run->error);
	if (status)
		free(copy);
	else
		*out = &copy->session;
	return status;
}

static int session_fork(struct tdm_session *s, struct tdm_run *run, struct tdm_session **out) {
	return fork_to(s, run, 0, out);
}

static const struct tdm_session_ops session_ops = {
    .prompt = session_prompt,
    .eval = session_eval,
    .keep = session_keep,
    .logits = session_logits,
    .hidden = session_hidden,
    .length = session_length,
    .rewind = session_rewind,
    .fork = session_fork,
    .first = fork_to,
    .piece = session_piece,
    .is_end = session_is_end,
    .tokenize = session_tokenize,
    .ids = session_ids,
    .close = session_close,
    .tokens = session_tokens,
};

static int local_open(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	struct local *l = (struct local *)m;
	const struct tdm_engine_info *info = tdm_engine_info(l->engine);
	struct local_session *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a session", m->name);
	s->local = l;
	memset(s->all, 1, sizeof s->all);
	s->session = (struct tdm_session){
	    .ops = &session_ops,
	    .model = m,
	    .n_vocab = info->n_vocab,
	    .width = info->width,
	    .context = info->context,
	    .vocab_id = tdm_vocab_id(tdm_engine_vocab(l->engine)),
	    .own = l->own,
	    .max_tokens = l->max_tokens,
	};
	int status = tdm_seq_open(l->engine, &s->seq, &run->error);
	if (status) {
		free(s);
		return status;
	}
	tdm_seq_use(s->seq, l->adapter);
	*out = &s->session;
	return TDM_OK;
}

// --- answering

// The answer's limit: the request's, or the model's own; what does not fit is clipped, and told when it was asked for.
static int answer_limit(const struct local *l, struct tdm_run *run, const struct tdm_request *rq, int prompt_tokens) {
	int room = tdm_engine_info(l->engine)->context - prompt_tokens + 1; // the last token need not be computed
	int limit = rq->max_tokens > 0 ? rq->max_tokens : l->max_tokens;
	if (limit <= room)
		return limit;
	if (rq->max_tokens > 0)
		tdm_record_warn(run->record, "parameter_clipped", "max_tokens",
		                "the answer's limit was clipped to what the context holds");
	return room;
}

struct decoding {
	struct tdm_writer *writer;
	struct tdm_keeper *keeper;
	struct tdm_sampling sampling;
	struct tdm_rng rng;
	float *probs;
	int32_t *answer;
	int n;
};

static int decode_token(struct local_session *s, struct tdm_run *run, struct decoding *d) {
	const float *logits = tdm_seq_logits(s->seq, 0);
	const float *row = tdm_keeper_row(d->keeper, d->answer, d->n, logits);
	if (!row)
		return run->error.status;
	int32_t token = tdm_joint_choose(&d->sampling, row, s->session.n_vocab, d->answer, d->n, d->probs, &d->rng);
	int status = tdm_writer_token(d->writer, token, logits, NULL);
	if (status)
		return status;
	d->answer[d->n++] = token;
	status = tdm_run_check(run);
	return status ? status : tdm_seq_eval(s->seq, &token, 1, NULL, run->cancelled, &run->error);
}

static int decode(struct local_session *s, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                  struct tdm_result *result) {
	struct tdm_request *limited = tdm_arena_alloc(run->arena, sizeof *limited);
	struct decoding d = {.sampling = tdm_joint_sampling(rq, &s->session)};
	if (!limited)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the answer", s->local->model.name);
	*limited = *rq;
	limited->max_tokens = answer_limit(s->local, run, rq, s->session.prompt_tokens);
	d.probs = tdm_arena_array(run->arena, (size_t)s->session.n_vocab, sizeof *d.probs);
	d.answer = tdm_arena_array(run->arena, (size_t)limited->max_tokens, sizeof *d.answer);
	d.writer = tdm_writer_new(run, limited, &s->session, sink, s->local->model.name);
	if (!d.probs || !d.answer || !d.writer)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the answer", s->local->model.name);
	tdm_rng_stream(&d.rng, run->seed, s->local->model.name, rq->draw);
	int status = tdm_keeper_open(run, rq, &s->session, &d.keeper);
	while (status == TDM_OK)
		status = decode_token(s, run, &d);
	tdm_keeper_close(d.keeper);
	result->completion_tokens = d.n; // what a failed answer has cost
	return status < 0 ? status : tdm_writer_end(d.writer, result);
}

static int local_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, struct tdm_sink *sink,
                          struct tdm_result *result) {
	int64_t started_us = tdm_now_us();
	struct tdm_session *session = NULL;
	int status = local_open(m, run, &session);
	if (!status)
		status = prompt_silently(of(session), run, rq, NULL);
	if (!status) {
		result->prompt_tokens = session->prompt_tokens;
		result->finish = TDM_FINISH_LENGTH; // of an answer without a word
		if (!rq->raw || !rq->raw->only_echo)
			status = decode(of(session), run, rq, sink, result);
	}
	if (session)
		session_close(session);
	tdm_source_called(m, run, rq, "answer", started_us, status, result);
	return status;
}

// --- scores and embeddings

// ln p of the tokens after the prompt, whose last row is `first`; leaves the session at the prompt.
static int score_tokens(struct local_session *s, struct tdm_run *run, const float *first, const int32_t *tokens, int n,
                        double *logprob) {
	int n_vocab = s->session.n_vocab, status = TDM_OK;
	*logprob = n > 0 ? (double)tdm_log_softmax_at(first, n_vocab, tokens[0]) : 0;
	for (int at = 0; at + 1 < n && !status; at += N_CHUNK) {
		int length = n - 1 - at < N_CHUNK ? n - 1 - at : N_CHUNK;
		status = eval_all(s, run, tokens + at, length);
		for (int i = 0; i < length && !status; i++)
			*logprob += (double)tdm_log_softmax_at(tdm_seq_logits(s->seq, i), n_vocab, tokens[at + i + 1]);
	}
	tdm_seq_rewind(s->seq, s->session.prompt_tokens);
	return status;
}

// The tokens of plain text in the run's arena. Their number, or a negative status.
static int plain_tokens(struct local *l, struct tdm_run *run, const char *text, size_t len, int32_t **out) {
	int n = tdm_tokenize(tdm_engine_vocab(l->engine), text, len, NULL, 0);
	if (n < 0)
		return tdm_fail(&run->error, n, "model %s: the text cannot be split into tokens", l->model.name);
	*out = tdm_arena_array(run->arena, (size_t)n + 1, sizeof **out);
	if (!*out)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for %d tokens", l->model.name, n);
	return tdm_tokenize(tdm_engine_vocab(l->engine), text, len, *out, n);
}

static int score_all(struct local_session *s, struct tdm_run *run, const char *const *texts, size_t n, double *logprobs,
                     int *n_tokens, struct tdm_result *result) {
	float *first = tdm_arena_array(run->arena, (size_t)s->session.n_vocab, sizeof *first);
	if (!first)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a score", s->local->model.name);
	memcpy(first, tdm_seq_logits(s->seq, 0), (size_t)s->session.n_vocab * sizeof *first);
	for (size_t i = 0; i < n; i++) {
		int32_t *tokens = NULL;
		int count = plain_tokens(s->local, run, texts[i], strlen(texts[i]), &tokens);
		if (count < 0)
			return count;
		if (count > s->session.context - s->session.prompt_tokens + 1)
			return too_long(s->local, run, s->session.prompt_tokens + count);
		int status = score_tokens(s, run, first, tokens, count, &logprobs[i]);
		if (status)
			return status;
		if (n_tokens)
			n_tokens[i] = count;
		result->prompt_tokens += count; // read, not written
	}
	return TDM_OK;
}

static int local_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq, const char *const *texts,
                       size_t n, double *logprobs, int *n_tokens) {
	int64_t started_us = tdm_now_us();
	struct tdm_session *session = NULL;
	struct tdm_result result = {0};
	struct tdm_engine *engine = ((struct local *)m)->engine;
	int status;
	if (tdm_engine_info(engine)->is_encoder) {
		tdm_run_saw(run, m, rq);
		status =
		    tdm_encoded_score(&(struct tdm_encoded){engine, m->name, run, &result}, rq, texts, n, logprobs, n_tokens);
		tdm_source_called(m, run, rq, "judge", started_us, status, &result);
		return status;
	}
	status = local_open(m, run, &session);
	if (!status)
		status = session_prompt(session, run, rq, NULL);
	if (!status) {
		result.prompt_tokens = session->prompt_tokens;
		result.cached_tokens = session->cached_tokens;
		status = score_all(of(session), run, texts, n, logprobs, n_tokens, &result);
	}
	if (session)
		session_close(session);
	tdm_source_called(m, run, rq, "judge", started_us, status, &result);
	return status;
}

static int local_embed(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, const float **out,
                       int *width) {
	struct local *l = (struct local *)m;
	int64_t started_us = tdm_now_us();
	struct tdm_result result = {0};
	int n_tokens = 0, n = tdm_engine_info(l->engine)->width, status;
	float *vector = tdm_arena_array(run->arena, (size_t)n, sizeof *vector);
	if (!vector)
		status = tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for an embedding", m->name);
	else
		status = tdm_engine_embed(l->engine, l->adapter, text, len, run->cancelled, vector, &n_tokens, &run->error);
	result.prompt_tokens = n_tokens;
	tdm_source_called(m, run, NULL, "embed", started_us, status, &result);
	*out = vector;
	*width = n;
	return status;
}

// --- making one

static void local_destroy(struct tdm_model *m) {
	struct local *l = (struct local *)m;
	tdm_adapter_close(l->adapter);
	tdm_engines_leave(l->engine);
}

static const struct tdm_model_ops local_ops = {
    .generate = local_generate,
    .score = local_score,
    .embed = local_embed,
    .count = local_count,
    .open = local_open,
    .destroy = local_destroy,
};

// A path of the settings, which begins at their folder; NULL: no memory.
static const char *file_at(const struct tdm_build *b, const char *path) {
	return path[0] == '/' || !b->folder ? path : tdm_arena_printf(b->arena, "%s/%s", b->folder, path);
}

#define EMBEDDED "embedded:"

static bool is_embedded(const char *path) {
	return strncmp(path, EMBEDDED, strlen(EMBEDDED)) == 0;
}

// The bytes that embedded:NAME names; NULL: an error in *why.
static const void *embedded_at(const struct tdm_build *b, const char **path, size_t *n, struct tdm_error *why) {
	*path += strlen(EMBEDDED);
	const void *data = b->embedded ? b->embedded(*path, n) : NULL;
	if (!data)
		tdm_fail(why, TDM_ECONFIG, "this program contains no weights named \"%s\"", *path);
	return data;
}

static int open_embedded(const struct tdm_build *b, const char *name, const struct tdm_engine_options *o,
                         struct tdm_engine **out, struct tdm_error *why) {
	size_t n = 0;
	const void *data = embedded_at(b, &name, &n, why);
	return data ? tdm_engine_memory(name, data, n, o, out, why) : TDM_ECONFIG;
}

// Everything that tells one engine from another; an adapter is of the sequences.
static const char *key_of(const struct tdm_build *b, const struct options *o) {
	const char *const paths[] = {is_embedded(o->path) ? o->path : file_at(b, o->path)};
	const char *rest =
	    tdm_arena_printf(b->arena, "%d %d %s %s %d %lld", (int)o->threads, (int)o->context, o->chat ? o->chat : "",
	                     o->kernels ? o->kernels : "", o->cache_type, (long long)o->cache_mb);
	return rest ? tdm_engines_key(b->arena, b->name, rest, paths, TDM_COUNT(paths)) : NULL;
}

static int open_engine(const struct tdm_build *b, const struct options *o, struct tdm_engine **out) {
	const struct tdm_engine_options engine = {.threads = (int)o->threads,
	                                          .context = (int)o->context,
	                                          .chat = o->chat,
	                                          .kernels = o->kernels,
	                                          .cache_type = (enum tdm_cache_type)o->cache_type,
	                                          .cache_bytes = (size_t)o->cache_mb << 20};
	struct tdm_error why = {0};
	const char *path = o->path, *key = key_of(b, o);
	int status;
	if (!key || (*out = tdm_engines_find(key)))
		return key ? TDM_OK : TDM_ENOMEM;
	if (is_embedded(path)) {
		status = open_embedded(b, path, &engine, out, &why);
	} else {
		path = file_at(b, path);
		status = path ? tdm_engine_open(path, &engine, out, &why) : TDM_ENOMEM;
	}
	if (!status)
		tdm_engines_add(key, *out);
	return status ? tdm_fail(b->error, status, "%s: %s", b->where, why.text) : TDM_OK;
}

static int adapter_at(const struct tdm_build *b, const char *path, double scale, struct local *l,
                      struct tdm_error *why) {
	size_t n = 0;
	if (!is_embedded(path)) {
		path = file_at(b, path);
		return path ? tdm_adapter_open(l->engine, path, (float)scale, &l->adapter, why) : TDM_ENOMEM;
	}
	const void *data = embedded_at(b, &path, &n, why);
	return data ? tdm_adapter_memory(l->engine, path, data, n, (float)scale, &l->adapter, why) : TDM_ECONFIG;
}

static int open_adapter(const struct tdm_build *b, const struct options *o, struct local *l) {
	struct tdm_error why = {0};
	if (!o->adapter)
		return TDM_OK;
	if (tdm_engine_info(l->engine)->is_encoder)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: an encoder takes no adapter", b->where);
	int status = adapter_at(b, o->adapter, o->adapter_scale, l, &why);
	return status ? tdm_fail(b->error, status, "%s: adapter: %s", b->where, why.text) : TDM_OK;
}

static int no_chat(const struct tdm_build *b) {
	size_t n;
	const char *const *names = tdm_chat_names(&n), *list = "";
	for (size_t i = 0; i < n && list; i++)
		list = tdm_arena_printf(b->arena, "%s%s%s", list, i ? ", " : "", names[i]);
	return tdm_fail(b->error, TDM_ECONFIG, "%s: the file has no chat template; expected chat: one of %s", b->where,
	                list ? list : "the known formats");
}

static int local_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	const struct options *o = options;
	if (!o->path)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected path: a GGUF file, or embedded:NAME", b->where);
	struct local *l = tdm_build_model(b, sizeof *l, &local_ops,
	                                  TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_SCORE | TDM_CAN_EMBED | TDM_CAN_STEP |
	                                      TDM_CAN_FORM | TDM_CAN_ECHO);
	if (!l)
		return TDM_ENOMEM;
	int status = open_engine(b, o, &l->engine);
	if (status)
		return status;
	const struct tdm_engine_info *info = tdm_engine_info(l->engine);
	const struct tdm_classes *classes = tdm_engine_classes(l->engine);
	status = open_adapter(b, o, l);
	if (!status && !info->is_encoder && !tdm_engine_chat(l->engine))
		status = no_chat(b);
	if (status) {
		tdm_adapter_close(l->adapter);
		tdm_engines_leave(l->engine);
		return status;
	}
	if (info->is_encoder)
		l->model.can = (classes->are_all ? 0 : TDM_CAN_EMBED) | (classes->n ? TDM_CAN_SCORE : 0);
	l->own = (struct tdm_sampling){
	    (float)o->temperature, (int)o->top_k, (float)o->top_p, (float)o->min_p, (float)o->repeat_penalty, 0};
	l->max_tokens = (int)o->max_tokens;
	l->model.cuts_vectors = o->cuts_vectors;
	*out = &l->model;
	return TDM_OK;
}

struct tdm_engine *tdm_local_engine(const struct tdm_model *m) {
	return m->kind == &tdm_kind_local ? ((const struct local *)m)->engine : NULL;
}

const struct tdm_engine_info *tdm_local_info(const struct tdm_model *m) {
	return m->kind == &tdm_kind_local ? tdm_engine_info(((const struct local *)m)->engine) : NULL;
}

#define AT(name) offsetof(struct options, name)
static const struct tdm_option local_options[] = {
    {"path", TDM_OPT_STRING, AT(path), NULL, 0, 0, NULL, "GGUF file, relative to the settings file, or embedded:NAME"},
    {"threads", TDM_OPT_INT, AT(threads), "1", 1, 256, NULL, "threads that compute"},
    {"context", TDM_OPT_INT, AT(context), "0", 0, 1 << 20, NULL, "longest conversation, tokens; 0 = as the file says"},
    {"adapter", TDM_OPT_STRING, AT(adapter), NULL, 0, 0, NULL,
     "LoRA adapter, a GGUF file relative to the settings file, or embedded:NAME"},
    {"adapter_scale", TDM_OPT_NUMBER, AT(adapter_scale), "1", -100, 100, NULL,
     "how much of the adapter; 1 = as trained"},
    {"chat", TDM_OPT_STRING, AT(chat), "auto", 0, 0, NULL, "chat format; auto = recognise the file's template"},
    {"kernels", TDM_OPT_STRING, AT(kernels), NULL, 0, 0, NULL,
     "portable, avx2 or avx512; absent = best of the machine"},
    {"cache_type", TDM_OPT_CHOICE, AT(cache_type), "auto", 0, 0, TDM_CACHE_CHOICES,
     "keys and values; auto = as precise as the weights, q8_0 = half the memory of f16"},
    {"cache_mb", TDM_OPT_INT, AT(cache_mb), "256", 0, 1 << 24, NULL,
     "megabytes for keys and values of running and remembered conversations; 0 = no limit"},
    {"cuts_vectors", TDM_OPT_BOOL, AT(cuts_vectors), "no", 0, 0, NULL,
     "its vectors may be cut to their first numbers (requests with dimensions): only models trained for it"},
    {"max_tokens", TDM_OPT_INT, AT(max_tokens), "512", 1, 1 << 20, NULL, "longest answer, tokens"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0", 0, 5, NULL, "0 = always the most likely token"},
    {"top_k", TDM_OPT_INT, AT(top_k), "0", 0, 1 << 20, NULL, "most likely tokens considered; 0 = all"},
    {"top_p", TDM_OPT_NUMBER, AT(top_p), "1", 0, 1, NULL, "share of probability considered; 1 = all"},
    {"min_p", TDM_OPT_NUMBER, AT(min_p), "0", 0, 1, NULL, "least probability, relative to the largest; 0 = off"},
    {"repeat_penalty", TDM_OPT_NUMBER, AT(repeat_penalty), "1", 0.01, 10, NULL, "above 1: against repetition"},
};

const struct tdm_kind tdm_kind_local = {
    .name = "local",
    .summary = "weights that run in this process",
    .family = TDM_SOURCE,
    .options = local_options,
    .n_options = TDM_COUNT(local_options),
    .options_bytes = sizeof(struct options),
    .create = local_create,
};
