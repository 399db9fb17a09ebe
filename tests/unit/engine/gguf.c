// Weight files: what the writer writes the reader reads; and every field of the header, wrong in every way it can be.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/bytes.h"
#include "engine/gguf.h"
#include "tests.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A small valid file with the place of every field.
struct raw {
	struct tdm_bytes b;
	size_t version, n_tensors, n_pairs, key1_len, type1, key2, key3_len, array_type, array_n, item_len, alignment_type,
	    alignment, name1_len, name1, n_dims, dim0, dim1, type, offset1, name2, offset2;
};

static void u32(struct tdm_bytes *b, uint32_t v) {
	tdm_bytes_add(b, &v, 4);
}

static void u64(struct tdm_bytes *b, uint64_t v) {
	tdm_bytes_add(b, &v, 8);
}

static size_t string(struct tdm_bytes *b, const char *s) {
	size_t at = b->len;
	u64(b, strlen(s));
	tdm_bytes_puts(b, s);
	return at;
}

static void raw_pairs(struct raw *r) {
	struct tdm_bytes *b = &r->b;
	r->key1_len = string(b, "a");
	r->type1 = b->len;
	u32(b, 4), u32(b, 77);
	r->key2 = string(b, "b") + 8;
	u32(b, 4), u32(b, 78);
	r->key3_len = string(b, "s");
	u32(b, 9);
	r->array_type = b->len;
	u32(b, 8);
	r->array_n = b->len;
	u64(b, 2);
	r->item_len = string(b, "x");
	string(b, "yz");
	string(b, "general.alignment");
	r->alignment_type = b->len;
	u32(b, 4);
	r->alignment = b->len;
	u32(b, 32);
}

static void raw_infos(struct raw *r) {
	struct tdm_bytes *b = &r->b;
	r->name1_len = string(b, "t");
	r->name1 = r->name1_len + 8;
	r->n_dims = b->len;
	u32(b, 2);
	r->dim0 = b->len;
	u64(b, 32);
	r->dim1 = b->len;
	u64(b, 2);
	r->type = b->len;
	u32(b, TDM_Q8_0);
	r->offset1 = b->len;
	u64(b, 0);
	r->name2 = string(b, "u") + 8;
	u32(b, 1), u64(b, 4), u32(b, TDM_F32);
	r->offset2 = b->len;
	u64(b, 96);
	while (b->len % 32)
		tdm_bytes_putc(b, 0);
	for (int i = 0; i < 96 + 16; i++)
		tdm_bytes_putc(b, 0);
}

static void raw_build(struct raw *r) {
	tdm_bytes_init(&r->b, 1 << 20);
	tdm_bytes_puts(&r->b, "GGUF");
	r->version = r->b.len;
	u32(&r->b, 3);
	r->n_tensors = r->b.len;
	u64(&r->b, 2);
	r->n_pairs = r->b.len;
	u64(&r->b, 4);
	raw_pairs(r);
	raw_infos(r);
}

static int open_raw(const struct raw *r, size_t n, struct tdm_gguf **g, struct tdm_error *err) {
	*err = (struct tdm_error){0};
	*g = NULL;
	return tdm_gguf_memory("raw", r->b.data, n, g, err);
}

static void raw_file_is_valid(void **state) {
	struct raw r;
	struct tdm_gguf *g;
	struct tdm_error err;
	uint64_t value;
	for (int version = 2; version <= 3; version++) {
		raw_build(&r);
		r.b.data[r.version] = (char)version;
		assert_int_equal(open_raw(&r, r.b.len, &g, &err), TDM_OK);
		assert_true(tdm_gguf_u64(g, "a", &value));
		assert_int_equal(value, 77);
		assert_int_equal(tdm_gguf_n_tensors(g), 2);
		tdm_gguf_close(g);
		tdm_bytes_release(&r.b);
	}
}

// Every shorter file is an error, never a crash and never a success.
static void S54_truncated_anywhere(void **state) {
	struct raw r;
	struct tdm_gguf *g;
	struct tdm_error err;
	raw_build(&r);
	for (size_t n = 0; n < r.b.len; n++) {
		char *exact = malloc(n ? n : 1); // so that a read past the end is seen
		memcpy(exact, r.b.data, n);
		err = (struct tdm_error){0};
		assert_int_equal(tdm_gguf_memory("raw", exact, n, &g, &err), TDM_EFORMAT);
		assert_non_null(strstr(err.text, "raw: "));
		free(exact);
	}
	tdm_bytes_release(&r.b);
}

struct corruption {
	size_t field; // offset in struct raw of the place
	int bytes;
	uint64_t value;
	const char *sentence; // part of it
};
#define AT(f) offsetof(struct raw, f)

static const struct corruption corruptions[] = {
    {AT(version), 4, 1, "GGUF version 1; supported are 2 and 3"},
    {AT(version), 4, 4, "GGUF version 4"},
    {AT(version), 4, 0x03000000, "big-endian"},
    {AT(n_tensors), 8, UINT64_MAX, "the number of tensors is 18446744073709551615, more than"},
    {AT(n_tensors), 8, 12, "the number of tensors is 12"},
    {AT(n_tensors), 8, 3, "a tensor name of 0 bytes"},
    {AT(n_pairs), 8, UINT64_MAX / 2, "the number of key-values is"},
    {AT(n_pairs), 8, 5, "inside the name of a tensor"},
    {AT(key1_len), 8, UINT64_MAX, "inside a key"},
    {AT(key1_len), 8, UINT64_MAX - 31, "inside a key"},
    {AT(key1_len), 8, 1 << 20, "inside a key"},
    {AT(key1_len), 8, 0, "a key of 0 bytes"},
    {AT(type1), 4, 13, "key \"a\" has the unknown value type 13"},
    {AT(type1), 4, UINT32_MAX, "unknown value type"},
    {AT(key2), 1, 'a', "key \"a\" occurs twice"},
    {AT(array_type), 4, 9, "is an array of items of type 9"},
    {AT(array_type), 4, 99, "is an array of items of type 99"},
    {AT(array_n), 8, UINT64_MAX, "the length of an array is"},
    {AT(array_n), 8, UINT64_MAX / 8 + 2, "the length of an array is"},
    {AT(array_n), 8, 20, "inside a string of an array"},
    {AT(item_len), 8, UINT64_MAX - 7, "inside a string of an array"},
    {AT(alignment_type), 4, 6, "general.alignment must be a power of two"},
    {AT(alignment), 4, 0, "general.alignment must be"},
    {AT(alignment), 4, 48, "general.alignment must be"},
    {AT(alignment), 4, 1u << 31, "general.alignment must be"},
    {AT(name1_len), 8, UINT64_MAX, "inside the name of a tensor"},
    {AT(name1_len), 8, 0, "a tensor name of 0 bytes"},
    {AT(name1), 1, 0, "holds the byte 0x00"},
    {AT(name1), 1, 0xC3, "holds the byte 0xc3"},
    {AT(name2), 1, 't', "tensor t occurs twice"},
    {AT(n_dims), 4, 0, "has 0 dimensions"},
    {AT(n_dims), 4, 5, "has 5 dimensions"},
    {AT(dim0), 8, 0, "which is zero or makes the tensor too large"},
    {AT(dim0), 8, 33, "tensor t is Q8_0, whose rows are multiples of 32 elements, but its rows have 33"},
    {AT(dim0), 8, UINT64_MAX, "makes the tensor too large"},
    {AT(dim1), 8, UINT64_MAX / 16, "makes the tensor too large"},
    {AT(dim1), 8, (uint64_t)INT64_MAX / 32, "ends after the file"},
    {AT(dim1), 8, 3, "tensors t and u overlap"},
    {AT(type), 4, 4, "tensor t has type 4; supported are F32 (0), F16 (1), BF16 (30), Q8_0 (8), Q4_0 (2)"},
    {AT(type), 4, TDM_Q4_K, "tensor t is Q4_K, whose rows are multiples of 256 elements, but its rows have 32"},
    {AT(type), 4, UINT32_MAX, "has type 4294967295"},
    {AT(offset1), 8, 8, "not a multiple of the alignment 32"},
    {AT(offset1), 8, 32, "overlap"},
    {AT(offset1), 8, 1 << 20, "ends after the file"},
    {AT(offset2), 8, 128, "ends after the file"},
    {AT(offset2), 8, UINT64_MAX - 31, "ends after the file"},
    {AT(offset2), 8, 0, "overlap"},
};

static void S53_S54_corrupted_fields(void **state) {
	for (size_t i = 0; i < sizeof corruptions / sizeof *corruptions; i++) {
		const struct corruption *c = &corruptions[i];
		struct raw r;
		struct tdm_gguf *g;
		struct tdm_error err;
		size_t at;
		raw_build(&r);
		memcpy(&at, (char *)&r + c->field, sizeof at);
		memcpy(r.b.data + at, &c->value, (size_t)c->bytes);
		assert_int_equal(open_raw(&r, r.b.len, &g, &err), TDM_EFORMAT);
		if (!strstr(err.text, c->sentence))
			fail_msg("row %zu: expected \"%s\" in \"%s\"", i, c->sentence, err.text);
		tdm_bytes_release(&r.b);
	}
}

static void wrong_magic(void **state) {
	struct raw r;
	struct tdm_gguf *g;
	struct tdm_error err;
	raw_build(&r);
	r.b.data[0] = 'X';
	assert_int_equal(open_raw(&r, r.b.len, &g, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "not a GGUF file"));
	tdm_bytes_release(&r.b);
	err = (struct tdm_error){0};
	assert_int_equal(tdm_gguf_open("/nonexistent/x.gguf", &g, &err), TDM_EIO);
}

// Bytes at an odd address: numbers are still read from aligned memory.
static void unaligned_memory(void **state) {
	struct raw r;
	struct tdm_gguf *g;
	struct tdm_error err = {0};
	raw_build(&r);
	char *shifted = malloc(r.b.len + 1);
	memcpy(shifted + 1, r.b.data, r.b.len);
	assert_int_equal(tdm_gguf_memory("raw", shifted + 1, r.b.len, &g, &err), TDM_OK);
	assert_int_equal((uintptr_t)tdm_gguf_tensor(g, "u")->data % 8, 0);
	tdm_gguf_close(g);
	free(shifted);
	tdm_bytes_release(&r.b);
}

static const char *path(char out[64]) {
	snprintf(out, 64, "/tmp/tdm-unit-%d.gguf", (int)getpid());
	return out;
}

static void put_everything(struct tdm_gguf_writer *w, const float *x) {
	const char *words[] = {"one", "", "a\0b"};
	size_t lens[] = {3, 0, 3};
	tdm_gguf_put_text(w, "general.architecture", "llama");
	tdm_gguf_put_u32(w, "n", 4000000000u);
	tdm_gguf_put_f32(w, "f", 0.25f);
	tdm_gguf_put_bool(w, "yes", true);
	tdm_gguf_put_strings(w, "words", words, lens, 3);
	tdm_gguf_put_f32s(w, "floats", (float[]){1, 2.5f}, 2);
	tdm_gguf_put_i32s(w, "ints", (int32_t[]){-1, 7, 9}, 3);
	tdm_gguf_put_i32s(w, "none", NULL, 0);
	tdm_gguf_put_tensor(w, "matrix", TDM_Q8_0, (uint64_t[]){64, 50}, 2, x);
	tdm_gguf_put_tensor(w, "row", TDM_F32, (uint64_t[]){3}, 1, x);
	tdm_gguf_put_tensor(w, "half", TDM_F16, (uint64_t[]){5, 2}, 2, x);
}

static void check_keys(const struct tdm_gguf *g) {
	uint64_t n;
	double f;
	const char *text;
	size_t len, count;
	const float *floats;
	const int32_t *ints;
	assert_true(tdm_gguf_u64(g, "n", &n) && n == 4000000000u);
	assert_true(tdm_gguf_u64(g, "yes", &n) && n == 1);
	assert_true(tdm_gguf_f64(g, "f", &f) && f == 0.25);
	assert_false(tdm_gguf_u64(g, "f", &n));
	assert_false(tdm_gguf_f64(g, "n", &f));
	assert_false(tdm_gguf_u64(g, "absent", &n));
	assert_false(tdm_gguf_text(g, "words", &text, &len));
	assert_true(tdm_gguf_text(g, "general.architecture", &text, &len) && len == 5 && memcmp(text, "llama", 5) == 0);
	assert_true(tdm_gguf_strings(g, "words", &count) && count == 3);
	assert_true(tdm_gguf_string_at(g, "words", 1, &text, &len) && len == 0);
	assert_true(tdm_gguf_string_at(g, "words", 2, &text, &len) && len == 3 && memcmp(text, "a\0b", 3) == 0);
	assert_false(tdm_gguf_string_at(g, "words", 3, &text, &len));
	assert_true(tdm_gguf_f32s(g, "floats", &floats, &count) && count == 2 && floats[1] == 2.5f);
	assert_true(tdm_gguf_i32s(g, "ints", &ints, &count) && count == 3 && ints[0] == -1 && ints[2] == 9);
	assert_true(tdm_gguf_i32s(g, "none", &ints, &count) && count == 0);
	assert_false(tdm_gguf_i32s(g, "floats", &ints, &count));
}

static void check_tensors(const struct tdm_gguf *g, const float *x) {
	float back[3200], row[3], half[10];
	uint8_t blocks[3400];
	const struct tdm_tensor *m = tdm_gguf_tensor(g, "matrix"), *r = tdm_gguf_tensor(g, "row");
	assert_int_equal(tdm_gguf_n_tensors(g), 3);
	assert_ptr_equal(tdm_gguf_tensor_at(g, 0), m);
	assert_null(tdm_gguf_tensor(g, "absent"));
	assert_null(tdm_gguf_tensor_at(g, 3));
	assert_int_equal(m->bytes, 3400);
	assert_int_equal(m->dims[0], 64);
	assert_int_equal(m->dims[1], 50);
	assert_int_equal(m->dims[2], 1);
	tdm_quantize(TDM_Q8_0, x, 3200, blocks);
	assert_memory_equal(blocks, m->data, sizeof blocks);
	tdm_dequantize(m->type, m->data, 3200, back);
	for (int i = 0; i < 3200; i++)
		assert_true(back[i] - x[i] < 0.01f && x[i] - back[i] < 0.01f);
	tdm_dequantize(r->type, r->data, 3, row);
	assert_memory_equal(row, x, sizeof row);
	tdm_dequantize(TDM_F16, tdm_gguf_tensor(g, "half")->data, 10, half);
	for (int i = 0; i < 10; i++)
		assert_true(half[i] == tdm_f16_to_f32(tdm_f32_to_f16(x[i])));
}

static void round_trip(void **state) {
	char name[64];
	float x[3200];
	struct tdm_gguf *g;
	struct tdm_error err = {0};
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	for (int i = 0; i < 3200; i++)
		x[i] = (float)(i % 101 - 50) / 50;
	put_everything(w, x);
	assert_int_equal(tdm_gguf_write(w, path(name), &err), TDM_OK);
	tdm_gguf_writer_free(w);
	assert_int_equal(tdm_gguf_open(name, &g, &err), TDM_OK);
	check_keys(g);
	check_tensors(g, x);
	tdm_gguf_close(g);
	unlink(name);
}

static void writer_refuses(void **state) {
	char name[64];
	float x[40] = {0};
	struct tdm_error err = {0};
	struct tdm_gguf_writer *w = tdm_gguf_writer_new();
	tdm_gguf_put_tensor(w, "t", TDM_Q8_0, (uint64_t[]){40}, 1, x);
	assert_int_equal(tdm_gguf_write(w, path(name), &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "tensor t is Q8_0, whose rows are multiples of 32"));
	assert_int_not_equal(access(name, F_OK), 0);
	tdm_gguf_writer_free(w);
	w = tdm_gguf_writer_new();
	tdm_gguf_put_u32(w, "k", 1);
	tdm_gguf_put_u32(w, "k", 2);
	err = (struct tdm_error){0};
	assert_int_equal(tdm_gguf_write(w, name, &err), TDM_EFORMAT);
	assert_non_null(strstr(err.text, "occurs twice"));
	tdm_gguf_writer_free(w);
}

int tdm_test_gguf(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(raw_file_is_valid),        cmocka_unit_test(S54_truncated_anywhere),
	    cmocka_unit_test(S53_S54_corrupted_fields), cmocka_unit_test(wrong_magic),
	    cmocka_unit_test(unaligned_memory),         cmocka_unit_test(round_trip),
	    cmocka_unit_test(writer_refuses),
	};
	return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
