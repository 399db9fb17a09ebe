// GGUF: the weight file. Reading validates every count, length, offset and product against the file size before use;
// writing makes files that llama.cpp loads. Format: little-endian, version 3 (2 accepted):
//   1. magic "GGUF", version u32, tensor count u64, key-value count u64
//   2. key-values: key string (u64 length + bytes), type u32, value (arrays: item type u32, count u64, items)
//   3. tensor infos: name string, n_dims u32, dims u64[n_dims] (fastest first), type u32, offset u64
//   4. padding to general.alignment (default 32), then tensor data at offset from here
#pragma once
#include "base/file.h"
#include "base/status.h"
#include "engine/formats.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_tensor {
	const char *name; // NUL-terminated
	uint32_t type;    // enum tdm_tensor_type, validated
	uint32_t n_dims;  // 1..4
	uint64_t dims[4]; // dims[0] = row length (fastest); unused = 1
	const void *data; // inside the mapping
	uint64_t bytes;
};

struct tdm_gguf; // immutable after opening; safe to read from many threads

// Maps and validates. Error: TDM_EIO, TDM_EFORMAT with path and what was wrong. path may be "embedded:NAME" only
// through tdm_gguf_memory.
int tdm_gguf_open(const char *path, struct tdm_gguf **out, struct tdm_error *err);
int tdm_gguf_memory(const char *name, const void *data, size_t n, struct tdm_gguf **out,
                    struct tdm_error *err); // borrows data
void tdm_gguf_close(struct tdm_gguf *g);
// To be asked when everything was read: TDM_OK, or TDM_EIO when the file was cut off meanwhile.
int tdm_gguf_whole(const struct tdm_gguf *g, const char *path, struct tdm_error *err);

const struct tdm_tensor *tdm_gguf_tensor(const struct tdm_gguf *g, const char *name); // NULL when absent
size_t tdm_gguf_n_tensors(const struct tdm_gguf *g);
const struct tdm_tensor *tdm_gguf_tensor_at(const struct tdm_gguf *g, size_t i);

// Key-values. A getter returns false when the key is absent or of another type.
bool tdm_gguf_u64(const struct tdm_gguf *g, const char *key,
                  uint64_t *out); // any integer type that is not negative, and bool
bool tdm_gguf_f64(const struct tdm_gguf *g, const char *key, double *out);
bool tdm_gguf_text(const struct tdm_gguf *g, const char *key, const char **text, size_t *n); // not NUL-terminated
// Arrays. strings: returns the count and keeps an index; item i through tdm_gguf_string_at.
bool tdm_gguf_strings(const struct tdm_gguf *g, const char *key, size_t *n);
bool tdm_gguf_string_at(const struct tdm_gguf *g, const char *key, size_t i, const char **text, size_t *len);
bool tdm_gguf_f32s(const struct tdm_gguf *g, const char *key, const float **items, size_t *n);   // copied if unaligned
bool tdm_gguf_i32s(const struct tdm_gguf *g, const char *key, const int32_t **items, size_t *n); // i32 or u32
// Key-value i in the order of the file, as the bytes that it is there; false after the last.
struct tdm_gguf_pair {
	const char *key; // not NUL-terminated
	size_t key_len;
	const void *bytes; // key, type and value
	size_t n;
};
bool tdm_gguf_pair_at(const struct tdm_gguf *g, size_t i, struct tdm_gguf_pair *out);

// Writing: add keys and tensors, then write once (atomic rename).
struct tdm_gguf_writer;
struct tdm_gguf_writer *tdm_gguf_writer_new(void);
void tdm_gguf_writer_free(struct tdm_gguf_writer *w);
void tdm_gguf_put_u32(struct tdm_gguf_writer *w, const char *key, uint32_t value);
void tdm_gguf_put_f32(struct tdm_gguf_writer *w, const char *key, float value);
void tdm_gguf_put_bool(struct tdm_gguf_writer *w, const char *key, bool value);
void tdm_gguf_put_text(struct tdm_gguf_writer *w, const char *key, const char *text);
void tdm_gguf_put_strings(struct tdm_gguf_writer *w, const char *key, const char *const *items, const size_t *lens,
                          size_t n);
void tdm_gguf_put_f32s(struct tdm_gguf_writer *w, const char *key, const float *items, size_t n);
void tdm_gguf_put_i32s(struct tdm_gguf_writer *w, const char *key, const int32_t *items, size_t n);
// data: n elements of float, converted to `type` as llama.cpp does. Rows of a partial block: an error when writing.
void tdm_gguf_put_tensor(struct tdm_gguf_writer *w, const char *name, uint32_t type, const uint64_t *dims,
                         uint32_t n_dims, const float *data);
int tdm_gguf_write(struct tdm_gguf_writer *w, const char *path, struct tdm_error *err);
