// Opening an engine: file, kernels, weights, vocabulary and chat format, each checked against the others.
#include "engine/batch.h"
#include "engine/cores.h"
#include "engine/encoder.h"
#include "engine/weights_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int read_vocab(struct tdm_engine *e, struct tdm_error *err) {
	int status = tdm_vocab_read(e->file, &e->vocab, err);
	if (status != TDM_OK)
		return status;
	if (tdm_vocab_size(e->vocab) != e->weights.shape.n_vocab)
		return tdm_fail(err, TDM_EFORMAT, "%s: a vocabulary of %d tokens, but embeddings for %d", e->name,
		                tdm_vocab_size(e->vocab), e->weights.shape.n_vocab);
	return TDM_OK;
}

static int read_chat(struct tdm_engine *e, const char *name, struct tdm_error *err) {
	const char *text = NULL;
	size_t n = 0;
	bool has_template = tdm_gguf_text(e->file, "tokenizer.chat_template", &text, &n);
	if (has_template && !(e->template = strndup(text, n)))
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the chat template", e->name);
	if (!has_template && (!name || strcmp(name, "auto") == 0))
		return TDM_OK;
	return tdm_chat_find(name ? name : "auto", text, n, &e->chat, err);
}

// The names of the classes are copied.
static int read_classes(struct tdm_engine *e, struct tdm_error *err) {
	const char *text;
	char key[96];
	size_t n = 0, len = 0, bytes = 0;
	e->classes.n = e->weights.shape.n_classes;
	e->classes.are_all = e->weights.shape.pooling == TDM_POOL_CLASSES;
	snprintf(key, sizeof key, "%s.%s", e->weights.shape.family->name, TDM_LABELS_KEY);
	if (!e->classes.n || !tdm_gguf_strings(e->file, key, &n))
		return TDM_OK;
	for (size_t i = 0; i < n && tdm_gguf_string_at(e->file, key, i, &text, &len); i++)
		bytes += len + 1;
	char *at = e->labels_text = malloc(bytes);
	e->labels = calloc(n, sizeof *e->labels);
	if (!at || !e->labels)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the names of %zu classes", e->name, n);
	for (size_t i = 0; i < n && tdm_gguf_string_at(e->file, key, i, &text, &len); i++, at += len + 1) {
		memcpy(at, text, len);
		at[len] = 0;
		e->labels[i] = at;
	}
	e->classes.labels = e->labels;
	return TDM_OK;
}

static int set_info(struct tdm_engine *e, const struct tdm_engine_options *o, struct tdm_error *err) {
	const struct tdm_shape *s = &e->weights.shape;
	if (o->context < 0 || o->context > s->context)
		return tdm_fail(err, TDM_ECONFIG, "%s: a context of %d tokens was asked for; the model's limit is %d", e->name,
		                o->context, s->context);
	e->info = (struct tdm_engine_info){.name = e->name,
	                                   .architecture = s->family->name,
	                                   .is_encoder = s->family->traits & TDM_ENCODER,
	                                   .kernels = e->weights.kernels->name,
	                                   .chat = e->chat ? tdm_chat_name(e->chat) : NULL,
	                                   .n_vocab = s->n_vocab,
	                                   .width = s->width,
	                                   .n_layers = s->n_layers,
	                                   .n_heads = s->n_heads,
	                                   .n_kv_heads = s->n_kv_heads,
	                                   .n_ff = s->n_ff,
	                                   .context = o->context ? o->context : s->context,
	                                   .n_parameters = e->weights.n_parameters,
	                                   .weight_bytes = e->weights.weight_bytes,
	                                   .token_bytes = e->weights.token_bytes};
	return TDM_OK;
}

static int prepare(struct tdm_engine *e, const struct tdm_engine_options *o, struct tdm_error *err) {
	const struct tdm_kernels *kernels;
	int status = tdm_kernels_find(o->kernels, &kernels, err);
	if (status == TDM_OK)
		status = tdm_weights_read(&e->weights, e->file, e->name, o->context, kernels, o->threads, err);
	if (status == TDM_OK)
		status = read_vocab(e, err);
	if (status == TDM_OK)
		status = read_chat(e, o->chat, err);
	if (status == TDM_OK)
		status = read_classes(e, err);
	if (status == TDM_OK)
		status = set_info(e, o, err);
	if (status != TDM_OK)
		return status;
	if (o->cache_type)
		e->weights.cache_type = (uint32_t[]){0, TDM_F32, TDM_F16, TDM_Q8_0}[o->cache_type];
	tdm_cache_init(&e->cache, &e->weights, e->info.context, o->cache_bytes);
	e->decoder = tdm_decoder_new(&e->weights, &e->cache, o->threads);
	return e->decoder ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "%s: no memory for the buffers of a pass", e->name);
}

// path: NULL = the n bytes at data.
static int open_engine(const char *path, const char *name, const void *data, size_t n,
                       const struct tdm_engine_options *o, struct tdm_engine **out, struct tdm_error *err) {
	static const struct tdm_engine_options standard;
	struct tdm_engine *e = calloc(1, sizeof *e);
	if (!e || !(e->name = strdup(name))) {
		free(e);
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory to open it", name);
	}
	pthread_mutex_init(&e->lock, NULL);
	pthread_mutex_init(&e->tokens_lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&e->arrived, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int status = path ? tdm_gguf_open(path, &e->file, err) : tdm_gguf_memory(name, data, n, &e->file, err);
	if (status == TDM_OK)
		status = prepare(e, o ? o : &standard, err);
	if (e->file && tdm_gguf_whole(e->file, name, NULL) != TDM_OK)
		status = tdm_gguf_whole(e->file, name, err);
	tdm_gguf_close(e->file); // everything has been copied: what happens to the file now does no harm
	e->file = NULL;
	if (status == TDM_OK)
		*out = e;
	else
		tdm_engine_close(e);
	return status;
}

int tdm_engine_open(const char *path, const struct tdm_engine_options *o, struct tdm_engine **out,
                    struct tdm_error *err) {
	return open_engine(path, path, NULL, 0, o, out, err);
}

int tdm_engine_memory(const char *name, const void *data, size_t n, const struct tdm_engine_options *o,
                      struct tdm_engine **out, struct tdm_error *err) {
	return open_engine(NULL, name, data, n, o, out, err);
}

void tdm_engine_close(struct tdm_engine *e) {
	if (!e)
		return;
	tdm_decoder_free(e->decoder);
	if (e->cache.page_bytes)
		tdm_cache_release(&e->cache);
	tdm_weights_release(&e->weights);
	if (e->vocab)
		tdm_vocab_free(e->vocab);
	tdm_token_tree_free(e->tokens);
	free(e->template);
	pthread_cond_destroy(&e->arrived);
	pthread_mutex_destroy(&e->tokens_lock);
	pthread_mutex_destroy(&e->lock);
	free(e->labels);
	free(e->labels_text);
	free(e->name);
	free(e);
}

static int open_adapter(struct tdm_engine *e, struct tdm_gguf *file, const char *name, float scale,
                        struct tdm_adapter **out, struct tdm_error *err) {
	*out = malloc(sizeof **out);
	int status = *out ? tdm_adapter_read(*out, &e->weights, file, name, scale, err)
	                  : tdm_fail(err, TDM_ENOMEM, "%s: no memory for the adapter", name);
	if (status != TDM_OK) {
		free(*out);
		*out = NULL;
	} else if ((status = tdm_gguf_whole(file, name, err)) != TDM_OK) {
		tdm_adapter_close(*out);
		*out = NULL;
	}
	tdm_gguf_close(file);
	return status;
}

int tdm_adapter_open(struct tdm_engine *e, const char *path, float scale, struct tdm_adapter **out,
                     struct tdm_error *err) {
	struct tdm_gguf *file;
	int status = tdm_gguf_open(path, &file, err);
	return status ? status : open_adapter(e, file, path, scale, out, err);
}

int tdm_adapter_memory(struct tdm_engine *e, const char *name, const void *data, size_t n, float scale,
                       struct tdm_adapter **out, struct tdm_error *err) {
	struct tdm_gguf *file;
	int status = tdm_gguf_memory(name, data, n, &file, err);
	return status ? status : open_adapter(e, file, name, scale, out, err);
}

void tdm_adapter_close(struct tdm_adapter *a) {
	if (a)
		tdm_adapter_release(a);
	free(a);
}

const struct tdm_engine_info *tdm_engine_info(const struct tdm_engine *e) {
	return &e->info;
}

struct tdm_load tdm_engine_load(struct tdm_engine *e) {
	struct tdm_cache *c = &e->cache;
	struct tdm_load load = {0};
	if (e->info.is_encoder)
		return load;
	pthread_mutex_lock(&e->lock);
	load.rows = e->rows_now;
	pthread_mutex_unlock(&e->lock);
	pthread_mutex_lock(&c->lock);
	size_t n = c->limit_pages ? c->limit_pages : c->n_pages;
	load.kv_used = n ? (double)(c->n_pages - c->n_unused) / (double)n : 0;
	pthread_mutex_unlock(&c->lock);
	return load;
}

const struct tdm_vocab *tdm_engine_vocab(const struct tdm_engine *e) {
	return e->vocab;
}

const struct tdm_chat_format *tdm_engine_chat(const struct tdm_engine *e) {
	return e->chat;
}

const char *tdm_engine_template(const struct tdm_engine *e) {
	return e->template;
}

static bool is_cancelled(void *arg) {
	const tdm_flag *cancelled = arg;
	return cancelled && atomic_load_explicit(cancelled, memory_order_relaxed);
}

static int encode(struct tdm_engine *e, const int32_t *tokens, int n, bool with_classes, const tdm_flag *cancelled,
                  float *out, struct tdm_error *err) {
	if (!e->info.is_encoder)
		return tdm_fail(err, TDM_ECONFIG, "%s is a decoder (%s), not an encoder", e->name, e->info.architecture);
	if (n > e->info.context)
		return tdm_fail(err, TDM_ECONTEXT, "%d tokens do not fit the context of %d tokens of %s", n, e->info.context,
		                e->name);
	for (int i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= e->info.n_vocab)
			return tdm_fail(err, TDM_EVALUE, "token %d is outside the vocabulary of %d tokens of %s", tokens[i],
			                e->info.n_vocab, e->name);
	if (n < 1)
		return tdm_fail(err, TDM_EVALUE, "a text of %d tokens; expected at least one", n);
	pthread_mutex_lock(&e->lock); // nothing else runs in an encoder
	int cores = tdm_cores_take(tdm_decoder_threads(e->decoder));
	int status = tdm_encoder_run(e->decoder, &e->cache, tokens, n, with_classes, is_cancelled, (void *)cancelled, out);
	tdm_cores_give(cores);
	pthread_mutex_unlock(&e->lock);
	return status == TDM_OK ? TDM_OK
	                        : tdm_fail(err, status, "%s: the %d tokens of a text %s", e->name, n,
	                                   status == TDM_EGONE ? "were cancelled" : "have no room");
}

int tdm_engine_encode(struct tdm_engine *e, const int32_t *tokens, int n, const tdm_flag *cancelled, float *out,
                      struct tdm_error *err) {
	return encode(e, tokens, n, false, cancelled, out, err);
}

int tdm_engine_classify(struct tdm_engine *e, const int32_t *tokens, int n, const tdm_flag *cancelled, float *out,
                        struct tdm_error *err) {
	if (e->info.is_encoder && !e->classes.n)
		return tdm_fail(err, TDM_ECONFIG, "%s has no classes (tensor cls.output.weight)", e->name);
	return encode(e, tokens, n, true, cancelled, out, err);
}

const struct tdm_classes *tdm_engine_classes(const struct tdm_engine *e) {
	return &e->classes;
}
