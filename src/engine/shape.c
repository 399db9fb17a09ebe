// A model's shape: what the metadata says, checked for sense.
//
// The rule it protects: a number of the metadata is used only between limits that make every product of two of them
// fit.
#include "engine/engine.h"
#include "engine/weights_parts.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *tdm_reader_key(const struct tdm_reader *r, const char *part, char out[TDM_KEY_BYTES]) {
	snprintf(out, TDM_KEY_BYTES, "%s.%s", r->w->shape.family->name, part);
	return out;
}

int tdm_reader_count(struct tdm_reader *r, const char *part, uint64_t otherwise, uint64_t limit, int *out) {
	uint64_t value = otherwise;
	char key[TDM_KEY_BYTES];
	if (!tdm_gguf_u64(r->g, tdm_reader_key(r, part, key), &value) && !otherwise)
		return TDM_MISFIT(r, "%s: key %s is missing or not a whole number", r->file, key);
	if (value < 1 || value > limit)
		return TDM_MISFIT(r, "%s: %s is %" PRIu64 "; expected 1 to %" PRIu64, r->file, key, value, limit);
	*out = (int)value;
	return TDM_OK;
}

int tdm_reader_number(struct tdm_reader *r, const char *part, double low, double high, double *out) {
	char key[TDM_KEY_BYTES];
	double value;
	if (!tdm_gguf_f64(r->g, tdm_reader_key(r, part, key), &value))
		return TDM_OK;
	if (!(value >= low && value <= high))
		return TDM_MISFIT(r, "%s: %s is %g; expected %g to %g", r->file, key, value, low, high);
	*out = value;
	return TDM_OK;
}

static int read_family(struct tdm_reader *r) {
	char known[200] = "", key[TDM_KEY_BYTES];
	const char *text = "";
	size_t n = 0, used = 0;
	uint64_t n_experts = 0;
	if (!tdm_gguf_text(r->g, "general.architecture", &text, &n))
		return TDM_MISFIT(r, "%s: key general.architecture is missing", r->file);
	r->w->shape.family = tdm_family_find(text, n);
	const struct tdm_family *f;
	for (size_t i = 0; !r->w->shape.family && (f = tdm_family_at(i)) && used < sizeof known; i++)
		used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", f->name);
	if (!r->w->shape.family)
		return TDM_MISFIT(r, "%s: architecture \"%.*s\" is not supported; supported are %s", r->file,
		                  (int)(n < 40 ? n : 40), text, known);
	if (tdm_gguf_u64(r->g, tdm_reader_key(r, "expert_count", key), &n_experts) && n_experts)
		return TDM_MISFIT(r, "%s: a mixture of experts (%s) is not supported", r->file, key);
	return TDM_OK;
}

static int check_heads(struct tdm_reader *r, int value_dim) {
	const struct tdm_shape *s = &r->w->shape;
	char key[TDM_KEY_BYTES];
	if (s->n_heads % s->n_kv_heads)
		return TDM_MISFIT(r, "%s: %d heads cannot share %d heads of keys and values evenly", r->file, s->n_heads,
		                  s->n_kv_heads);
	if ((int64_t)s->n_heads * s->head_dim > TDM_MAX_DIMENSION)
		return TDM_MISFIT(r, "%s: %d heads of %d elements; at most %d elements are supported", r->file, s->n_heads,
		                  s->head_dim, TDM_MAX_DIMENSION);
	if (value_dim != s->head_dim)
		return TDM_MISFIT(r, "%s: keys of %d and values of %d elements; only equal lengths are supported", r->file,
		                  s->head_dim, value_dim);
	if (s->n_rotated % 2 || s->n_rotated > s->head_dim)
		return TDM_MISFIT(r, "%s: %s is %d; expected an even number up to the head's %d", r->file,
		                  tdm_reader_key(r, "rope.dimension_count", key), s->n_rotated, s->head_dim);
	return TDM_OK;
}

static int read_heads(struct tdm_reader *r) {
	struct tdm_shape *s = &r->w->shape;
	int value_dim, status = tdm_reader_count(r, "attention.head_count", 0, TDM_MAX_DIMENSION, &s->n_heads);
	if (status != TDM_OK)
		return status;
	uint64_t heads = (uint64_t)s->n_heads, usual = (uint64_t)(s->width / s->n_heads);
	status = tdm_reader_count(r, "attention.head_count_kv", heads, heads, &s->n_kv_heads);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "attention.key_length", usual, TDM_MAX_HEAD_DIM, &s->head_dim);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "attention.value_length", (uint64_t)s->head_dim, TDM_MAX_HEAD_DIM, &value_dim);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "rope.dimension_count", (uint64_t)s->head_dim, TDM_MAX_HEAD_DIM, &s->n_rotated);
	return status == TDM_OK ? check_heads(r, value_dim) : status;
}

static int read_window(struct tdm_reader *r) {
	struct tdm_shape *s = &r->w->shape;
	const struct tdm_family *f = s->family;
	char key[TDM_KEY_BYTES];
	uint64_t window = (uint64_t)f->window, period = (uint64_t)f->window_period;
	if (!f->window_period)
		return TDM_OK;
	tdm_gguf_u64(r->g, tdm_reader_key(r, "attention.sliding_window", key), &window);
	s->window = window < TDM_MAX_CONTEXT ? (int)window : 0;
	if (f->window_period != TDM_EVERY_LAYER && s->window)
		return tdm_reader_count(r, "attention.sliding_window_pattern", period, TDM_MAX_LAYERS, &s->window_period);
	s->window_period = f->window_period;
	return TDM_OK;
}

static int read_attention(struct tdm_reader *r) {
	struct tdm_shape *s = &r->w->shape;
	const struct tdm_family *f = s->family;
	double attention_cap = f->attention_cap, logit_cap = f->logit_cap;
	int status = read_window(r);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "attn_logit_softcapping", 0, 1e6, &attention_cap);
	if (status == TDM_OK)
		status = tdm_reader_number(r, "final_logit_softcapping", 0, 1e6, &logit_cap);
	s->attention_cap = (float)attention_cap;
	s->logit_cap = (float)logit_cap;
	s->attention_scale = 1.0f / sqrtf((float)(s->n_layers == f->n_wide_layers ? s->width / s->n_heads : s->head_dim));
	return status;
}

// Classes: as many as there are names for them, or one, which ranks.
static int read_classes(struct tdm_reader *r) {
	char key[TDM_KEY_BYTES];
	size_t n = 1;
	if (!tdm_gguf_tensor(r->g, "cls.output.weight"))
		return r->w->shape.pooling != TDM_POOL_CLASSES
		           ? TDM_OK
		           : TDM_MISFIT(r, "%s: a classifier (pooling_type 4) without tensor cls.output.weight", r->file);
	tdm_gguf_strings(r->g, tdm_reader_key(r, TDM_LABELS_KEY, key), &n);
	if (n < 1 || n > TDM_MOST_CLASSES)
		return TDM_MISFIT(r, "%s: %s has %zu names; expected 1 to %d", r->file, key, n, TDM_MOST_CLASSES);
	r->w->shape.n_classes = (int)n;
	return TDM_OK;
}

static int read_pooling(struct tdm_reader *r) {
	uint64_t pooling = TDM_POOL_MEAN;
	char key[TDM_KEY_BYTES];
	if (!(r->w->shape.family->traits & TDM_ENCODER))
		return TDM_OK;
	tdm_gguf_u64(r->g, tdm_reader_key(r, "pooling_type", key), &pooling);
	if (pooling < TDM_POOL_MEAN || pooling > TDM_POOL_CLASSES)
		return TDM_MISFIT(r,
		                  "%s: %s is %" PRIu64 "; supported are 1 (mean), 2 (first token), 3 (last) and 4 (classifier)",
		                  r->file, key, pooling);
	r->w->shape.pooling = (enum tdm_pooling)pooling;
	return read_classes(r);
}

int tdm_shape_read(struct tdm_reader *r) {
	struct tdm_shape *s = &r->w->shape;
	char key[TDM_KEY_BYTES];
	double epsilon = 0;
	int status = read_family(r);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "context_length", 0, TDM_MAX_CONTEXT, &s->context);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "embedding_length", 0, TDM_MAX_DIMENSION, &s->width);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "block_count", 0, TDM_MAX_LAYERS, &s->n_layers);
	if (status == TDM_OK)
		status = tdm_reader_count(r, "feed_forward_length", 0, TDM_MAX_DIMENSION, &s->n_ff);
	if (status == TDM_OK)
		status = read_heads(r);
	if (status == TDM_OK)
		status = read_attention(r);
	if (status == TDM_OK)
		status = read_pooling(r);
	if (status != TDM_OK)
		return status;
	bool is_encoder = s->family->traits & TDM_ENCODER;
	tdm_reader_key(r, is_encoder ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", key);
	if (!tdm_gguf_f64(r->g, key, &epsilon) || !(epsilon > 0 && epsilon < 1))
		return TDM_MISFIT(r, "%s: %s is missing or not between 0 and 1", r->file, key);
	s->epsilon = (float)epsilon;
	return TDM_OK;
}
