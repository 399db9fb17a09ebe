// Writing GGUF version 3: keys and tensors are collected as the bytes they will be, then put together once.
//
// The rule it protects: what is written is read back by this program's own reader before the file appears under its
// name, so a wrong call (a key twice, a row of half a block) is an error here and not in the next program.
#include "base/bytes.h"
#include "engine/gguf.h"
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 32, CHUNK = 2048 };
enum { T_U32 = 4, T_I32 = 5, T_F32 = 6, T_BOOL = 7, T_STRING = 8, T_ARRAY = 9 };

struct tdm_gguf_writer {
	struct tdm_bytes pairs, infos, data;
	uint64_t n_pairs, n_tensors;
};

struct tdm_gguf_writer *tdm_gguf_writer_new(void) {
	struct tdm_gguf_writer *w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	tdm_bytes_init(&w->pairs, SIZE_MAX / 8);
	tdm_bytes_init(&w->infos, SIZE_MAX / 8);
	tdm_bytes_init(&w->data, SIZE_MAX / 8);
	return w;
}

void tdm_gguf_writer_free(struct tdm_gguf_writer *w) {
	if (!w)
		return;
	tdm_bytes_release(&w->pairs);
	tdm_bytes_release(&w->infos);
	tdm_bytes_release(&w->data);
	free(w);
}

static void put_u32(struct tdm_bytes *b, uint32_t value) {
	tdm_bytes_add(b, &value, sizeof value);
}

static void put_u64(struct tdm_bytes *b, uint64_t value) {
	tdm_bytes_add(b, &value, sizeof value);
}

static void put_string(struct tdm_bytes *b, const char *text, size_t n) {
	put_u64(b, n);
	tdm_bytes_add(b, text, n);
}

static struct tdm_bytes *start_pair(struct tdm_gguf_writer *w, const char *key, uint32_t type) {
	w->n_pairs++;
	put_string(&w->pairs, key, strlen(key));
	put_u32(&w->pairs, type);
	return &w->pairs;
}

static struct tdm_bytes *start_array(struct tdm_gguf_writer *w, const char *key, uint32_t type, size_t n) {
	struct tdm_bytes *b = start_pair(w, key, T_ARRAY);
	put_u32(b, type);
	put_u64(b, n);
	return b;
}

void tdm_gguf_put_u32(struct tdm_gguf_writer *w, const char *key, uint32_t value) {
	put_u32(start_pair(w, key, T_U32), value);
}

void tdm_gguf_put_f32(struct tdm_gguf_writer *w, const char *key, float value) {
	tdm_bytes_add(start_pair(w, key, T_F32), &value, sizeof value);
}

void tdm_gguf_put_bool(struct tdm_gguf_writer *w, const char *key, bool value) {
	tdm_bytes_putc(start_pair(w, key, T_BOOL), value ? 1 : 0);
}

void tdm_gguf_put_text(struct tdm_gguf_writer *w, const char *key, const char *text) {
	put_string(start_pair(w, key, T_STRING), text, strlen(text));
}

void tdm_gguf_put_strings(struct tdm_gguf_writer *w, const char *key, const char *const *items, const size_t *lens,
                          size_t n) {
	struct tdm_bytes *b = start_array(w, key, T_STRING, n);
	for (size_t i = 0; i < n; i++)
		put_string(b, items[i], lens[i]);
}

void tdm_gguf_put_f32s(struct tdm_gguf_writer *w, const char *key, const float *items, size_t n) {
	tdm_bytes_add(start_array(w, key, T_F32, n), items, n * sizeof *items);
}

void tdm_gguf_put_i32s(struct tdm_gguf_writer *w, const char *key, const int32_t *items, size_t n) {
	tdm_bytes_add(start_array(w, key, T_I32, n), items, n * sizeof *items);
}

static void pad(struct tdm_bytes *b, size_t alignment) {
	static const char zeros[ALIGNMENT];
	tdm_bytes_add(b, zeros, (alignment - b->len % alignment) % alignment);
}

void tdm_gguf_put_tensor(struct tdm_gguf_writer *w, const char *name, uint32_t type, const uint64_t *dims,
                         uint32_t n_dims, const float *data) {
	uint8_t converted[CHUNK * sizeof(float)];
	uint64_t n = 1;
	pad(&w->data, ALIGNMENT);
	w->n_tensors++;
	put_string(&w->infos, name, strlen(name));
	put_u32(&w->infos, n_dims);
	for (uint32_t i = 0; i < n_dims; i++) {
		n *= dims[i];
		put_u64(&w->infos, dims[i]);
	}
	put_u32(&w->infos, type);
	put_u64(&w->infos, w->data.len);
	for (uint64_t i = 0; i < n; i += CHUNK) {
		uint64_t count = n - i < CHUNK ? n - i : CHUNK;
		tdm_quantize(type, data + i, count, converted);
		tdm_bytes_add(&w->data, converted, tdm_tensor_bytes(type, count)); // a partial block adds nothing: see check
	}
}

static int check(const struct tdm_bytes *file, const char *path, struct tdm_error *err) {
	struct tdm_gguf *g;
	int status = tdm_gguf_memory(path, file->data, file->len, &g, err);
	if (status == TDM_OK)
		tdm_gguf_close(g);
	return status;
}

int tdm_gguf_write(struct tdm_gguf_writer *w, const char *path, struct tdm_error *err) {
	struct tdm_bytes file;
	tdm_bytes_init(&file, SIZE_MAX / 2);
	tdm_bytes_add(&file, "GGUF", 4);
	put_u32(&file, 3);
	put_u64(&file, w->n_tensors);
	put_u64(&file, w->n_pairs);
	tdm_bytes_add(&file, w->pairs.data, w->pairs.len);
	tdm_bytes_add(&file, w->infos.data, w->infos.len);
	pad(&file, ALIGNMENT);
	tdm_bytes_add(&file, w->data.data, w->data.len);
	int status = TDM_OK;
	if (w->pairs.failed || w->infos.failed || w->data.failed || file.failed)
		status = tdm_fail(err, TDM_ENOMEM, "%s: no memory for the file's content", path);
	if (status == TDM_OK)
		status = check(&file, path, err);
	if (status == TDM_OK)
		status = tdm_file_write(path, file.data, file.len, err);
	tdm_bytes_release(&file);
	return status;
}
