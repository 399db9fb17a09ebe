// Adapters: the logits are those of the model whose matrices were changed, whoever else is in the pass; files that do
// not fit are refused.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "engine/gguf.h"
#include "engine/engine.h"
#include "tests.h"
#include "toy.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RANK = 5, N = 40 };

struct fixture {
	struct tdm_toy toy;
	struct tdm_engine *e;
	int32_t tokens[N];
	float *plain, *changed; // [N][n_vocab], of the reference
	char path[64];
};

// What the file says beside its tensors; NULL: as it should be.
struct lie {
	const char *type, *architecture, *extra;
	int rank, outputs;
};

static float *put(struct tdm_gguf_writer *w, struct tdm_rng *rng, const char *name, char part, int rows, int cols) {
	char full[96];
	float *x = malloc(sizeof *x * (size_t)rows * (size_t)cols);
	for (int i = 0; i < rows * cols; i++)
		x[i] = (float)tdm_rng_normal(rng) * 0.3f;
	snprintf(full, sizeof full, "%s.weight.lora_%c", name, part);
	tdm_gguf_put_tensor(w, full, TDM_F32, (uint64_t[]){(uint64_t)cols, (uint64_t)rows}, 2, x);
	return x;
}

// A pair of tensors; `matrix` (may be NULL) becomes what it stands for.
static void change(struct tdm_gguf_writer *w, struct tdm_rng *rng, const char *name, int rows, int cols, int rank,
                   float *matrix) {
	float *a = put(w, rng, name, 'a', rank, cols), *b = put(w, rng, name, 'b', rows, rank);
	for (int row = 0; row < rows && matrix; row++)
		for (int col = 0; col < cols; col++) {
			double sum = 0;
			for (int k = 0; k < rank; k++)
				sum += (double)b[row * rank + k] * (double)a[k * cols + col];
			matrix[row * cols + col] += (float)(sum * 8 / rank);
		}
	free(a);
	free(b);
}

static void write_adapter(const struct tdm_toy *toy, const char *path, const struct lie *lie, bool merge) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_rng rng;
	int q = toy->n_heads * toy->head_dim, rank = lie && lie->rank ? lie->rank : RANK;
	tdm_rng_init(&rng, 9);
	tdm_gguf_put_text(w, "general.type", lie && lie->type ? lie->type : "adapter");
	tdm_gguf_put_text(w, "general.architecture", lie && lie->architecture ? lie->architecture : "llama");
	tdm_gguf_put_text(w, "adapter.type", "lora");
	tdm_gguf_put_f32(w, "adapter.lora.alpha", 8);
	change(w, &rng, "blk.0.attn_q", lie && lie->outputs ? lie->outputs : q, toy->width, rank,
	       merge ? toy->layers[0].q : NULL);
	change(w, &rng, "blk.1.attn_output", toy->width, q, rank, merge ? toy->layers[1].o : NULL);
	change(w, &rng, "blk.1.ffn_down", toy->width, toy->n_ff, rank, merge ? toy->layers[1].down : NULL);
	if (lie && lie->extra)
		free(put(w, &rng, lie->extra, 'a', rank, toy->width));
	assert_int_equal(tdm_gguf_write(w, path, NULL), TDM_OK);
	tdm_gguf_writer_free(w);
}

static float *reference(const struct fixture *f) {
	size_t n = (size_t)(N * f->toy.n_vocab);
	double *logits = malloc(n * sizeof *logits);
	float *out = malloc(n * sizeof *out);
	tdm_toy_forward(&f->toy, f->tokens, N, logits);
	for (size_t i = 0; i < n; i++)
		out[i] = (float)logits[i];
	free(logits);
	return out;
}

static void make(struct fixture *f) {
	f->toy = (struct tdm_toy)TDM_TOY;
	tdm_toy_make(&f->toy);
	f->e = tdm_toy_open(&f->toy, NULL, 2);
	for (int i = 0; i < N; i++)
		f->tokens[i] = (i * 17 + i / 5) % f->toy.n_vocab;
	snprintf(f->path, sizeof f->path, "/tmp/tandem-adapter-%d.gguf", (int)getpid());
	f->plain = reference(f);
	write_adapter(&f->toy, f->path, NULL, true);
	f->changed = reference(f);
}

static void clear(struct fixture *f) {
	unlink(f->path);
	tdm_engine_close(f->e);
	tdm_toy_free(&f->toy);
	free(f->plain);
	free(f->changed);
}

static struct tdm_seq *open_with(struct fixture *f, const struct tdm_adapter *a) {
	struct tdm_seq *s;
	assert_int_equal(tdm_seq_open(f->e, &s, NULL), TDM_OK);
	tdm_seq_use(s, a);
	return s;
}

static double distance(const struct fixture *f, const struct tdm_seq *s, const float *expected, int position) {
	double worst = 0;
	for (int i = 0; i < f->toy.n_vocab; i++) {
		double d = fabs((double)tdm_seq_logits(s, 0)[i] - (double)expected[position * f->toy.n_vocab + i]);
		worst = d > worst ? d : worst;
	}
	return worst;
}

static void logits_are_the_changed_models(void **state) {
	struct fixture f;
	struct tdm_adapter *a;
	make(&f);
	assert_int_equal(tdm_adapter_open(f.e, f.path, 1, &a, NULL), TDM_OK);
	struct tdm_seq *with = open_with(&f, a), *without = open_with(&f, NULL);
	for (int i = 0; i < N; i++) {
		assert_int_equal(tdm_seq_eval(with, f.tokens + i, 1, NULL, NULL, NULL), TDM_OK);
		assert_int_equal(tdm_seq_eval(without, f.tokens + i, 1, NULL, NULL, NULL), TDM_OK);
		assert_true(distance(&f, with, f.changed, i) < 1e-4);
		assert_true(distance(&f, without, f.plain, i) < 1e-4);
		assert_true(distance(&f, with, f.plain, i) > 1e-2);
	}
	// a prefix is taken over by sequences of the same adapter alone
	int reused = -1;
	assert_int_equal(tdm_seq_prompt(with, "t", f.tokens, N, NULL, &reused, NULL), TDM_OK);
	assert_int_equal(reused, 0);
	assert_int_equal(tdm_seq_prompt(without, "t", f.tokens, N, NULL, &reused, NULL), TDM_OK);
	assert_int_equal(reused, 0);
	assert_true(distance(&f, without, f.plain, N - 1) < 1e-4);
	assert_int_equal(tdm_seq_prompt(with, "t", f.tokens, N, NULL, &reused, NULL), TDM_OK);
	assert_int_equal(reused, 32);
	tdm_seq_use(with, NULL);
	assert_int_equal(tdm_seq_length(with), 0);
	tdm_seq_close(with);
	tdm_seq_close(without);
	tdm_adapter_close(a);
	clear(&f);
}

struct worker {
	struct fixture *f;
	const struct tdm_adapter *a;
	const float *expected; // all rows, computed alone
	int n_wrong;
};

static void *work(void *arg) {
	struct worker *w = arg;
	for (int round = 0; round < 5; round++) {
		struct tdm_seq *s;
		tdm_seq_open(w->f->e, &s, NULL);
		tdm_seq_use(s, w->a);
		for (int i = 0; i < N; i++)
			if (tdm_seq_eval(s, w->f->tokens + i, 1, NULL, NULL, NULL) != TDM_OK ||
			    memcmp(tdm_seq_logits(s, 0), w->expected + i * w->f->toy.n_vocab,
			           sizeof(float) * (size_t)w->f->toy.n_vocab) != 0)
				w->n_wrong++;
		tdm_seq_close(s);
	}
	return NULL;
}

static float *alone(struct fixture *f, const struct tdm_adapter *a) {
	size_t n_vocab = (size_t)f->toy.n_vocab;
	float *out = malloc(sizeof *out * N * n_vocab);
	struct tdm_seq *s = open_with(f, a);
	for (int i = 0; i < N; i++) {
		assert_int_equal(tdm_seq_eval(s, f->tokens + i, 1, NULL, NULL, NULL), TDM_OK);
		memcpy(out + (size_t)i * n_vocab, tdm_seq_logits(s, 0), n_vocab * sizeof *out);
	}
	tdm_seq_close(s);
	return out;
}

static void passes_may_mix_them(void **state) {
	struct fixture f;
	struct tdm_adapter *a;
	enum { N_THREADS = 4 };
	pthread_t threads[N_THREADS];
	struct worker workers[N_THREADS];
	make(&f);
	assert_int_equal(tdm_adapter_open(f.e, f.path, 1, &a, NULL), TDM_OK);
	float *with = alone(&f, a), *without = alone(&f, NULL);
	for (int i = 0; i < N_THREADS; i++) {
		workers[i] = (struct worker){&f, i % 2 ? a : NULL, i % 2 ? with : without, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(workers[i].n_wrong, 0);
	}
	free(with);
	free(without);
	tdm_adapter_close(a);
	clear(&f);
}

static void other_files_are_refused(void **state) {
	static const struct {
		struct lie lie;
		const char *says;
	} cases[] = {{{.type = "model"}, "no LoRA adapter"},
	             {{.architecture = "qwen2"}, "another architecture than llama"},
	             {{.extra = "blk.0.attn_v"}, "blk.0.attn_v.weight.lora_b is missing"},
	             {{.extra = "blk.7.attn_v"}, "6 of its 7 tensors have a place"},
	             {{.rank = 300}, "has rank 300"},
	             {{.outputs = 20}, "do not fit a matrix of 64 rows and 64 columns"}};
	struct fixture f;
	struct tdm_adapter *a = NULL;
	make(&f);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tdm_error err = {0};
		write_adapter(&f.toy, f.path, &cases[i].lie, false);
		assert_int_equal(tdm_adapter_open(f.e, f.path, 1, &a, &err), TDM_EFORMAT);
		assert_null(a);
		if (!strstr(err.text, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", err.text, cases[i].says);
	}
	clear(&f);
}

int tdm_test_adapter(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(logits_are_the_changed_models),
	    cmocka_unit_test(passes_may_mix_them),
	    cmocka_unit_test(other_files_are_refused),
	};
	return cmocka_run_group_tests_name("adapter", tests, NULL, NULL);
}
