// Sessions of the local source: trees of tokens, and an adapter that is the merged matrices.
#include "tests.h"
#include "toy.h"
#include "base/random.h"
#include "engine/gguf.h"
#include "models/local/lockstep.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLAIN "build/models-plain.gguf"
#define MERGED "build/models-merged.gguf"
#define ADAPTER "build/models-adapter.gguf"

enum { N = 7, RANK = 3, ALPHA = 6 };
static const int32_t tree_tokens[N] = {65, 66, 67, 68, 69, 70, 71};
static const int tree_parents[N] = {-1, 0, 0, 1, 2, -1, 5};

static struct tdm_session *open_prompted(struct bench *b, struct tdm_model *m) {
	struct tdm_session *s;
	assert_int_equal(m->ops->open(m, &b->run, &s), TDM_OK);
	assert_int_equal(s->ops->prompt(s, &b->run, &b->request, NULL), TDM_OK);
	return s;
}

// The row after the path that ends with a node, computed as a chain on a fork.
static void expect_row(struct bench *b, struct tdm_session *root, int node, const float *row) {
	struct tdm_session *s;
	int path[N], n = 0;
	for (int at = node; at >= 0; at = tree_parents[at])
		path[n++] = at;
	assert_int_equal(root->ops->fork(root, &b->run, &s), TDM_OK);
	while (n)
		assert_int_equal(s->ops->eval(s, &b->run, &tree_tokens[path[--n]], NULL, 1), TDM_OK);
	assert_memory_equal(row, s->ops->logits(s, 0), sizeof(float) * (size_t)s->n_vocab);
	s->ops->close(s);
}

static void check_tree(struct bench *b, struct tdm_session *s) {
	struct tdm_session *root, *chain;
	int start = s->ops->length(s);
	float kept[TOY_VOCAB];
	const int32_t next = 72;
	assert_int_equal(s->ops->fork(s, &b->run, &root), TDM_OK);
	assert_int_equal(s->ops->eval(s, &b->run, tree_tokens, tree_parents, N), TDM_OK);
	assert_int_equal(s->ops->length(s), start);
	for (int i = 0; i < N; i++)
		expect_row(b, root, i, s->ops->logits(s, i));
	s->ops->keep(s, 4); // 65, 67, 69
	assert_int_equal(s->ops->length(s), start + 3);
	expect_row(b, root, 4, s->ops->logits(s, 4));
	assert_int_equal(s->ops->eval(s, &b->run, &next, NULL, 1), TDM_OK);
	memcpy(kept, s->ops->logits(s, 0), sizeof kept);
	const int32_t path[] = {65, 67, 69, 72};
	assert_int_equal(root->ops->fork(root, &b->run, &chain), TDM_OK);
	assert_int_equal(chain->ops->eval(chain, &b->run, path, NULL, 4), TDM_OK);
	assert_memory_equal(kept, chain->ops->logits(chain, 3), sizeof kept);
	chain->ops->close(chain);
	assert_int_equal(s->ops->rewind(s, start), TDM_OK); // and a tree of which nothing is kept
	assert_int_equal(s->ops->eval(s, &b->run, tree_tokens, tree_parents, N), TDM_OK);
	s->ops->keep(s, -1);
	assert_int_equal(s->ops->length(s), start);
	assert_int_equal(s->ops->eval(s, &b->run, path, NULL, 4), TDM_OK);
	assert_memory_equal(kept, s->ops->logits(s, 3), sizeof kept);
	root->ops->close(root);
}

static void mean(const void *settings, const float *const *logits, int n_members, int n_vocab, float *out) {
	for (int i = 0; i < n_vocab; i++)
		out[i] = (logits[0][i] + logits[1][i]) / 2;
}

static void test_trees(void **state) {
	struct bench b;
	toy_write(PLAIN, 7);
	toy_write(MERGED, 8);
	struct tdm_tree *t = tree_of("models:\n  one: {kind: local, path: ../build/models-plain.gguf}\n"
	                             "  two: {kind: local, path: ../build/models-merged.gguf}\n");
	struct tdm_model *pair[] = {tdm_tree_model(t, "one"), tdm_tree_model(t, "two")};
	bench_open(&b, "a tree");
	struct tdm_session *s = open_prompted(&b, pair[0]);
	check_tree(&b, s);
	assert_int_equal(s->ops->eval(s, &b.run, tree_tokens, (const int[]){-1, 2, 0}, 3), TDM_EVALUE);
	tdm_error_clear(&b.run.error);
	s->ops->close(s);
	assert_int_equal(tdm_lockstep_open(pair[0], pair, 2, mean, NULL, &b.run, &s), TDM_OK);
	assert_int_equal(s->ops->prompt(s, &b.run, &b.request, NULL), TDM_OK);
	check_tree(&b, s);
	s->ops->close(s);
	bench_close(&b);
	tdm_tree_close(t);
	unlink(PLAIN);
	unlink(MERGED);
}

// --- adapters

static float *random_tensor(struct tdm_gguf_writer *w, struct tdm_rng *rng, const char *name, uint64_t rows,
                            uint64_t cols) {
	float *x = malloc(sizeof *x * rows * cols);
	for (uint64_t i = 0; i < rows * cols; i++)
		x[i] = (float)tdm_rng_normal(rng) * 0.4f;
	tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){cols, rows}, 2, x);
	return x;
}

// A pair of tensors for one matrix of the file in memory, which becomes matrix + scale * alpha / rank * b a.
static void change(struct tdm_gguf_writer *w, struct tdm_rng *rng, const struct tdm_gguf *g, const char *name,
                   double scale) {
	char part[96];
	const struct tdm_tensor *t = tdm_gguf_tensor(g, name);
	float *matrix = (float *)(uintptr_t)t->data;
	snprintf(part, sizeof part, "%s.lora_a", name);
	float *a = random_tensor(w, rng, part, RANK, t->dims[0]);
	snprintf(part, sizeof part, "%s.lora_b", name);
	float *b = random_tensor(w, rng, part, t->dims[1], RANK);
	for (uint64_t row = 0; row < t->dims[1]; row++)
		for (uint64_t col = 0; col < t->dims[0]; col++)
			for (uint64_t k = 0; k < RANK; k++)
				matrix[row * t->dims[0] + col] +=
				    (float)(scale * ALPHA / RANK * (double)b[row * RANK + k] * (double)a[k * t->dims[0] + col]);
	free(a);
	free(b);
}

static void write_files(double scale) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	struct tdm_rng rng;
	struct tdm_bytes file;
	struct tdm_gguf *g;
	struct tdm_error err = {0};
	tdm_rng_init(&rng, 3);
	toy_write(PLAIN, 7);
	assert_int_equal(tdm_file_read(PLAIN, (size_t)1 << 24, &file, &err), TDM_OK);
	assert_int_equal(tdm_gguf_memory("plain", file.data, file.len, &g, &err), TDM_OK);
	tdm_gguf_put_text(w, "general.type", "adapter");
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_text(w, "adapter.type", "lora");
	tdm_gguf_put_f32(w, "adapter.lora.alpha", ALPHA);
	change(w, &rng, g, "blk.0.attn_q.weight", scale);
	change(w, &rng, g, "blk.1.ffn_down.weight", scale);
	assert_int_equal(tdm_gguf_write(w, ADAPTER, &err), TDM_OK);
	FILE *out = fopen(MERGED, "wb");
	assert_non_null(out);
	assert_int_equal(fwrite(file.data, 1, file.len, out), file.len);
	fclose(out);
	tdm_gguf_close(g);
	tdm_bytes_release(&file);
	tdm_gguf_writer_free(w);
}

static double distance(const struct tdm_session *x, const struct tdm_session *y) {
	const float *a = x->ops->logits((struct tdm_session *)x, 0), *b = y->ops->logits((struct tdm_session *)y, 0);
	double worst = 0;
	for (int i = 0; i < x->n_vocab; i++)
		worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
	return worst;
}

static void test_adapter(void **state) {
	struct bench b;
	struct tdm_session *s[3];
	static const char *const names[] = {"plain", "merged", "adapted"};
	write_files(0.5);
	struct tdm_tree *t =
	    tree_of("models:\n  plain: {kind: local, path: ../build/models-plain.gguf}\n"
	            "  merged: {kind: local, path: ../build/models-merged.gguf}\n"
	            "  adapted: {kind: local, path: ../build/models-plain.gguf, adapter: ../build/models-adapter.gguf, "
	            "adapter_scale: 0.5}\n");
	bench_open(&b, "who are you");
	for (int i = 0; i < 3; i++)
		s[i] = open_prompted(&b, tdm_tree_model(t, names[i]));
	assert_true(distance(s[2], s[1]) < 1e-4);
	assert_true(distance(s[2], s[0]) > 1e-2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s[i]->ops->eval(s[i], &b.run, tree_tokens, tree_parents, N), TDM_OK);
	assert_true(distance(s[2], s[1]) < 1e-4);
	assert_true(distance(s[2], s[0]) > 1e-2);
	for (int i = 0; i < 3; i++)
		s[i]->ops->close(s[i]);
	bench_close(&b);
	tdm_tree_close(t);
	unlink(PLAIN);
	unlink(MERGED);
	unlink(ADAPTER);
}

int tdm_test_sessions(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_trees), cmocka_unit_test(test_adapter)};
	return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
