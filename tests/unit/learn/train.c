// Training runs: a tiny one from its files to its weight file, stopped and resumed, on one thread and on two.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/file.h"
#include "learn/bpe_train.h"
#include "learn/checkpoint.h"
#include "learn/train.h"
#include "learn/trainer.h"
#include "files.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char words[] =
    "What is 12 plus 34? The sum is 46. What is the name of the day? It is Monday, it is Sunday.";

static void write_text(const char *path, const char *text) {
	assert_int_equal(tdm_file_write(path, text, strlen(text), NULL), 0);
}

// Sums of one digit, some in a conversation of two turns.
static void write_data(const char *path, int n) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, 1 << 20);
	for (int i = 0; i < n; i++) {
		int x = i % 9, y = i * 7 % 5;
		tdm_bytes_printf(&b, "{\"family\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%d plus %d\"},",
		                 i % 3 ? "one" : "two", x, y);
		tdm_bytes_printf(&b, "{\"role\":\"assistant\",\"content\":\"%d\"}", x + y);
		if (i % 3 == 0)
			tdm_bytes_printf(
			    &b, ",{\"role\":\"user\",\"content\":\"the day?\"},{\"role\":\"assistant\",\"content\":\"Monday\"}");
		tdm_bytes_puts(&b, "]}\n");
	}
	assert_false(b.failed);
	write_text(path, b.data);
	tdm_bytes_release(&b);
}

static int set_up(void **state) {
	snprintf(folder, sizeof(folder), "/tmp/tandem-learn-XXXXXX");
	assert_non_null(mkdtemp(folder));
	write_vocab(at("vocab.gguf"), 300, 8, words);
	write_vocab(at("other.gguf"), 290, 8, words);
	write_data(at("data.jsonl"), 60);
	write_data(at("valid.jsonl"), 9);
	return 0;
}

static int tear_down(void **state) {
	static const char *const names[] = {"vocab.gguf", "other.gguf", "data.jsonl", "valid.jsonl", "bad.jsonl", "a.gguf",
	                                    "b.gguf",     "c.gguf",     "a.state",    "b.state",     "a.tsv",     "b.tsv",
	                                    "d.gguf",     "d.state",    "d.tsv",      "other.out"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(at(names[i]));
	return rmdir(folder);
}

static struct tdm_train_options options(void) {
	struct tdm_train_options o;
	struct tdm_arena arena;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(
	    tdm_options_read(&arena, "test", NULL, tdm_train_table, TDM_DISTIL_OPTIONS, NULL, &o, sizeof(o), &err), 0);
	tdm_arena_release(&arena);
	o.data = at("data.jsonl");
	o.valid = at("valid.jsonl");
	o.tokenizer = at("vocab.gguf");
	o.chat = "auto";
	o.name = "tiny";
	o.width = 32;
	o.layers = 2;
	o.heads = 4;
	o.kv_heads = 2;
	o.ff = 48;
	o.context = 64;
	o.steps = 20;
	o.every = 5;
	o.warmup = 4;
	o.batch_tokens = 200;
	o.micro_tokens = 90;
	o.lr = 0.01;
	o.type = 2;
	return o;
}

static void run(const struct tdm_train_options *o) {
	struct tdm_error err = {0};
	if (tdm_train(o, NULL, &err))
		fail_msg("%s", err.text);
}

// Losses of this very run when it was first written (OpenBLAS 0.3.21); other BLAS kernels round differently.
static const double RECORDED[4][2] = {{5.28146, 4.29782}, {3.63788, 2.78119}, {2.53002, 2.22439}, {2.19976, 2.14966}};

static void curve_is_the_recorded_one(void **state) {
	struct tdm_train_options o = options();
	o.out = at("a.gguf");
	o.checkpoint = at("a.state");
	o.curve = at("a.tsv");
	run(&o);
	FILE *file = fopen(at("a.tsv"), "r");
	char line[256];
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	assert_string_equal(line, "step\ttokens\tlr\tloss\tvalid_loss\texact\ttwo\tone\n");
	for (int i = 0; i < 4; i++) {
		long step, tokens;
		double lr, loss, valid;
		assert_non_null(fgets(line, sizeof(line), file));
		assert_int_equal(sscanf(line, "%ld\t%ld\t%lf\t%lf\t%lf", &step, &tokens, &lr, &loss, &valid), 5);
		assert_int_equal(step, 5 * (i + 1));
		if (fabs(loss - RECORDED[i][0]) > 1e-3 || fabs(valid - RECORDED[i][1]) > 1e-3)
			fail_msg("step %ld: losses %.5f and %.5f, recorded %.5f and %.5f", step, loss, valid, RECORDED[i][0],
			         RECORDED[i][1]);
	}
	fclose(file);
}

static void resumed_run_is_the_same_run(void **state) {
	struct tdm_train_options o = options();
	o.out = at("b.gguf");
	o.checkpoint = at("b.state");
	o.curve = at("b.tsv");
	for (int64_t stop = 7; stop <= 21; stop += 7) { // between two lines of the curve
		o.stop_at = stop;
		run(&o);
	}
	same_files(at("a.gguf"), at("b.gguf"));
	same_files(at("a.state"), at("b.state"));
	same_files(at("a.tsv"), at("b.tsv"));
}

// The second part of a run may have other data: it is read from its beginning, the steps go on.
static void other_data_go_on(void **state) {
	struct tdm_train_options o = options();
	struct tdm_bytes curve;
	o.out = at("d.gguf");
	o.checkpoint = at("d.state");
	o.curve = at("d.tsv");
	o.stop_at = 10;
	run(&o);
	o.stop_at = 0;
	o.data = at("valid.jsonl");
	run(&o);
	assert_int_equal(tdm_file_read(at("d.tsv"), 1 << 20, &curve, NULL), 0);
	assert_non_null(strstr(curve.data, "\n5\t"));
	assert_non_null(strstr(curve.data, "\n20\t"));
	double before, after;
	assert_int_equal(sscanf(strstr(curve.data, "\n10\t"), "\n10\t%*d\t%*f\t%lf", &before), 1);
	assert_int_equal(sscanf(strstr(curve.data, "\n20\t"), "\n20\t%*d\t%*f\t%lf", &after), 1);
	assert_true(after < before);
	tdm_bytes_release(&curve);
}

static void checkpoint_refuses(void **state) {
	struct tdm_train_options o = options();
	struct tdm_error err = {0};
	o.out = at("b.gguf");
	o.checkpoint = at("b.state");
	o.ff = 64;
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "another shape"));
	o.ff = 48;
	o.seed = 2;
	tdm_error_clear(&err);
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "another run"));
	struct tdm_bytes b;
	assert_int_equal(tdm_file_read(at("b.state"), 1 << 26, &b, NULL), 0);
	b.data[b.len / 2] ^= 1;
	assert_int_equal(tdm_file_write(at("b.state"), b.data, b.len, NULL), 0);
	tdm_error_clear(&err);
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "damaged"));
	assert_int_equal(tdm_file_write(at("b.state"), b.data, b.len - 1, NULL), 0);
	tdm_error_clear(&err);
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EFORMAT);
	tdm_bytes_release(&b);
}

static void load(struct tdm_net *net, const char *path) {
	struct tdm_gguf *file;
	assert_int_equal(tdm_gguf_open(path, &file, NULL), 0);
	assert_int_equal(tdm_net_load(net, file, path, NULL), 0);
	tdm_gguf_close(file);
}

static void exported_file_is_the_net(void **state) {
	struct tdm_net net;
	load(&net, at("a.gguf"));
	float *params = tdm_floats(net.n_params), *m = tdm_floats(net.n_params), *v = tdm_floats(net.n_params);
	struct tdm_bytes curve;
	tdm_bytes_init(&curve, 1 << 20);
	struct tdm_checkpoint c = {.n_params = net.n_params, .params = params, .m = m, .v = v, .curve = &curve};
	struct tdm_error err = {0};
	if (tdm_checkpoint_read(&c, &net.shape, at("a.state"), &err))
		fail_msg("%s", err.text);
	assert_int_equal(c.at.step, 20);
	assert_memory_equal(params, net.params, net.n_params * sizeof(float));
	struct tdm_gguf *file;
	struct tdm_vocab *vocab, *original;
	assert_int_equal(tdm_gguf_open(at("a.gguf"), &file, NULL), 0);
	assert_int_equal(tdm_vocab_read(file, &vocab, NULL), 0);
	tdm_gguf_close(file);
	assert_int_equal(tdm_gguf_open(at("vocab.gguf"), &file, NULL), 0);
	assert_int_equal(tdm_vocab_read(file, &original, NULL), 0);
	tdm_gguf_close(file);
	assert_true(tdm_vocab_id(vocab) == tdm_vocab_id(original));
	tdm_vocab_free(vocab);
	tdm_vocab_free(original);
	tdm_bytes_release(&curve);
	free(params);
	free(m);
	free(v);
	tdm_net_release(&net);
}

static void quantized_file_is_near(void **state) {
	struct tdm_train_options o = options();
	struct tdm_net exact, rounded;
	o.out = at("c.gguf");
	o.type = 0;
	run(&o);
	load(&exact, at("a.gguf"));
	load(&rounded, at("c.gguf"));
	float most = 0;
	for (size_t i = 0; i < exact.n_params; i++) {
		float error = fabsf(exact.params[i] - rounded.params[i]);
		most = error > most ? error : most;
	}
	assert_true(most > 0 && most < 0.01f);
	tdm_net_release(&exact);
	tdm_net_release(&rounded);
}

// The gradient of one step on n threads.
static void gradient_of(int n_threads, float *out, size_t *n, double *loss) {
	struct tdm_trainer t = {.pool = tdm_pool_new(n_threads), .loss = {.temperature = 1}};
	struct tdm_gguf *file;
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	struct tdm_dataset data;
	struct tdm_order order;
	double weight;
	assert_int_equal(tdm_gguf_open(at("vocab.gguf"), &file, NULL), 0);
	assert_int_equal(tdm_vocab_read(file, &vocab, NULL), 0);
	assert_int_equal(tdm_chat_find("chatml", NULL, 0, &chat, NULL), 0);
	assert_int_equal(tdm_dataset_load(&data, at("data.jsonl"), vocab, chat, 64, t.pool, NULL), 0);
	const struct tdm_shape shape = {tdm_vocab_size(vocab), 32, 2, 4, 2, 48, 64, 1e-5f, 10000};
	assert_int_equal(tdm_net_init(&t.net, &shape, NULL), 0);
	tdm_net_randomize(&t.net, 3);
	assert_int_equal(tdm_trainer_init(&t, 100, NULL), 0);
	assert_int_equal(tdm_order_init(&order, data.n_docs, 1, 0, 0, NULL), 0);
	assert_int_equal(tdm_trainer_choose(&t, &data, &order, 500, NULL), 0);
	assert_int_equal(tdm_trainer_gradient(&t, loss, &weight, NULL), 0);
	*n = t.net.n_params;
	memcpy(out, t.workers[0].gradient, *n * sizeof(float));
	tdm_order_release(&order);
	tdm_trainer_release(&t);
	tdm_net_release(&t.net);
	tdm_dataset_release(&data);
	tdm_vocab_free(vocab);
	tdm_gguf_close(file);
	tdm_pool_free(t.pool);
}

static void two_threads_equal_one(void **state) {
	size_t n;
	double loss1, loss2;
	float *one = tdm_floats(1 << 20), *two = tdm_floats(1 << 20);
	gradient_of(1, one, &n, &loss1);
	gradient_of(2, two, &n, &loss2);
	assert_float_equal(loss1, loss2, 1e-3);
	float most = 0;
	for (size_t i = 0; i < n; i++) {
		assert_float_equal(one[i], two[i], 1e-5);
		most = fabsf(one[i]) > most ? fabsf(one[i]) : most;
	}
	assert_true(most > 1e-3f);
	free(one);
	free(two);
}

static void distillation(void **state) {
	struct tdm_train_options o = options();
	struct tdm_error err = {0};
	o.out = at("c.gguf");
	o.teacher = at("a.gguf");
	o.alpha = 0.8;
	o.temperature = 2;
	o.layers = 1;
	run(&o);
	struct tdm_net net;
	load(&net, at("c.gguf"));
	assert_int_equal(net.shape.n_layers, 1);
	tdm_net_release(&net);
	o.tokenizer = at("other.gguf");
	assert_int_equal(tdm_train(&o, NULL, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "vocabulary"));
}

// What a document's tokens count: what the batch holds is what tdm_dataset_weight says, for every length power.
static void check_weights(const struct tdm_dataset *data) {
	static const struct tdm_weighting by[] = {{0, 0}, {0.25f, 0}, {0, 0.5f}, {0.25f, 0.5f}, {0, 1}};
	struct tdm_batch batch;
	float scratch[65];
	assert_int_equal(tdm_batch_init(&batch, 64, NULL), 0);
	for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
		double sum = 0, n = data->docs[0].n_answer, rest = data->docs[0].n - 1 - n;
		tdm_batch_clear(&batch);
		assert_true(tdm_dataset_add(data, 0, by[i], &batch, scratch));
		for (int row = 0; row < batch.n_rows; row++)
			sum += (double)batch.weights[row];
		assert_float_equal(sum, tdm_dataset_weight(data, 0, by[i]), 1e-5);
		assert_float_equal(sum, (n + (double)by[i].prompt * rest) * pow(n, -(double)by[i].length_power), 1e-5);
	}
	tdm_batch_release(&batch);
}

static void answers_are_marked(void **state) {
	struct tdm_gguf *file;
	struct tdm_vocab *vocab;
	const struct tdm_chat_format *chat;
	struct tdm_dataset data;
	struct tdm_pool *pool = tdm_pool_new(1);
	struct tdm_bytes text;
	assert_int_equal(tdm_gguf_open(at("vocab.gguf"), &file, NULL), 0);
	assert_int_equal(tdm_vocab_read(file, &vocab, NULL), 0);
	assert_int_equal(tdm_chat_find("chatml", NULL, 0, &chat, NULL), 0);
	assert_int_equal(tdm_dataset_load(&data, at("valid.jsonl"), vocab, chat, 64, pool, NULL), 0);
	assert_int_equal(data.n_docs, 9);
	assert_int_equal(data.n_families, 2);
	assert_string_equal(data.families[data.docs[1].family], "one");
	tdm_bytes_init(&text, 1000);
	const struct tdm_document *doc = &data.docs[0];
	int n_ends = 0;
	for (int i = 0; i < doc->n; i++)
		if (data.answer[doc->start + (size_t)i]) {
			int32_t token = data.tokens[doc->start + (size_t)i];
			n_ends += tdm_token_is_end(vocab, token);
			if (!tdm_token_is_end(vocab, token))
				assert_int_equal(tdm_detokenize(vocab, &token, 1, &text), 0);
		}
	assert_string_equal(text.data, "0Monday"); // 0 plus 0, then the day
	assert_int_equal(n_ends, 2);
	assert_true(tdm_token_is_end(vocab, data.tokens[doc->start + (size_t)doc->n - 1]));
	assert_float_equal(tdm_dataset_weight(&data, 0, (struct tdm_weighting){0, 0}), doc->n_answer, 0);
	check_weights(&data);
	tdm_dataset_release(&data);
	assert_int_equal(tdm_dataset_load(&data, at("valid.jsonl"), vocab, chat, 25, pool, NULL), 0);
	assert_int_equal(data.n_too_long, 3); // the conversations of two turns
	tdm_dataset_release(&data);
	tdm_bytes_release(&text);
	tdm_vocab_free(vocab);
	tdm_gguf_close(file);
	tdm_pool_free(pool);
}

static void bad_data_is_named(void **state) {
	static const char *const bad[] = {
	    "{\"messages\":[]}",
	    "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
	    "{\"messages\":[{\"role\":\"cat\",\"content\":\"x\"}]}",
	    "{\"messages\":[{\"role\":\"assistant\",\"content\":7}]}",
	    "{\"messages\":",
	};
	struct tdm_train_options o = options();
	o.out = at("other.out");
	o.data = at("bad.jsonl");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[256];
		struct tdm_error err = {0};
		snprintf(
		    text, sizeof(text),
		    "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]}\n%s\n",
		    bad[i]);
		write_text(at("bad.jsonl"), text);
		assert_int_equal(tdm_train(&o, NULL, &err), TDM_EFORMAT);
		assert_non_null(strstr(err.text, "bad.jsonl line 2"));
	}
}

static void orders_are_permutations(void **state) {
	struct tdm_order a, b;
	int seen[50] = {0}, moved = 0;
	assert_int_equal(tdm_order_init(&a, 50, 9, 0, 0, NULL), 0);
	for (int i = 0; i < 50; i++) {
		moved += tdm_order_peek(&a) != (size_t)i;
		seen[tdm_order_peek(&a)]++;
		tdm_order_advance(&a);
	}
	for (int i = 0; i < 50; i++)
		assert_int_equal(seen[i], 1);
	assert_true(moved > 25);
	assert_int_equal(a.epoch, 1);
	for (int i = 0; i < 20; i++)
		tdm_order_advance(&a);
	assert_int_equal(tdm_order_init(&b, 50, 9, a.epoch, a.at, NULL), 0);
	assert_int_equal(tdm_order_peek(&a), tdm_order_peek(&b));
	tdm_order_release(&a);
	tdm_order_release(&b);
	assert_int_equal(tdm_order_init(&a, 50, 9, 0, 50, NULL), TDM_EVALUE);
}

static void schedule(void **state) {
	const struct tdm_adamw o = {.lr = 1, .min_lr = 0.1, .warmup = 10, .steps = 110};
	assert_float_equal(tdm_adamw_lr(&o, 5), 0.5, 1e-12);
	assert_float_equal(tdm_adamw_lr(&o, 10), 1, 1e-12);
	assert_float_equal(tdm_adamw_lr(&o, 60), 0.55, 1e-12);
	assert_float_equal(tdm_adamw_lr(&o, 110), 0.1, 1e-12);
	assert_float_equal(tdm_adamw_lr(&o, 200), 0.1, 1e-12);
}

int tdm_test_train(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(curve_is_the_recorded_one),   cmocka_unit_test(other_data_go_on),
	    cmocka_unit_test(resumed_run_is_the_same_run), cmocka_unit_test(checkpoint_refuses),
	    cmocka_unit_test(exported_file_is_the_net),    cmocka_unit_test(quantized_file_is_near),
	    cmocka_unit_test(two_threads_equal_one),       cmocka_unit_test(distillation),
	    cmocka_unit_test(answers_are_marked),          cmocka_unit_test(bad_data_is_named),
	    cmocka_unit_test(orders_are_permutations),     cmocka_unit_test(schedule),
	};
	return cmocka_run_group_tests_name("train", tests, set_up, tear_down);
}
