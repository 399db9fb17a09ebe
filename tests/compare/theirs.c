// What llama.cpp says: the ready-made libraries of the npm package, with the headers of the very same release, which
// the package brings too. Layers are caught while its graph is computed.
#include "compare.h"
#include <ggml-backend.h>
#include <ggml.h>
#include <llama.h>
#include <stdlib.h>
#include <string.h>

struct watch {
	struct tdm_said *s;
	bool is_encoder;
	int n_sums, n_seen; // layer norms of an encoder so far; layers that were caught
};

static void hush(enum ggml_log_level level, const char *text, void *arg) {
	if (level == GGML_LOG_LEVEL_ERROR)
		fputs(text, stderr);
}

int tdm_theirs_init(const char *folder, struct tdm_error *err) {
	llama_log_set(hush, NULL);
	llama_backend_init();
	ggml_backend_load_all_from_path(folder);
	return ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)
	           ? TDM_OK
	           : tdm_fail(err, TDM_EIO, "%s: llama.cpp finds no kernels for this machine there", folder);
}

// A decoder's layers have a name. An encoder's do not; each ends with a layer norm, as the embeddings and attention do:
// (norm * weight) + bias, of which number 0 is the embeddings' and number 2 * layer + 2 is the layer's.
static int layer_of(const struct ggml_tensor *t, struct watch *w, bool ask) {
	if (!w->is_encoder)
		return strncmp(t->name, "l_out-", 6) == 0 ? (int)strtol(t->name + 6, NULL, 10) : -1;
	const struct ggml_tensor *product = t->op == GGML_OP_ADD ? t->src[0] : NULL;
	if (!product || product->op != GGML_OP_MUL || product->src[0]->op != GGML_OP_NORM)
		return -1;
	int number = ask ? w->n_sums++ : w->n_sums - 1;
	return number >= 2 && number % 2 == 0 ? number / 2 - 1 : -1;
}

static bool look(struct ggml_tensor *t, bool ask, void *arg) {
	struct watch *w = arg;
	int layer = layer_of(t, w, ask);
	if (ask)
		return layer >= 0;
	size_t bytes = (size_t)w->s->n * (size_t)w->s->width * sizeof(float);
	if (layer >= 0 && layer < w->s->n_layers && t->type == GGML_TYPE_F32 && ggml_nbytes(t) == bytes) {
		ggml_backend_tensor_get(t, tdm_said_layer(w->s, layer, 0), 0, bytes);
		w->n_seen++;
	}
	return true;
}

static struct llama_context *open_context(struct llama_model *model, struct watch *w, int n,
                                          enum llama_pooling_type pooling) {
	struct llama_context_params o = llama_context_default_params();
	o.n_ctx = o.n_batch = o.n_ubatch = (uint32_t)n;
	o.n_threads = o.n_threads_batch = 2;
	o.type_k = o.type_v = GGML_TYPE_F32;
	o.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
	o.embeddings = w->is_encoder;
	o.pooling_type = pooling;
	o.cb_eval = pooling == LLAMA_POOLING_TYPE_NONE ? look : NULL;
	o.cb_eval_user_data = w;
	return llama_init_from_model(model, o);
}

static int run(struct llama_context *context, const int32_t *tokens, const struct watch *w) {
	struct llama_batch batch = llama_batch_init(w->s->n, 0, 1);
	for (int i = 0; i < w->s->n; i++) {
		batch.token[i] = tokens[i];
		batch.pos[i] = i;
		batch.n_seq_id[i] = 1;
		batch.seq_id[i][0] = 0;
		batch.logits[i] = 1;
	}
	batch.n_tokens = w->s->n;
	int status = w->is_encoder ? llama_encode(context, batch) : llama_decode(context, batch);
	if (!status && !w->is_encoder)
		memcpy(w->s->logits, llama_get_logits(context), (size_t)w->s->n * (size_t)w->s->n_vocab * sizeof(float));
	llama_batch_free(batch);
	return status;
}

// Runs the text once more with this pooling and copies n numbers.
static int read_text(struct llama_model *model, const int32_t *tokens, struct watch *w, enum llama_pooling_type pooling,
                     int n, float *out) {
	struct llama_context *context = open_context(model, w, w->s->n, pooling);
	int status = context ? run(context, tokens, w) : -1;
	const float *vector = status ? NULL : llama_get_embeddings_seq(context, 0);
	if (vector)
		memcpy(out, vector, (size_t)n * sizeof *out);
	if (context)
		llama_free(context);
	return vector ? 0 : -1;
}

// The vector as the file's pooling says; a classifier's is the first token's row.
static int read_texts(struct llama_model *model, const struct tdm_shape *shape, const int32_t *tokens,
                      struct watch *w) {
	enum llama_pooling_type pooling = (enum llama_pooling_type)shape->pooling;
	if (shape->pooling == TDM_POOL_CLASSES)
		pooling = LLAMA_POOLING_TYPE_CLS;
	int status = read_text(model, tokens, w, pooling, w->s->width, w->s->text);
	if (!status && w->s->n_classes)
		status = read_text(model, tokens, w, LLAMA_POOLING_TYPE_RANK, w->s->n_classes, w->s->text + w->s->width);
	return status;
}

int tdm_theirs_read(const char *path, const struct tdm_shape *shape, const int32_t *tokens, struct tdm_said *s,
                    struct tdm_error *err) {
	struct llama_model *model = llama_model_load_from_file(path, llama_model_default_params());
	struct watch w = {.s = s, .is_encoder = shape->family->traits & TDM_ENCODER};
	struct llama_context *context = model ? open_context(model, &w, s->n, LLAMA_POOLING_TYPE_NONE) : NULL;
	int status = context ? run(context, tokens, &w) : -1;
	if (!status && w.is_encoder)
		status = read_texts(model, shape, tokens, &w);
	if (context)
		llama_free(context);
	if (model)
		llama_model_free(model);
	if (status)
		return tdm_fail(err, TDM_EFORMAT, "%s: llama.cpp cannot %s it", path, context ? "run" : "open");
	return w.n_seen == s->n_layers
	           ? TDM_OK
	           : tdm_fail(err, TDM_EFORMAT, "%s: llama.cpp showed %d of %d layers", path, w.n_seen, s->n_layers);
}
