// Files that fits are tested with: a folder of the test's own, and a vocabulary learned from a few words. To be
// included behind cmocka.h.
#pragma once
#include "base/file.h"
#include "engine/gguf.h"
#include "learn/bpe_train.h"
#include <stdio.h>
#include <string.h>

static char folder[64]; // of the test

static inline const char *at(const char *name) {
	static char paths[32][128];
	static int next;
	next = (next + 1) % 32;
	snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
	return paths[next];
}

static inline void write_vocab(const char *path, int size, int max_piece_bytes, const char *text) {
	const struct tdm_bpe_options how = {
	    .size = size, .max_piece_bytes = max_piece_bytes, .min_frequency = 1, .presplit = "smollm"};
	struct tdm_bpe_trainer *t;
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	assert_int_equal(tdm_bpe_trainer_new(&how, &t, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(tdm_bpe_trainer_add(t, text, strlen(text), NULL), 0);
	assert_int_equal(tdm_bpe_trainer_run(t, NULL), 0);
	tdm_gguf_put_text(w, "general.architecture", "llama");
	assert_int_equal(tdm_bpe_trainer_put(t, w, NULL), 0);
	assert_int_equal(tdm_gguf_write(w, path, NULL), 0);
	tdm_gguf_writer_free(w);
	tdm_bpe_trainer_free(t);
}

static inline void same_files(const char *a, const char *b) {
	struct tdm_bytes x, y;
	assert_int_equal(tdm_file_read(a, 1 << 26, &x, NULL), 0);
	assert_int_equal(tdm_file_read(b, 1 << 26, &y, NULL), 0);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
}
