// Train: options, files and the loop of a training run (see train.h); the work of a step is in trainer.c.
//
// The rule it protects: what the loop carries from one step to the next is in struct tdm_progress_of_training or in the
// blocks of the checkpoint, so that a resumed run is the same run.
#include "learn/train.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "learn/checkpoint.h"
#include "learn/export.h"
#include "learn/trainer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW(name, type, field, standard, min, max, help) \
	{ name, type, offsetof(struct tdm_train_options, field), standard, min, max, NULL, help }

const struct tdm_option tdm_train_table[TDM_DISTIL_OPTIONS] = {
    ROW("data", TDM_OPT_STRING, data, NULL, 0, 0, "conversations to learn from, JSONL"),
    ROW("valid", TDM_OPT_STRING, valid, NULL, 0, 0, "conversations to measure on, JSONL"),
    ROW("tokenizer", TDM_OPT_STRING, tokenizer, NULL, 0, 0,
        "GGUF file whose tokenizer is used and copied; absent: --from"),
    ROW("from", TDM_OPT_STRING, from, NULL, 0, 0,
        "weight file to start from: its shape is kept, width to ff are not read"),
    ROW("lora-rank", TDM_OPT_INT, lora_rank, "0", 0, 256,
        "train a LoRA adapter of --from, of this rank, which --out is then; 0 = the weights"),
    ROW("lora-alpha", TDM_OPT_NUMBER, lora_alpha, "32", 0.001, 1e5, "its alpha: its change counts alpha / rank"),
    ROW("chat", TDM_OPT_STRING, chat, "auto", 0, 0, "chat format, auto = the tokenizer file's template"),
    ROW("out", TDM_OPT_STRING, out, NULL, 0, 0, "weight file to write, GGUF"),
    {"type", TDM_OPT_CHOICE, offsetof(struct tdm_train_options, type), "q8_0", 0, 0, "q8_0|f16|f32",
     "its number format"},
    ROW("name", TDM_OPT_STRING, name, "tandem", 0, 0, "the model's name in the file"),
    ROW("checkpoint", TDM_OPT_STRING, checkpoint, NULL, 0, 0,
        "state of the run; resumed from when it exists, also with other data or settings"),
    ROW("curve", TDM_OPT_STRING, curve, NULL, 0, 0, "losses and exact matches per interval, TSV"),
    ROW("every", TDM_OPT_INT, every, "500", 1, 1e9, "steps between measurements, checkpoints and curve lines"),
    ROW("valid-limit", TDM_OPT_INT, valid_limit, "2000", 0, 1e9, "conversations measured at an interval, 0 = all"),
    ROW("width", TDM_OPT_INT, width, "256", 2, 16384, "width of the model"),
    ROW("layers", TDM_OPT_INT, layers, "6", 1, 256, "layers"),
    ROW("heads", TDM_OPT_INT, heads, "8", 1, 1024, "attention heads"),
    ROW("kv-heads", TDM_OPT_INT, kv_heads, "4", 1, 1024, "heads of keys and values"),
    ROW("ff", TDM_OPT_INT, ff, "704", 1, 65536, "width of the feed-forward part"),
    ROW("context", TDM_OPT_INT, context, "512", 2, 65536, "longest conversation, tokens"),
    ROW("rope-base", TDM_OPT_NUMBER, rope_base, "10000", 2, 1e9, "base of the rotation angles"),
    ROW("steps", TDM_OPT_INT, steps, "10000", 1, 1e9, "steps of the whole schedule"),
    ROW("stop-at", TDM_OPT_INT, stop_at, "0", 0, 1e9, "stop after this step as if interrupted, 0 = do not"),
    ROW("batch-tokens", TDM_OPT_INT, batch_tokens, "4096", 1, 1e8, "tokens of one step"),
    ROW("micro-tokens", TDM_OPT_INT, micro_tokens, "384", 1, 1e8, "tokens of one pass"),
    {"precision", TDM_OPT_CHOICE, offsetof(struct tdm_train_options, precision), "float", 0, 0, "float|bfloat16",
     "of the operands of products; bfloat16 needs AVX512_BF16 and is faster"},
    ROW("lr", TDM_OPT_NUMBER, lr, "0.002", 0, 10, "highest learning rate"),
    ROW("min-lr", TDM_OPT_NUMBER, min_lr, "0.0001", 0, 10, "last learning rate"),
    ROW("warmup", TDM_OPT_INT, warmup, "200", 0, 1e9, "steps of warm-up"),
    ROW("decay", TDM_OPT_NUMBER, decay, "0.1", 0, 10, "weight decay of matrices"),
    ROW("clip", TDM_OPT_NUMBER, clip, "1", 0, 1e9, "longest gradient, 0 = no limit"),
    ROW("beta2", TDM_OPT_NUMBER, beta2, "0.98", 0, 0.99999, "memory of the second moment"),
    ROW("prompt-weight", TDM_OPT_NUMBER, prompt_weight, "0", 0, 1, "weight of tokens outside answers"),
    ROW("length-power", TDM_OPT_NUMBER, length_power, "0", 0, 1,
        "an answer of n tokens counts n^(1 - this): 0 = by its length, 1 = as one"),
    ROW("seed", TDM_OPT_INT, seed, "1", 0, 9e15, "seed of first values and order"),
    ROW("threads", TDM_OPT_INT, threads, "1", 1, 256, "threads"),
    ROW("teacher", TDM_OPT_STRING, teacher, NULL, 0, 0, "weight file of the teacher, same vocabulary"),
    ROW("alpha", TDM_OPT_NUMBER, alpha, "0.5", 0, 1, "share of the teacher in the loss"),
    ROW("temperature", TDM_OPT_NUMBER, temperature, "1", 0.05, 100, "of both distributions in the teacher's share"),
};

enum { CURVE_LIMIT_BYTES = 64 << 20 };

struct run {
	const struct tdm_train_options *o;
	const volatile sig_atomic_t *stop;
	struct tdm_gguf *tokenizer;
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	struct tdm_dataset data, valid;
	struct tdm_net teacher;
	struct tdm_lora lora;
	struct tdm_trainer trainer;
	struct tdm_order order;
	struct tdm_progress_of_training at;
	struct tdm_bytes curve;
	struct tdm_tally *tally; // [families of valid]
	struct tdm_error *err;
};

// --- opening

static int need(const struct run *r, const char *name, const char *value) {
	return value && *value ? TDM_OK : tdm_fail_param(r->err, TDM_EMISSING, name, "--%s is missing", name);
}

static const char *tokenizer_file(const struct tdm_train_options *o) {
	return o->tokenizer ? o->tokenizer : o->from;
}

static int open_tokenizer(struct run *r) {
	const char *template_text = NULL;
	size_t n = 0;
	int status = tdm_gguf_open(tokenizer_file(r->o), &r->tokenizer, r->err);
	if (!status)
		status = tdm_vocab_read(r->tokenizer, &r->vocab, r->err);
	if (status)
		return status;
	tdm_gguf_text(r->tokenizer, "tokenizer.chat_template", &template_text, &n);
	return tdm_chat_find(r->o->chat, template_text, n, &r->chat, r->err);
}

// A model that takes part in the run, as `what` of it.
static int open_net(struct run *r, const char *what, const char *path, struct tdm_net *net) {
	struct tdm_gguf *file;
	struct tdm_vocab *vocab = NULL;
	int status = tdm_gguf_open(path, &file, r->err);
	if (status)
		return status;
	status = tdm_vocab_read(file, &vocab, r->err);
	if (!status && tdm_vocab_id(vocab) != tdm_vocab_id(r->vocab))
		status =
		    tdm_fail(r->err, TDM_EVALUE,
		             "%s: the vocabulary of the %s (%d tokens) is not that of %s (%d tokens); expected the same one",
		             path, what, tdm_vocab_size(vocab), tokenizer_file(r->o), tdm_vocab_size(r->vocab));
	if (!status)
		status = tdm_net_load(net, file, path, r->err);
	tdm_vocab_free(vocab);
	tdm_gguf_close(file);
	return status;
}

static int open_teacher(struct run *r) {
	int status = open_net(r, "teacher", r->o->teacher, &r->teacher);
	if (!status && r->teacher.shape.context < r->o->context)
		status = tdm_fail(r->err, TDM_EVALUE, "%s: the teacher's context is %d, shorter than --context %d",
		                  r->o->teacher, r->teacher.shape.context, (int)r->o->context);
	return status;
}

static int open_data(struct run *r) {
	const struct tdm_train_options *o = r->o;
	struct tdm_pool *pool = r->trainer.pool;
	int64_t start = tdm_now_us();
	int status = tdm_dataset_load(&r->data, o->data, r->vocab, r->chat, (int)o->context, pool, r->err);
	if (status)
		return status;
	tdm_log(TDM_INFO, "train.data", NULL, " documents=%zu tokens=%zu left_out=%zu families=%d seconds=%.1f",
	        r->data.n_docs, r->data.n_tokens, r->data.n_too_long, r->data.n_families,
	        (double)(tdm_now_us() - start) / 1e6);
	if (!o->valid)
		return TDM_OK;
	status = tdm_dataset_load(&r->valid, o->valid, r->vocab, r->chat, (int)o->context, pool, r->err);
	if (status)
		return status;
	r->tally = calloc((size_t)r->valid.n_families, sizeof(*r->tally));
	return r->tally ? TDM_OK : tdm_fail(r->err, TDM_ENOMEM, "no memory for the validation");
}

// A new model's first values are drawn; one that goes on has those of the file.
static int open_student(struct run *r) {
	const struct tdm_train_options *o = r->o;
	struct tdm_net *net = &r->trainer.net;
	struct tdm_shape shape;
	if (o->from) {
		int status = open_net(r, "model to start from", o->from, net);
		net->shape.context = (int)o->context;
		return status;
	}
	memset(&shape, 0, sizeof(shape)); // the checkpoint compares its bytes
	shape.n_vocab = tdm_vocab_size(r->vocab);
	shape.width = (int)o->width;
	shape.n_layers = (int)o->layers;
	shape.n_heads = (int)o->heads;
	shape.n_kv_heads = (int)o->kv_heads;
	shape.n_ff = (int)o->ff;
	shape.context = (int)o->context;
	shape.norm_eps = 1e-5f;
	shape.rope_base = (float)o->rope_base;
	int status = tdm_net_init(net, &shape, r->err);
	if (!status)
		tdm_net_randomize(net, (uint64_t)o->seed);
	return status;
}

static size_t n_learning(const struct run *r) {
	return r->trainer.lora ? r->lora.n : r->trainer.net.n_params;
}

static int open_trainer(struct run *r) {
	const struct tdm_train_options *o = r->o;
	struct tdm_trainer *t = &r->trainer;
	int status = open_student(r);
	if (status)
		return status;
	if (o->lora_rank) {
		status = tdm_gemm_load(r->err);
		if (!status)
			status = tdm_lora_init(&r->lora, &t->net, (int)o->lora_rank, o->lora_alpha, (uint64_t)o->seed, r->err);
		t->lora = &r->lora;
	}
	t->m = tdm_floats(n_learning(r));
	t->v = tdm_floats(n_learning(r));
	if (!status && (!t->m || !t->v))
		status = tdm_fail(r->err, TDM_ENOMEM, "no memory for the moments of %zu parameters", n_learning(r));
	if (status)
		return status;
	t->teacher = o->teacher ? &r->teacher : NULL;
	t->weighting = (struct tdm_weighting){(float)o->prompt_weight, (float)o->length_power};
	t->bf16 = o->precision == 1;
	t->loss = (struct tdm_loss){.alpha = o->teacher ? o->alpha : 0, .temperature = o->temperature};
	t->adamw = (struct tdm_adamw){.lr = o->lr,
	                              .min_lr = o->min_lr < o->lr ? o->min_lr : o->lr,
	                              .warmup = o->warmup,
	                              .steps = o->steps,
	                              .decay = o->decay,
	                              .clip = o->clip,
	                              .beta1 = 0.9,
	                              .beta2 = o->beta2,
	                              .eps = 1e-8};
	return tdm_trainer_init(t, (int)o->micro_tokens, r->err);
}

static struct tdm_checkpoint checkpoint_of(struct run *r) {
	struct tdm_trainer *t = &r->trainer;
	float *params = t->lora ? t->lora->factors : t->net.params;
	return (struct tdm_checkpoint){
	    .at = r->at, .n_params = n_learning(r), .params = params, .m = t->m, .v = t->v, .curve = &r->curve};
}

static int open_state(struct run *r) {
	const struct tdm_train_options *o = r->o;
	r->at = (struct tdm_progress_of_training){.seed = (uint64_t)o->seed, .n_docs = r->data.n_docs};
	if (o->checkpoint && !access(o->checkpoint, F_OK)) {
		struct tdm_checkpoint c = checkpoint_of(r);
		int status = tdm_checkpoint_read(&c, &r->trainer.net.shape, o->checkpoint, r->err);
		if (status)
			return status;
		if (r->trainer.lora)
			tdm_lora_apply(&r->lora, &r->trainer.net);
		if (c.at.seed != r->at.seed)
			return tdm_fail(r->err, TDM_EVALUE, "%s: checkpoint of another run (seed %llu; this run: seed %llu)",
			                o->checkpoint, (unsigned long long)c.at.seed, (unsigned long long)r->at.seed);
		bool is_same = c.at.n_docs == r->at.n_docs;
		r->at = c.at;
		if (!is_same) { // other data, which is read from its beginning
			r->at.n_docs = r->data.n_docs;
			r->at.epoch = r->at.at = 0;
		}
		tdm_log(TDM_INFO, "train.resume", NULL, " step=%llu epoch=%llu data=%s", (unsigned long long)r->at.step,
		        (unsigned long long)r->at.epoch, is_same ? "same" : "other");
	}
	return tdm_order_init(&r->order, r->data.n_docs, r->at.seed, r->at.epoch, r->at.at, r->err);
}

static int open_run(struct run *r) {
	const struct tdm_train_options *o = r->o;
	if (need(r, "data", o->data) || need(r, "tokenizer", tokenizer_file(o)) || need(r, "out", o->out))
		return TDM_EMISSING;
	if (o->lora_rank && !o->from)
		return tdm_fail_param(r->err, TDM_EMISSING, "from",
		                      "--from is missing: what the adapter of --lora-rank is for");
	if (o->precision == 1 && !tdm_gemm_has_bf16())
		return tdm_fail_param(r->err, TDM_EVALUE, "precision", "--precision bfloat16: this machine has no AVX512_BF16");
	r->trainer.pool = tdm_pool_new((int)o->threads);
	if (!r->trainer.pool)
		return tdm_fail(r->err, TDM_ENOMEM, "no memory for %d threads", (int)o->threads);
	int status = open_tokenizer(r);
	if (!status && o->teacher)
		status = open_teacher(r);
	if (!status)
		status = open_data(r);
	if (!status)
		status = open_trainer(r);
	return status ? status : open_state(r);
}

static void close_run(struct run *r) {
	tdm_order_release(&r->order);
	tdm_trainer_release(&r->trainer);
	free(r->trainer.m);
	free(r->trainer.v);
	tdm_lora_release(&r->lora);
	tdm_net_release(&r->trainer.net);
	tdm_net_release(&r->teacher);
	tdm_dataset_release(&r->data);
	tdm_dataset_release(&r->valid);
	free(r->tally);
	tdm_bytes_release(&r->curve);
	if (r->vocab)
		tdm_vocab_free(r->vocab);
	if (r->tokenizer)
		tdm_gguf_close(r->tokenizer);
	tdm_pool_free(r->trainer.pool);
}

// --- at an interval

static void curve_head(struct run *r) {
	tdm_bytes_puts(&r->curve, "step\ttokens\tlr\tloss");
	if (r->valid.n_docs)
		tdm_bytes_puts(&r->curve, "\tvalid_loss\texact");
	for (int f = 0; f < r->valid.n_families; f++)
		tdm_bytes_printf(&r->curve, "\t%s", r->valid.families[f]);
	tdm_bytes_putc(&r->curve, '\n');
}

static int measure(struct run *r, size_t limit) {
	double loss;
	uint64_t right = 0, total = 0;
	int status = tdm_trainer_validate(&r->trainer, &r->valid, limit, &loss, r->tally, r->err);
	if (status)
		return status;
	for (int f = 0; f < r->valid.n_families; f++) {
		right += r->tally[f].right;
		total += r->tally[f].total;
	}
	double exact = total ? (double)right / (double)total : 0;
	tdm_bytes_printf(&r->curve, "\t%.5f\t%.4f", loss, exact);
	tdm_log(TDM_INFO, "train.valid", NULL, " step=%llu loss=%.4f exact=%.4f answers=%llu",
	        (unsigned long long)r->at.step, loss, exact, (unsigned long long)total);
	for (int f = 0; f < r->valid.n_families; f++) {
		const struct tdm_tally *t = &r->tally[f];
		double share = t->total ? (double)t->right / (double)t->total : 0;
		tdm_bytes_printf(&r->curve, "\t%.4f", share);
		tdm_log(TDM_INFO, "train.family", NULL, " step=%llu family=%s exact=%.4f answers=%llu",
		        (unsigned long long)r->at.step, r->valid.families[f], share, (unsigned long long)t->total);
	}
	return TDM_OK;
}

static int save(struct run *r) {
	static const enum tdm_tensor_type types[] = {TDM_Q8_0, TDM_F16, TDM_F32};
	const struct tdm_train_options *o = r->o;
	int status = TDM_OK;
	if (r->curve.failed)
		return tdm_fail(r->err, TDM_ENOMEM, "the curve grew over %d bytes", CURVE_LIMIT_BYTES);
	if (o->checkpoint) {
		struct tdm_checkpoint c = checkpoint_of(r);
		status = tdm_checkpoint_write(&c, &r->trainer.net.shape, o->checkpoint, r->err);
	}
	if (!status && o->curve && r->curve.len)
		status = tdm_file_write(o->curve, r->curve.data, r->curve.len, r->err);
	if (status)
		return status;
	return r->trainer.lora ? tdm_lora_export(&r->lora, &r->trainer.net, o->name, types[o->type], o->out, r->err)
	                       : tdm_export(&r->trainer.net, r->tokenizer, o->name, types[o->type], o->out, r->err);
}

static int interval(struct run *r) {
	const struct tdm_train_options *o = r->o;
	bool last = r->at.step >= (uint64_t)o->steps;
	double loss = r->at.loss_weight > 0 ? r->at.loss_sum / r->at.loss_weight : 0;
	double lr = tdm_adamw_lr(&r->trainer.adamw, (int64_t)r->at.step);
	if (!r->curve.len)
		curve_head(r);
	tdm_bytes_printf(&r->curve, "%llu\t%llu\t%.3g\t%.5f", (unsigned long long)r->at.step,
	                 (unsigned long long)r->at.n_tokens, lr, loss);
	tdm_log(TDM_INFO, "train.step", NULL, " step=%llu loss=%.4f lr=%.3g tokens=%llu epoch=%llu",
	        (unsigned long long)r->at.step, loss, lr, (unsigned long long)r->at.n_tokens,
	        (unsigned long long)r->at.epoch);
	int status = r->valid.n_docs ? measure(r, last ? 0 : (size_t)o->valid_limit) : TDM_OK;
	tdm_bytes_putc(&r->curve, '\n');
	r->at.loss_sum = r->at.loss_weight = 0;
	return status ? status : save(r);
}

// --- the loop

static int one_step(struct run *r, double *loss) {
	struct tdm_trainer *t = &r->trainer;
	double sum, weight;
	int status = tdm_trainer_choose(t, &r->data, &r->order, (int)r->o->batch_tokens, r->err);
	if (!status)
		status = tdm_trainer_gradient(t, &sum, &weight, r->err);
	if (status)
		return status;
	r->at.step++;
	tdm_trainer_update(t, (int64_t)r->at.step);
	for (size_t i = 0; i < t->n_docs; i++)
		r->at.n_tokens += (uint64_t)r->data.docs[t->docs[i]].n - 1;
	r->at.loss_sum += sum;
	r->at.loss_weight += weight;
	r->at.epoch = r->order.epoch;
	r->at.at = r->order.at;
	*loss = sum / weight;
	return TDM_OK;
}

static void show(struct run *r, struct tdm_progress *p, uint64_t first, uint64_t first_token, double loss) {
	char note[128];
	double seconds = (double)(tdm_now_us() - p->started_us) / 1e6 + 1e-9;
	snprintf(note, sizeof(note), "step %llu, loss %.4f, lr %.3g, %.0f tokens/s", (unsigned long long)r->at.step, loss,
	         tdm_adamw_lr(&r->trainer.adamw, (int64_t)r->at.step), (double)(r->at.n_tokens - first_token) / seconds);
	tdm_progress_show(p, r->at.step - first, note);
}

static bool is_over(const struct run *r) {
	uint64_t stop_at = (uint64_t)r->o->stop_at;
	return r->at.step >= (uint64_t)r->o->steps || (r->stop && *r->stop) || (stop_at && r->at.step >= stop_at);
}

static int loop(struct run *r) {
	uint64_t steps = (uint64_t)r->o->steps, every = (uint64_t)r->o->every;
	uint64_t first = r->at.step, first_token = r->at.n_tokens;
	struct tdm_progress p;
	double smooth = 0;
	int status = TDM_OK;
	tdm_progress_start(&p, "training", "steps", steps > first ? steps - first : 0);
	while (!status && !is_over(r)) {
		double loss = 0;
		status = one_step(r, &loss);
		smooth = smooth > 0 ? 0.95 * smooth + 0.05 * loss : loss;
		if (!status)
			show(r, &p, first, first_token, smooth);
		if (!status && (r->at.step % every == 0 || r->at.step == steps))
			status = interval(r);
	}
	tdm_progress_end(&p);
	if (!status && r->at.step < steps) {
		status = save(r);
		tdm_log(TDM_INFO, "train.stopped", NULL, " step=%llu", (unsigned long long)r->at.step);
	}
	return status;
}

int tdm_train(const struct tdm_train_options *options, const volatile sig_atomic_t *stop, struct tdm_error *err) {
	struct tdm_error own = {0};
	struct run r = {.o = options, .stop = stop, .err = err ? err : &own};
	tdm_bytes_init(&r.curve, CURVE_LIMIT_BYTES);
	int status = open_run(&r);
	if (!status) {
		tdm_log(TDM_INFO, "train.start", NULL, " parameters=%zu threads=%d loops=%s products=%s teacher=%s",
		        n_learning(&r), (int)options->threads, tdm_rows()->name, options->precision ? "bfloat16" : "float",
		        options->teacher ? options->teacher : "none");
		status = loop(&r);
	}
	close_run(&r);
	return status;
}
