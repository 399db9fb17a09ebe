// Adapters that learn: the gradient of their factors, the change they make, their file through the engine, whole runs.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/file.h"
#include "base/random.h"
#include "engine/engine.h"
#include "learn/export.h"
#include "learn/gemm.h"
#include "learn/lora.h"
#include "learn/train.h"
#include "files.h"
#include "tests.h"
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define RANK 3
#define ALPHA 5.0

#define WORDS "What is 12 plus 34? The sum is 46. What is the name of the day? It is Monday, it is Sunday."

static const struct tdm_shape SHAPE = {.n_vocab = 290,
                                       .width = 32,
                                       .n_layers = 2,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .n_ff = 48,
                                       .context = 64,
                                       .norm_eps = 1e-5f,
                                       .rope_base = 10000};

static void fill(float *x, size_t n, uint64_t seed, double size) {
	struct tdm_rng rng;
	tdm_rng_stream(&rng, seed, "lora", 0);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(tdm_rng_normal(&rng) * size);
}

static void make(struct tdm_net *net, struct tdm_lora *l) {
	assert_int_equal(tdm_gemm_load(NULL), TDM_OK);
	assert_int_equal(tdm_net_init(net, &SHAPE, NULL), TDM_OK);
	tdm_net_randomize(net, 4);
	assert_int_equal(tdm_lora_init(l, net, RANK, ALPHA, 7, NULL), TDM_OK);
}

static int set_up(void **state) {
	snprintf(folder, sizeof folder, "/tmp/tandem-lora-XXXXXX");
	assert_non_null(mkdtemp(folder));
	write_vocab(at("vocab.gguf"), SHAPE.n_vocab, 8, WORDS);
	return 0;
}

static int tear_down(void **state) {
	static const char *const names[] = {"vocab.gguf", "base.gguf",  "merged.gguf", "adapter.gguf",
	                                    "data.jsonl", "more.gguf",  "whole.gguf",  "run.state",
	                                    "run.tsv",    "other.gguf", "tuned.gguf"};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlink(at(names[i]));
	return rmdir(folder);
}

static void at_first_nothing_has_changed(void **state) {
	struct tdm_net net;
	struct tdm_lora l;
	make(&net, &l);
	float *before = tdm_floats(net.n_params);
	memcpy(before, net.params, net.n_params * sizeof *before);
	tdm_lora_apply(&l, &net);
	assert_memory_equal(before, net.params, net.n_params * sizeof *before);
	assert_int_equal(l.n, 2 * RANK * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48)));
	free(before);
	tdm_lora_release(&l);
	tdm_net_release(&net);
	assert_int_equal(tdm_lora_init(&l, &net, 0, ALPHA, 7, NULL), TDM_EVALUE);
	assert_int_equal(tdm_lora_init(&l, &net, TDM_LORA_MOST_RANK + 1, ALPHA, 7, NULL), TDM_EVALUE);
}

static double dot(const float *a, const float *b, size_t n) {
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

// A function that is linear in W has the gradient G everywhere; in A alone and in B alone it is linear too, so that
// differences are exact but for rounding.
static void factors_have_their_gradient(void **state) {
	struct tdm_net net;
	struct tdm_lora l;
	make(&net, &l);
	float *g = tdm_floats(net.n_params);
	fill(g, net.n_params, 1, 1);
	fill(l.factors, l.n, 2, 0.3);
	tdm_lora_gradient(&l, &net, g);
	size_t n_tried = 0;
	for (size_t i = 0; i < l.n; i += 61, n_tried++) {
		float was = l.factors[i];
		double value[2];
		for (int side = 0; side < 2; side++) {
			l.factors[i] = was + (side ? 0.5f : -0.5f);
			tdm_lora_apply(&l, &net);
			value[side] = dot(g, net.params, net.n_params);
		}
		l.factors[i] = was;
		double difference = value[1] - value[0], gradient = (double)l.gradient[i];
		if (fabs(difference - gradient) > 1e-3 * (1 + fabs(gradient)))
			fail_msg("factor %zu: gradient %.6f, difference %.6f", i, gradient, difference);
	}
	assert_true(n_tried > 40);
	free(g);
	tdm_lora_release(&l);
	tdm_net_release(&net);
}

static void logits_of(const char *model, const char *adapter, float *out) {
	static const int32_t tokens[] = {5, 17, 260, 33, 8, 120};
	struct tdm_engine *e;
	struct tdm_seq *s;
	struct tdm_adapter *a = NULL;
	struct tdm_error err = {0};
	if (tdm_engine_open(model, NULL, &e, &err))
		fail_msg("%s", err.text);
	if (adapter)
		assert_int_equal(tdm_adapter_open(e, adapter, 1, &a, NULL), TDM_OK);
	assert_int_equal(tdm_seq_open(e, &s, NULL), TDM_OK);
	tdm_seq_use(s, a);
	assert_int_equal(tdm_seq_eval(s, tokens, 6, NULL, NULL, NULL), TDM_OK);
	memcpy(out, tdm_seq_logits(s, 0), (size_t)SHAPE.n_vocab * sizeof *out);
	tdm_seq_close(s);
	tdm_adapter_close(a);
	tdm_engine_close(e);
}

static double apart(const float *a, const float *b) {
	double most = 0;
	for (int i = 0; i < SHAPE.n_vocab; i++)
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
	return most;
}

// The engine with the file is the net with the change.
static void file_is_the_change(void **state) {
	struct tdm_net net;
	struct tdm_lora l;
	struct tdm_gguf *vocab;
	float plain[290], with[290], merged[290];
	make(&net, &l);
	assert_int_equal(tdm_gguf_open(at("vocab.gguf"), &vocab, NULL), TDM_OK);
	assert_int_equal(tdm_export(&net, vocab, "t", TDM_F32, at("base.gguf"), NULL), TDM_OK);
	fill(l.factors, l.n, 3, 0.2);
	tdm_lora_apply(&l, &net);
	assert_int_equal(tdm_export(&net, vocab, "t", TDM_F32, at("merged.gguf"), NULL), TDM_OK);
	assert_int_equal(tdm_lora_export(&l, &net, "t", TDM_F32, at("adapter.gguf"), NULL), TDM_OK);
	logits_of(at("base.gguf"), NULL, plain);
	logits_of(at("base.gguf"), at("adapter.gguf"), with);
	logits_of(at("merged.gguf"), NULL, merged);
	assert_true(apart(with, merged) < 1e-3);
	assert_true(apart(with, plain) > 0.1);
	assert_int_equal(tdm_lora_export(&l, &net, "t", TDM_Q8_0, at("adapter.gguf"), NULL), TDM_OK);
	logits_of(at("base.gguf"), at("adapter.gguf"), with);
	assert_true(apart(with, merged) < 0.2 * apart(merged, plain));
	tdm_gguf_close(vocab);
	tdm_lora_release(&l);
	tdm_net_release(&net);
}

// --- runs

static struct tdm_train_options options(const char *out) {
	struct tdm_train_options o;
	struct tdm_arena arena;
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(
	    tdm_options_read(&arena, "test", NULL, tdm_train_table, TDM_DISTIL_OPTIONS, NULL, &o, sizeof o, NULL), TDM_OK);
	tdm_arena_release(&arena);
	o.chat = "chatml";
	o.name = "tiny";
	o.data = o.valid = at("data.jsonl");
	o.out = out;
	o.context = 64;
	o.steps = 30;
	o.every = 10;
	o.warmup = 3;
	o.batch_tokens = 120;
	o.lr = 0.02;
	o.type = 2;
	return o;
}

static void run(const struct tdm_train_options *o) {
	struct tdm_error err = {0};
	if (tdm_train(o, NULL, &err))
		fail_msg("%s", err.text);
}

// The validation losses of the first and the last line.
static void losses(const char *path, double *first, double *last) {
	struct tdm_bytes curve;
	assert_int_equal(tdm_file_read(path, 1 << 20, &curve, NULL), TDM_OK);
	assert_int_equal(sscanf(strstr(curve.data, "\n10\t"), "\n10\t%*d\t%*f\t%*f\t%lf", first), 1);
	assert_int_equal(sscanf(strstr(curve.data, "\n30\t"), "\n30\t%*d\t%*f\t%*f\t%lf", last), 1);
	tdm_bytes_release(&curve);
}

static void write_data(const char *answer) {
	struct tdm_bytes data;
	tdm_bytes_init(&data, 1 << 20);
	for (int i = 0; i < 20; i++)
		tdm_bytes_printf(&data,
		                 "{\"messages\":[{\"role\":\"user\",\"content\":\"What is 12 plus 34?\"},"
		                 "{\"role\":\"assistant\",\"content\":\"%s\"}]}\n",
		                 answer);
	assert_int_equal(tdm_file_write(at("data.jsonl"), data.data, data.len, NULL), TDM_OK);
	tdm_bytes_release(&data);
}

// Without a rank the weights themselves go on, from where they were.
static void all_weights_go_on(void **state) {
	struct tdm_train_options o = options(at("tuned.gguf"));
	double first, last;
	write_data("The sum is 46.");
	o.from = at("base.gguf"); // of the test before; its own vocabulary, its own shape
	o.curve = at("run.tsv");
	run(&o);
	losses(at("run.tsv"), &first, &last);
	if (last > 0.5 * first)
		fail_msg("a loss of %.4f became %.4f", first, last);
	o = options(at("more.gguf")); // what was learned is there
	o.from = at("tuned.gguf");
	o.curve = at("run.tsv");
	run(&o);
	double before = last;
	losses(at("run.tsv"), &first, &last);
	if (first > before + 0.5)
		fail_msg("a loss of %.4f began again at %.4f", before, first);
}

static void an_adapter_learns_and_goes_on(void **state) {
	struct tdm_train_options o = options(at("whole.gguf"));
	double first, last;
	write_data("It is Monday.");
	o.from = at("tuned.gguf");
	o.lora_rank = 4;
	o.lora_alpha = 8;
	o.curve = at("run.tsv");
	run(&o);
	losses(at("run.tsv"), &first, &last);
	if (last > first - 0.3) // the words of the new answer have hardly any embedding, which stays
		fail_msg("a loss of %.4f became %.4f", first, last);

	struct tdm_train_options again = o; // the same in parts
	again.out = at("more.gguf");
	again.checkpoint = at("run.state");
	for (int64_t stop = 13; stop < 40; stop += 13) {
		again.stop_at = stop;
		run(&again);
	}
	same_files(at("whole.gguf"), at("more.gguf"));

	float plain[290], with[290];
	logits_of(at("tuned.gguf"), NULL, plain);
	logits_of(at("tuned.gguf"), at("whole.gguf"), with);
	assert_true(apart(plain, with) > 0.1);
}

static void what_does_not_fit_is_refused(void **state) {
	struct tdm_train_options o = options(at("more.gguf"));
	struct tdm_error err = {0};
	o.tokenizer = at("vocab.gguf");
	o.lora_rank = 4;
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EMISSING);
	assert_non_null(strstr(err.text, "--from"));
	write_vocab(at("other.gguf"), 280, 8, WORDS);
	o.from = at("base.gguf");
	o.tokenizer = at("other.gguf");
	err = (struct tdm_error){0};
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "vocabulary"));
	o.tokenizer = NULL;
	o.from = at("adapter.gguf"); // holds no vocabulary
	err = (struct tdm_error){0};
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EFORMAT);
}

int tdm_test_lora(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(at_first_nothing_has_changed),
	    cmocka_unit_test(factors_have_their_gradient),
	    cmocka_unit_test(file_is_the_change),
	    cmocka_unit_test(all_weights_go_on),
	    cmocka_unit_test(an_adapter_learns_and_goes_on),
	    cmocka_unit_test(what_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests_name("lora", tests, set_up, tear_down);
}
