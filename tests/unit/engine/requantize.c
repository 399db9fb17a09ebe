// Converting weight files: which tensor gets which format, what is copied, what is refused, and that nothing
// half-written appears.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "engine/requantize.h"
#include "base/file.h"
#include "tests.h"
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/tandem-requantize-XXXXXX";
static char from[64], to[64];
static struct tdm_error err;

static int make_folder(void **state) {
	if (!mkdtemp(folder))
		return -1;
	snprintf(from, sizeof from, "%s/from.gguf", folder);
	snprintf(to, sizeof to, "%s/to.gguf", folder);
	return 0;
}

static int remove_folder(void **state) {
	unlink(from);
	unlink(to);
	return rmdir(folder); // fails when a temporary file was left behind
}

static int clear(void **state) {
	unlink(to);
	tdm_error_clear(&err);
	return 0;
}

enum { LAYERS = 16, MOST = 3000 };

static void put(struct tdm_gguf_writer *w, const char *name, uint32_t row, uint32_t rows) {
	static float x[MOST];
	for (int i = 0; i < MOST; i++)
		x[i] = (float)((i * 7919 + (int)strlen(name) * 31) % 2003 - 1001) / 1000;
	tdm_gguf_put_tensor(w, name, TDM_F32, (uint64_t[]){row, rows}, rows > 1 ? 2 : 1, x);
}

static void put_model(struct tdm_gguf_writer *w, uint32_t row, bool is_tied) {
	static const char *const parts[] = {"attn_q", "attn_v", "ffn_down", "ffn_gate_inp"};
	char name[64];
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_u32(w, "llama.block_count", LAYERS);
	put(w, "token_embd.weight", row, 2);
	if (!is_tied)
		put(w, "output.weight", row, 2);
	put(w, "output_norm.weight", row, 1);
	for (int i = 0; i < LAYERS; i++)
		for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
			snprintf(name, sizeof name, "blk.%d.%s.weight", i, parts[k]);
			put(w, name, row, 2);
		}
}

static void write_model(uint32_t row, bool is_tied) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	put_model(w, row, is_tied);
	assert_int_equal(tdm_gguf_write(w, from, &err), TDM_OK);
	tdm_gguf_writer_free(w);
}

static int convert(const char *mix, int threads) {
	struct tdm_requantize r = {.from = from, .to = to, .mix = tdm_mix_named(mix), .threads = threads};
	assert_non_null(r.mix);
	return tdm_requantize_run(&r, &err);
}

static struct tdm_gguf *open_result(void) {
	struct tdm_gguf *g = NULL;
	assert_int_equal(tdm_gguf_open(to, &g, &err), TDM_OK);
	return g;
}

static void expect(const struct tdm_gguf *g, const char *name, uint32_t type) {
	const struct tdm_tensor *t = tdm_gguf_tensor(g, name);
	assert_non_null(t);
	if (t->type != type)
		fail_msg("%s is %s, not %s", name, tdm_format_name(t->type), tdm_format_name(type));
}

// layers: the ones of which the part is `better`
static void expect_layers(const struct tdm_gguf *g, const char *part, uint32_t layers, uint32_t better, uint32_t type) {
	char name[64];
	for (int i = 0; i < LAYERS; i++) {
		snprintf(name, sizeof name, "blk.%d.%s.weight", i, part);
		expect(g, name, layers >> i & 1 ? better : type);
	}
}

static void mixes_are_as_their_names_say(void **state) {
	uint32_t spread = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 7 | 1 << 10 | 1 << 13 | 1 << 14 | 1 << 15;
	static const struct {
		const char *name;
		uint32_t type, better, head;
		bool is_spread;
	} cases[] = {{"q4_k_m", TDM_Q4_K, TDM_Q6_K, TDM_Q6_K, true},  {"Q5_K_M", TDM_Q5_K, TDM_Q6_K, TDM_Q6_K, true},
	             {"q4_k_s", TDM_Q4_K, TDM_Q5_K, TDM_Q6_K, false}, {"q6_k", TDM_Q6_K, TDM_Q6_K, TDM_Q6_K, false},
	             {"q4_0", TDM_Q4_0, TDM_Q4_0, TDM_Q6_K, false},   {"q8_0", TDM_Q8_0, TDM_Q8_0, TDM_Q8_0, false},
	             {"bf16", TDM_BF16, TDM_BF16, TDM_BF16, false}};
	write_model(256, false);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(convert(cases[i].name, 1), TDM_OK);
		struct tdm_gguf *g = open_result();
		expect(g, "output.weight", cases[i].head);
		expect(g, "token_embd.weight", cases[i].type);
		expect(g, "output_norm.weight", TDM_F32);
		expect_layers(g, "attn_q", 0, 0, cases[i].type);
		expect_layers(g, "ffn_gate_inp", 0, 0, TDM_F32);
		expect_layers(g, "attn_v", cases[i].is_spread ? spread : 15, cases[i].better, cases[i].type);
		expect_layers(g, "ffn_down", cases[i].is_spread ? spread : 3, cases[i].better, cases[i].type);
		tdm_gguf_close(g);
	}
	assert_null(tdm_mix_named("q3_k_m"));
}

static void tied_embeddings_are_heads(void **state) {
	write_model(256, true);
	assert_int_equal(convert("q4_k_m", 1), TDM_OK);
	struct tdm_gguf *g = open_result();
	expect(g, "token_embd.weight", TDM_Q6_K);
	tdm_gguf_close(g);
}

static void formats_give_way_to_rows(void **state) {
	static const struct {
		const char *name;
		uint32_t row, type, head;
	} cases[] = {{"q4_k_s", 96, TDM_Q5_0, TDM_Q8_0}, {"q5_k_m", 96, TDM_Q5_1, TDM_Q8_0},
	             {"q6_k", 96, TDM_Q8_0, TDM_Q8_0},   {"q4_0", 96, TDM_Q4_0, TDM_Q8_0},
	             {"q4_k_s", 40, TDM_F16, TDM_F16},   {"q8_0", 40, TDM_F16, TDM_F16}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		write_model(cases[i].row, false);
		assert_int_equal(convert(cases[i].name, 1), TDM_OK);
		struct tdm_gguf *g = open_result();
		expect(g, "blk.9.attn_q.weight", cases[i].type);
		expect(g, "output.weight", cases[i].head);
		tdm_gguf_close(g);
	}
}

static void expect_pairs_of(const struct tdm_gguf *before, const struct tdm_gguf *after) {
	struct tdm_gguf_pair x, y;
	size_t k = 0;
	for (size_t i = 0; tdm_gguf_pair_at(before, i, &x); i++) {
		if (x.key_len == 17 && !memcmp(x.key, "general.file_type", 17))
			continue;
		assert_true(tdm_gguf_pair_at(after, k++, &y));
		assert_int_equal(x.n, y.n);
		assert_memory_equal(x.bytes, y.bytes, x.n);
	}
	assert_true(tdm_gguf_pair_at(after, k + 1, &y)); // and two more
	assert_false(tdm_gguf_pair_at(after, k + 2, &y));
}

static void everything_else_is_copied(void **state) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	put_model(w, 96, true);
	tdm_gguf_put_u32(w, "general.file_type", 0);
	tdm_gguf_put_strings(w, "of.nobody", (const char *const[]){"a", "", "b c"}, (const size_t[]){1, 0, 3}, 3);
	tdm_gguf_put_f32s(w, "also.of.nobody", (const float[]){1.5f, -2}, 2);
	tdm_gguf_put_u32(w, "general.alignment", 32);
	assert_int_equal(tdm_gguf_write(w, from, &err), TDM_OK);
	tdm_gguf_writer_free(w);
	assert_int_equal(convert("q8_0", 1), TDM_OK);
	struct tdm_gguf *before = NULL, *after = open_result();
	assert_int_equal(tdm_gguf_open(from, &before, &err), TDM_OK);
	uint64_t value;
	assert_true(tdm_gguf_u64(after, "general.file_type", &value));
	assert_int_equal(value, 7);
	expect_pairs_of(before, after);
	assert_int_equal(tdm_gguf_n_tensors(before), tdm_gguf_n_tensors(after));
	for (size_t i = 0; i < tdm_gguf_n_tensors(before); i++) {
		const struct tdm_tensor *x = tdm_gguf_tensor_at(before, i), *y = tdm_gguf_tensor_at(after, i);
		uint8_t bytes[MOST * 4];
		assert_string_equal(x->name, y->name);
		assert_memory_equal(x->dims, y->dims, sizeof x->dims);
		tdm_quantize(y->type, x->data, x->dims[0] * x->dims[1], bytes);
		assert_memory_equal(bytes, y->data, y->bytes);
	}
	tdm_gguf_close(before);
	tdm_gguf_close(after);
}

// More elements than one step and one slice hold, in several threads, onto itself and back.
static void threads_change_nothing(void **state) {
	enum { ROW = 256, ROWS = 2200 };
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	float *x = malloc(sizeof *x * ROW * ROWS);
	struct tdm_bytes one, three;
	for (int i = 0; i < ROW * ROWS; i++)
		x[i] = sinf((float)i * (float)i);
	tdm_gguf_put_tensor(w, "t.weight", TDM_F32, (uint64_t[]){ROW, ROWS}, 2, x);
	assert_int_equal(tdm_gguf_write(w, from, &err), TDM_OK);
	tdm_gguf_writer_free(w);
	assert_int_equal(convert("q5_1", 1), TDM_OK);
	assert_int_equal(tdm_file_read(to, 1 << 24, &one, &err), TDM_OK);
	assert_int_equal(convert("q5_1", 3), TDM_OK);
	assert_int_equal(tdm_file_read(to, 1 << 24, &three, &err), TDM_OK);
	assert_int_equal(one.len, three.len);
	assert_memory_equal(one.data, three.data, one.len);
	struct tdm_requantize r = {.from = to, .to = to, .mix = tdm_mix_named("f32"), .threads = 2};
	assert_int_equal(tdm_requantize_run(&r, &err), TDM_OK);
	assert_int_equal(r.bytes_before, ROW * ROWS / 32 * 24);
	struct tdm_gguf *g = open_result();
	const float *back = tdm_gguf_tensor_at(g, 0)->data;
	for (int i = 0; i < ROW * ROWS; i++)
		assert_true(fabsf(back[i] - x[i]) < 0.06f);
	tdm_gguf_close(g);
	tdm_bytes_release(&one);
	tdm_bytes_release(&three);
	free(x);
}

static void expect_refusal(const char *mix, const char *sentence) {
	struct tdm_bytes content;
	assert_int_equal(tdm_file_write(to, "old", 3, &err), TDM_OK);
	assert_int_equal(convert(mix, 2), TDM_EFORMAT);
	assert_non_null(strstr(err.text, sentence));
	assert_int_equal(tdm_file_read(to, 100, &content, NULL), TDM_OK);
	assert_string_equal(content.data, "old");
	tdm_bytes_release(&content);
	tdm_error_clear(&err);
}

static void write_value(float value, bool is_part) {
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	float x[512] = {0};
	x[300] = value;
	if (is_part)
		tdm_gguf_put_u32(w, "split.count", 2);
	tdm_gguf_put_tensor(w, "blk.0.attn_q.weight", TDM_F32, (uint64_t[]){256, 2}, 2, x);
	assert_int_equal(tdm_gguf_write(w, from, &err), TDM_OK);
	tdm_gguf_writer_free(w);
}

static void refusals_leave_the_old_file(void **state) {
	write_value(NAN, false);
	expect_refusal("q4_k_m", "tensor blk.0.attn_q.weight holds a value that is not a finite number");
	write_value(-INFINITY, false);
	expect_refusal("q8_0", "not a finite number");
	write_value(1e30f, false);
	expect_refusal("q4_0", "tensor blk.0.attn_q.weight holds values that are too large for Q4_0");
	expect_refusal("f16", "too large for F16");
	expect_refusal("q6_k", "too large for Q6_K");
	write_value(1, true);
	expect_refusal("q4_0", "one of the 2 files of a model");
	struct tdm_requantize r = {.from = from, .to = "/nowhere/at/all.gguf", .mix = tdm_mix_named("f16")};
	write_value(1, false);
	assert_int_equal(tdm_requantize_run(&r, &err), TDM_EIO);
}

int tdm_test_requantize(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(mixes_are_as_their_names_say, clear),
	    cmocka_unit_test_setup(tied_embeddings_are_heads, clear),
	    cmocka_unit_test_setup(formats_give_way_to_rows, clear),
	    cmocka_unit_test_setup(everything_else_is_copied, clear),
	    cmocka_unit_test_setup(threads_change_nothing, clear),
	    cmocka_unit_test_setup(refusals_leave_the_old_file, clear),
	};
	return cmocka_run_group_tests_name("requantize", tests, make_folder, remove_folder);
}
