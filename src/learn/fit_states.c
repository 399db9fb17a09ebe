// Fit of a projection: see fit_states.h. One block of floats holds the projection's two matrices and, behind them, the
// small model's parameters; its gradient and both moments have the same layout, so that a frozen small model is a
// shorter loop. What is learned are matrices between numbers of size 1: states are divided by their size, and what
// comes out is multiplied by that of an embedding, else the first steps would drown the words. The file has both
// factors in its matrices.
#include "learn/fit_states.h"
#include "assure/labels.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/random.h"
#include "engine/engine.h"
#include "learn/adamw.h"
#include "learn/checkpoint.h"
#include "learn/dataset.h"
#include "learn/export.h"
#include "learn/loss.h"
#include "models/local/projection.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW(name, type, field, standard, min, max, help) \
	{ name, type, offsetof(struct tdm_fit_states_options, field), standard, min, max, NULL, help }

const struct tdm_option tdm_fit_states_table[TDM_FIT_STATES_OPTIONS] = {
    ROW("small", TDM_OPT_STRING, small, NULL, 0, 0, "weight file of the small model, GGUF"),
    ROW("large", TDM_OPT_STRING, large, NULL, 0, 0, "weight file of the large one, same vocabulary and chat format"),
    ROW("data", TDM_OPT_STRING, data, NULL, 0, 0, "conversations to learn from, JSONL"),
    ROW("valid", TDM_OPT_STRING, valid, NULL, 0, 0, "conversations to measure on, JSONL"),
    ROW("out", TDM_OPT_STRING, out, NULL, 0, 0, "file for the projection, GGUF"),
    ROW("small-out", TDM_OPT_STRING, small_out, NULL, 0, 0,
        "the small model learns too: file for its weights, which the projection then belongs to"),
    ROW("small-lr", TDM_OPT_NUMBER, small_lr, "0.0003", 0, 10, "its highest learning rate"),
    ROW("checkpoint", TDM_OPT_STRING, checkpoint, NULL, 0, 0, "state of the run; resumed from when it exists"),
    ROW("layers", TDM_OPT_INT, layers, "0", 0, 1024,
        "of the large model, from the first on, whose states are read; 0 = all"),
    ROW("hidden", TDM_OPT_INT, hidden, "256", 1, 16384, "width of the projection's inner layer"),
    ROW("context", TDM_OPT_INT, context, "512", 2, 65536, "longest conversation, tokens"),
    ROW("steps", TDM_OPT_INT, steps, "10000", 1, 1e9, "steps of the whole schedule"),
    ROW("batch-tokens", TDM_OPT_INT, batch_tokens, "1024", 1, 1e7, "tokens of one step"),
    ROW("lr", TDM_OPT_NUMBER, lr, "0.001", 0, 10, "highest learning rate"),
    ROW("min-lr", TDM_OPT_NUMBER, min_lr, "0.00001", 0, 10, "last learning rate"),
    ROW("warmup", TDM_OPT_INT, warmup, "200", 0, 1e9, "steps of warm-up"),
    ROW("clip", TDM_OPT_NUMBER, clip, "1", 0, 1e9, "longest gradient, 0 = no limit"),
    ROW("beta2", TDM_OPT_NUMBER, beta2, "0.99", 0, 0.99999, "memory of the second moment"),
    ROW("seed", TDM_OPT_INT, seed, "1", 0, 9e15, "seed of first values and order"),
    ROW("every", TDM_OPT_INT, every, "1000", 1, 1e9, "steps between measurements and checkpoints"),
    ROW("valid-limit", TDM_OPT_INT, valid_limit, "600", 0, 1e9, "conversations measured at an interval, 0 = all"),
};

struct rows { // the prompt tokens of a batch: those that get a vector
	int n, cap;
	int32_t *at;                          // [n]: their places in the batch
	float *states, *inner, *outer, *back; // [n, n_in], [n, n_hidden], [n, n_out], [n, n_hidden]
};

struct run {
	const struct tdm_fit_states_options *o;
	const volatile sig_atomic_t *stop;
	struct tdm_error *err;
	struct tdm_gguf *file; // of the small model: its tokenizer
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	struct tdm_engine *large;
	struct tdm_seq *seq;
	struct tdm_pool *pool;
	struct tdm_dataset data, valid;
	struct tdm_order order;
	struct tdm_projection p; // its matrices lie in `params`
	struct tdm_net net;      // so do its parameters
	struct tdm_pass pass;
	struct tdm_batch batch;
	struct rows rows;
	float in_scale, out_scale;
	float *added, *weights; // [batch, n_out]; [longest document]
	size_t n_matrices, n;   // floats of the projection; of the block
	float *params, *gradient, *m, *v;
	struct tdm_progress_of_training at;
	struct tdm_bytes curve; // of the checkpoint; empty
};

// --- opening

static int hash_file(const char *path, char out[72], struct tdm_error *err) {
	struct tdm_mapping file;
	int status = tdm_map_open(path, &file, err);
	if (status)
		return status;
	tdm_labels_hash(file.data, file.n, out);
	tdm_map_close(&file);
	return TDM_OK;
}

static int open_large(struct run *r) {
	struct tdm_seq *whole = NULL;
	int status = tdm_engine_open(r->o->large, NULL, &r->large, r->err);
	if (!status)
		status = hash_file(r->o->large, r->p.large, r->err);
	if (!status && tdm_vocab_id(tdm_engine_vocab(r->large)) != tdm_vocab_id(r->vocab))
		status = tdm_fail(r->err, TDM_EVALUE, "%s: its vocabulary is not that of %s", r->o->large, r->o->small);
	if (!status && tdm_engine_chat(r->large) != r->chat)
		status = tdm_fail(r->err, TDM_EVALUE, "%s: its chat format is not that of %s", r->o->large, r->o->small);
	if (!status)
		status = tdm_seq_open(r->large, &whole, r->err);
	if (!status && r->o->layers)
		status = tdm_seq_fork_first(whole, (int)r->o->layers, &r->seq, r->err);
	if (status || r->o->layers)
		tdm_seq_close(whole);
	else
		r->seq = whole;
	return status;
}

static int open_small(struct run *r) {
	const char *text = NULL;
	size_t n = 0;
	int status = tdm_gguf_open(r->o->small, &r->file, r->err);
	if (!status)
		status = hash_file(r->o->small, r->p.small, r->err);
	if (!status)
		status = tdm_vocab_read(r->file, &r->vocab, r->err);
	if (status)
		return status;
	tdm_gguf_text(r->file, "tokenizer.chat_template", &text, &n);
	status = tdm_chat_find("auto", text, n, &r->chat, r->err);
	return status ? status : tdm_net_load(&r->net, r->file, r->o->small, r->err);
}

// Of the first conversations, so that every run over the data has the same one.
static int measure_scales(struct run *r) {
	size_t n_embedding = (size_t)r->net.shape.n_vocab * (size_t)r->p.n_out, n_states = 0;
	double sum = 0;
	int status = TDM_OK;
	r->out_scale = (float)sqrt(tdm_rows()->square_sum(r->net.params, n_embedding) / (double)n_embedding);
	for (size_t i = 0; i < r->data.n_docs && i < 16 && !status; i++) {
		const struct tdm_document *doc = &r->data.docs[i];
		size_t n = (size_t)(doc->n - 1) * (size_t)r->p.n_in; // the last token is no input
		tdm_seq_rewind(r->seq, 0);
		status = tdm_seq_states(r->seq, r->data.tokens + doc->start, doc->n - 1, r->rows.states, NULL, r->err);
		sum += status ? 0 : tdm_rows()->square_sum(r->rows.states, n);
		n_states += n;
	}
	r->in_scale = sum > 0 ? (float)sqrt((double)n_states / sum) : 1;
	return status;
}

static bool take_rows(struct run *r) {
	size_t n = (size_t)r->batch.n_cap, widest = n * (size_t)(r->p.n_hidden > r->p.n_out ? r->p.n_hidden : r->p.n_out);
	r->rows = (struct rows){.cap = r->batch.n_cap, .at = malloc(n * sizeof(int32_t))};
	r->rows.states = tdm_floats(n * (size_t)r->p.n_in);
	r->rows.inner = tdm_floats(widest);
	r->rows.outer = tdm_floats(widest);
	r->rows.back = tdm_floats(widest);
	r->added = tdm_floats(n * (size_t)r->p.n_out);
	r->weights = tdm_floats((size_t)r->o->context + 1);
	return r->rows.at && r->rows.states && r->rows.inner && r->rows.outer && r->rows.back && r->added && r->weights;
}

// The parameters move into the block. The outer matrix is zero: the run begins with the small model alone.
static int take_block(struct run *r) {
	size_t n_inner = (size_t)r->p.n_in * (size_t)r->p.n_hidden, n_outer = (size_t)r->p.n_hidden * (size_t)r->p.n_out;
	struct tdm_rng rng;
	r->n_matrices = (n_inner + n_outer + 15) / 16 * 16;
	r->n = r->n_matrices + r->net.n_params;
	r->params = tdm_floats(r->n);
	r->gradient = tdm_floats(r->n);
	r->m = tdm_floats(r->n);
	r->v = tdm_floats(r->n);
	if (!r->params || !r->gradient || !r->m || !r->v || !take_rows(r))
		return tdm_fail(r->err, TDM_ENOMEM, "no memory to fit %zu numbers", r->n);
	r->p.inner = r->params;
	r->p.outer = r->params + n_inner;
	tdm_rng_stream(&rng, (uint64_t)r->o->seed, "inner", 0);
	for (size_t i = 0; i < n_inner; i++)
		r->p.inner[i] = (float)(tdm_rng_normal(&rng) / sqrt((double)r->p.n_in));
	memcpy(r->params + r->n_matrices, r->net.params, r->net.n_params * sizeof(float));
	free(r->net.params);
	r->net.params = r->params + r->n_matrices;
	return measure_scales(r);
}

static struct tdm_checkpoint checkpoint_of(struct run *r) {
	return (struct tdm_checkpoint){
	    .at = r->at, .n_params = r->n, .params = r->params, .m = r->m, .v = r->v, .curve = &r->curve};
}

static int open_state(struct run *r) {
	r->at = (struct tdm_progress_of_training){.seed = (uint64_t)r->o->seed, .n_docs = r->data.n_docs};
	if (r->o->checkpoint && !access(r->o->checkpoint, F_OK)) {
		struct tdm_checkpoint c = checkpoint_of(r);
		int status = tdm_checkpoint_read(&c, &r->net.shape, r->o->checkpoint, r->err);
		if (status)
			return status;
		if (c.at.seed != r->at.seed || c.at.n_docs != r->at.n_docs)
			return tdm_fail(r->err, TDM_EVALUE, "%s: checkpoint of another run, by its seed or its data",
			                r->o->checkpoint);
		r->at = c.at;
	}
	return tdm_order_init(&r->order, r->data.n_docs, r->at.seed, r->at.epoch, r->at.at, r->err);
}

static int open_data(struct run *r) {
	const struct tdm_fit_states_options *o = r->o;
	r->pool = tdm_pool_new(1);
	if (!r->pool)
		return tdm_fail(r->err, TDM_ENOMEM, "no memory for a thread");
	int status = tdm_dataset_load(&r->data, o->data, r->vocab, r->chat, (int)o->context, r->pool, r->err);
	if (!status && o->valid)
		status = tdm_dataset_load(&r->valid, o->valid, r->vocab, r->chat, (int)o->context, r->pool, r->err);
	return status;
}

static int open_run(struct run *r) {
	const struct tdm_fit_states_options *o = r->o;
	if (!o->small || !o->large || !o->data || !o->out)
		return tdm_fail(r->err, TDM_EMISSING, "expected --small, --large, --data and --out");
	int status = open_small(r);
	if (!status && r->net.shape.context < o->context)
		status = tdm_fail(r->err, TDM_EVALUE, "%s: its context is %d, shorter than --context %d", o->small,
		                  r->net.shape.context, (int)o->context);
	if (!status)
		status = open_large(r);
	if (!status)
		status = open_data(r);
	if (status)
		return status;
	r->p.layers = (int)o->layers;
	r->p.n_in = tdm_engine_info(r->large)->width;
	r->p.n_hidden = (int)o->hidden;
	r->p.n_out = r->net.shape.width;
	status = tdm_batch_init(&r->batch, (int)(o->batch_tokens > o->context ? o->batch_tokens : o->context), r->err);
	if (!status)
		status = take_block(r);
	if (!status)
		status = tdm_pass_init(&r->pass, &r->net, r->err);
	return status ? status : open_state(r);
}

static void close_run(struct run *r) {
	if (r->params)
		r->net.params = NULL; // it lies in the block
	tdm_order_release(&r->order);
	tdm_pass_release(&r->pass);
	tdm_batch_release(&r->batch);
	tdm_net_release(&r->net);
	tdm_dataset_release(&r->data);
	tdm_dataset_release(&r->valid);
	tdm_seq_close(r->seq);
	tdm_engine_close(r->large);
	if (r->vocab)
		tdm_vocab_free(r->vocab);
	if (r->file)
		tdm_gguf_close(r->file);
	tdm_pool_free(r->pool);
	float *all[] = {r->params,     r->gradient,   r->m,         r->v,     r->rows.states,
	                r->rows.inner, r->rows.outer, r->rows.back, r->added, r->weights};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		free(all[i]);
	free(r->rows.at);
	tdm_bytes_release(&r->curve);
}

// --- a batch and its states

// Where the last answer of a document begins.
static int answer_of(const struct tdm_dataset *d, const struct tdm_document *doc) {
	int at = doc->n;
	while (at > 0 && d->answer[doc->start + (size_t)at - 1])
		at--;
	return at;
}

// Adds a document: its last answer is learned, by the root of its length, so that long answers do not outweigh short
// ones; what comes before is read by the large model. False: it does not fit.
static bool add(struct run *r, const struct tdm_dataset *d, size_t i, int *status) {
	const struct tdm_document *doc = &d->docs[i];
	const int32_t *tokens = d->tokens + doc->start;
	int first = r->batch.n, n = answer_of(d, doc);
	for (int k = 0; k < doc->n; k++)
		r->weights[k] = k < n ? 0 : 1 / sqrtf((float)(doc->n - n));
	if (!tdm_batch_add(&r->batch, tokens, r->weights, doc->n))
		return false;
	n = n < doc->n ? n : doc->n - 1; // the last token is no input
	tdm_seq_rewind(r->seq, 0);
	*status =
	    n ? tdm_seq_states(r->seq, tokens, n, r->rows.states + (size_t)r->rows.n * (size_t)r->p.n_in, NULL, r->err)
	      : TDM_OK;
	for (int k = 0; k < n; k++)
		r->rows.at[r->rows.n++] = first + k;
	return *status == TDM_OK;
}

static void project(struct run *r) {
	const struct tdm_projection *p = &r->p;
	struct rows *w = &r->rows;
	size_t width = (size_t)p->n_out;
	tdm_gemm(NULL, TDM_GEMM_NN, w->n, p->n_hidden, p->n_in, r->in_scale, w->states, p->n_in, p->inner, p->n_hidden, 0,
	         w->inner, p->n_hidden);
	for (size_t i = 0; i < (size_t)w->n * (size_t)p->n_hidden; i++)
		w->inner[i] = w->inner[i] > 0 ? w->inner[i] : 0;
	tdm_gemm(NULL, TDM_GEMM_NN, w->n, p->n_out, p->n_hidden, r->out_scale, w->inner, p->n_hidden, p->outer, p->n_out, 0,
	         w->outer, p->n_out);
	memset(r->added, 0, (size_t)r->batch.n * width * sizeof(float));
	for (int i = 0; i < w->n; i++)
		memcpy(r->added + (size_t)w->at[i] * width, w->outer + (size_t)i * width, width * sizeof(float));
}

static void project_back(struct run *r) {
	const struct tdm_projection *p = &r->p;
	struct rows *w = &r->rows;
	size_t width = (size_t)p->n_out, n_inner = (size_t)p->n_in * (size_t)p->n_hidden;
	for (int i = 0; i < w->n; i++)
		memcpy(w->outer + (size_t)i * width, r->pass.input_gradient + (size_t)w->at[i] * width, width * sizeof(float));
	tdm_gemm(NULL, TDM_GEMM_TN, p->n_hidden, p->n_out, w->n, r->out_scale, w->inner, p->n_hidden, w->outer, p->n_out, 1,
	         r->gradient + n_inner, p->n_out);
	tdm_gemm(NULL, TDM_GEMM_NT, w->n, p->n_hidden, p->n_out, r->out_scale, w->outer, p->n_out, p->outer, p->n_out, 0,
	         w->back, p->n_hidden);
	for (size_t i = 0; i < (size_t)w->n * (size_t)p->n_hidden; i++)
		w->back[i] = w->inner[i] > 0 ? w->back[i] : 0;
	tdm_gemm(NULL, TDM_GEMM_TN, p->n_in, p->n_hidden, w->n, r->in_scale, w->states, p->n_in, w->back, p->n_hidden, 1,
	         r->gradient, p->n_hidden);
}

static int forward(struct run *r, bool with_states) {
	if (with_states)
		project(r);
	r->pass.added = with_states ? r->added : NULL;
	return tdm_pass_forward(&r->pass, &r->batch, r->err);
}

static void clear(struct run *r) {
	tdm_batch_clear(&r->batch);
	r->rows.n = 0;
}

// --- measuring

struct figures {
	double loss;
	int right, n;
};

// Answers whose every token would be chosen, which is when greedy decoding gives exactly the answer.
static void count(struct run *r, struct figures *f) {
	uint8_t *right = (uint8_t *)r->rows.back; // not needed between forward and backward
	struct tdm_batch *b = &r->batch;
	f->loss += tdm_loss_next_token(r->pass.logits, b->targets, b->weights, b->n_rows, r->net.shape.n_vocab, right);
	for (int d = 0; d < b->n_docs; d++, f->n++) {
		bool all = true;
		for (int i = b->row_starts[d]; i < b->row_starts[d + 1]; i++)
			all = all && right[i];
		f->right += all;
	}
}

static int measure(struct run *r, bool with_states, struct figures *f) {
	size_t limit = (size_t)r->o->valid_limit, n = limit && limit < r->valid.n_docs ? limit : r->valid.n_docs;
	int status = TDM_OK;
	*f = (struct figures){0};
	for (size_t i = 0; i < n && !status;) {
		clear(r);
		while (i < n && add(r, &r->valid, i, &status))
			i++;
		if (!status)
			status = forward(r, with_states);
		if (!status)
			count(r, f);
	}
	return status;
}

static int show(struct run *r, bool with_states) {
	struct figures f;
	int status = r->valid.n_docs ? measure(r, with_states, &f) : TDM_OK;
	if (!status && r->valid.n_docs)
		tdm_log(TDM_INFO, "states.valid", NULL, " step=%llu states=%s loss=%.4f exact=%.4f answers=%d",
		        (unsigned long long)r->at.step, with_states ? "yes" : "no", f.loss / f.n, (double)f.right / f.n, f.n);
	return status;
}

// --- the loop

static void step(struct run *r, double lr, double norm, size_t first, size_t n) {
	const struct tdm_fit_states_options *o = r->o;
	const struct tdm_adamw how = {.lr = lr,
	                              .min_lr = o->min_lr < lr ? o->min_lr : lr,
	                              .warmup = o->warmup,
	                              .steps = o->steps,
	                              .clip = o->clip,
	                              .beta1 = 0.9,
	                              .beta2 = o->beta2,
	                              .eps = 1e-8};
	struct tdm_adamw_rates rates = tdm_adamw_rates_at(&how, norm, (int64_t)r->at.step);
	tdm_rows()->adamw(r->params + first, r->m + first, r->v + first, r->gradient + first, n, &rates);
}

// The projection, and the small model where it learns too, at a rate of its own.
static void update(struct run *r) {
	size_t first = r->n_matrices, n = r->o->small_out ? r->n : first;
	double norm = sqrt(tdm_rows()->square_sum(r->gradient, n));
	step(r, r->o->lr, norm, 0, first);
	if (n > first)
		step(r, r->o->small_lr, norm, first, n - first);
}

static int one_step(struct run *r, double *loss) {
	int status = TDM_OK;
	clear(r);
	while (add(r, &r->data, tdm_order_peek(&r->order), &status))
		tdm_order_advance(&r->order);
	if (!status)
		status = forward(r, true);
	if (status)
		return status;
	double weight = 0;
	for (int i = 0; i < r->batch.n_rows; i++)
		weight += (double)r->batch.weights[i];
	const struct tdm_loss how = {.temperature = 1, .scale = 1 / weight};
	memset(r->gradient, 0, r->n * sizeof(float));
	*loss = tdm_loss_backward(&how, r->pass.logits, NULL, r->batch.targets, r->batch.weights, r->batch.n_rows,
	                          r->net.shape.n_vocab) /
	        weight;
	tdm_pass_backward(&r->pass, &r->batch, r->gradient + r->n_matrices);
	project_back(r);
	r->at.step++;
	update(r);
	r->at.epoch = r->order.epoch;
	r->at.at = r->order.at;
	return isfinite(*loss) ? TDM_OK : tdm_fail(r->err, TDM_EVALUE, "the loss is not finite; expected a lower --lr");
}

// The matrices with the factors in them, in the memory of the gradient, which every step makes anew.
static int write_projection(struct run *r) {
	struct tdm_projection p = r->p;
	size_t n_inner = (size_t)p.n_in * (size_t)p.n_hidden, n_outer = (size_t)p.n_hidden * (size_t)p.n_out;
	p.inner = r->gradient;
	p.outer = r->gradient + n_inner;
	for (size_t i = 0; i < n_inner; i++)
		p.inner[i] = r->in_scale * r->p.inner[i];
	for (size_t i = 0; i < n_outer; i++)
		p.outer[i] = r->out_scale * r->p.outer[i];
	return tdm_projection_write(&p, r->o->out, r->err);
}

static int save(struct run *r) {
	const struct tdm_fit_states_options *o = r->o;
	int status = TDM_OK;
	if (o->small_out)
		status = tdm_export(&r->net, r->file, "tandem small with states", TDM_Q8_0, o->small_out, r->err);
	if (!status && o->small_out)
		status = hash_file(o->small_out, r->p.small, r->err);
	if (!status)
		status = write_projection(r);
	if (status || !o->checkpoint)
		return status;
	struct tdm_checkpoint c = checkpoint_of(r);
	return tdm_checkpoint_write(&c, &r->net.shape, o->checkpoint, r->err);
}

static int loop(struct run *r) {
	uint64_t steps = (uint64_t)r->o->steps, every = (uint64_t)r->o->every, first = r->at.step;
	struct tdm_progress progress;
	double smooth = 0, loss = 0;
	char note[64];
	int status = show(r, first > 0);
	tdm_progress_start(&progress, "fitting", "steps", steps > first ? steps - first : 0);
	while (!status && r->at.step < steps && !(r->stop && *r->stop)) {
		status = one_step(r, &loss);
		smooth = smooth > 0 ? 0.98 * smooth + 0.02 * loss : loss;
		snprintf(note, sizeof note, "step %llu, loss %.4f", (unsigned long long)r->at.step, smooth);
		tdm_progress_show(&progress, r->at.step - first, note);
		if (!status && r->at.step % every == 0 && r->at.step < steps) {
			status = show(r, true);
			status = status ? status : save(r);
		}
	}
	tdm_progress_end(&progress);
	status = status ? status : show(r, true);
	return status ? status : save(r);
}

int tdm_fit_states(const struct tdm_fit_states_options *options, const volatile sig_atomic_t *stop,
                   struct tdm_error *err) {
	struct tdm_error own = {0};
	struct run r = {.o = options, .stop = stop, .err = err ? err : &own};
	tdm_bytes_init(&r.curve, 1);
	int status = open_run(&r);
	if (!status)
		status = loop(&r);
	close_run(&r);
	return status;
}
