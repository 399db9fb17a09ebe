// Converting a weight file: header first, since all sizes are known before any number is read; then tensor by tensor,
// in pieces that the threads convert together.
//
// The rule it protects: the new file says about itself what it is (general.file_type), has every other key of the old
// one byte for byte, holds finite numbers only, and has its name only when this program's own reader accepts it.
#include "engine/requantize.h"
#include "base/file.h"
#include "base/pool.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUANTIZATION_VERSION = 2, TYPE_U32 = 4, N_HEADER_NUMBERS = 2, SLICE = 1 << 18, STEP = 2048, MB = 1000000 };

struct job {
	struct tdm_requantize *r;
	struct tdm_error *err;
	struct tdm_gguf *g;
	struct tdm_output out;
	struct tdm_bytes header;
	struct tdm_pool *pool;
	uint8_t *converted;                          // SLICE elements per thread
	uint32_t *types;                             // per tensor
	uint64_t alignment, done_bytes, total_bytes; // of tensors in `from`
};

// --- header

static void put_u32(struct tdm_bytes *b, uint32_t value) {
	tdm_bytes_add(b, &value, sizeof value);
}

static void put_u64(struct tdm_bytes *b, uint64_t value) {
	tdm_bytes_add(b, &value, sizeof value);
}

static void put_string(struct tdm_bytes *b, const char *text) {
	put_u64(b, strlen(text));
	tdm_bytes_puts(b, text);
}

static void put_number(struct tdm_bytes *b, const char *key, uint32_t value) {
	put_string(b, key);
	put_u32(b, TYPE_U32);
	put_u32(b, value);
}

static bool is_replaced(const struct tdm_gguf_pair *p) {
	static const char *const keys[] = {"general.file_type", "general.quantization_version"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (p->key_len == strlen(keys[i]) && !memcmp(p->key, keys[i], p->key_len))
			return true;
	return false;
}

static void put_pairs(struct job *j) {
	struct tdm_gguf_pair p;
	uint64_t n = 0;
	for (size_t i = 0; tdm_gguf_pair_at(j->g, i, &p); i++)
		n += !is_replaced(&p);
	put_u64(&j->header, n + N_HEADER_NUMBERS);
	for (size_t i = 0; tdm_gguf_pair_at(j->g, i, &p); i++)
		if (!is_replaced(&p))
			tdm_bytes_add(&j->header, p.bytes, p.n);
	put_number(&j->header, "general.quantization_version", QUANTIZATION_VERSION);
	put_number(&j->header, "general.file_type", j->r->mix->file_type);
}

static uint64_t count_elements(const struct tdm_tensor *t) {
	return t->dims[0] * t->dims[1] * t->dims[2] * t->dims[3]; // the reader has checked the product
}

static uint64_t pad_bytes(const struct job *j, uint64_t n) {
	return (j->alignment - n % j->alignment) % j->alignment;
}

// Every element is inside the mapped file and takes at most 4 bytes in the new one: no overflow.
static void put_infos(struct job *j) {
	uint64_t offset = 0;
	for (size_t i = 0; i < j->r->n_tensors; i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(j->g, i);
		uint64_t n = count_elements(t), bytes = tdm_tensor_bytes(j->types[i], n);
		put_string(&j->header, t->name);
		put_u32(&j->header, t->n_dims);
		tdm_bytes_add(&j->header, t->dims, t->n_dims * sizeof *t->dims);
		put_u32(&j->header, j->types[i]);
		put_u64(&j->header, offset);
		offset += bytes + pad_bytes(j, bytes);
		j->r->n_elements += n;
		j->r->bytes_before += t->bytes;
		j->r->bytes_after += bytes;
	}
}

static int write_zeros(struct job *j, uint64_t n) {
	static const uint8_t zeros[4096];
	int status = TDM_OK;
	for (uint64_t part; n && status == TDM_OK; n -= part) {
		part = n < sizeof zeros ? n : sizeof zeros;
		status = tdm_output_write(&j->out, zeros, part, j->err);
	}
	return status;
}

static int write_header(struct job *j) {
	tdm_bytes_add(&j->header, "GGUF", 4);
	put_u32(&j->header, 3);
	put_u64(&j->header, j->r->n_tensors);
	put_pairs(j);
	put_infos(j);
	if (j->header.failed)
		return tdm_fail(j->err, TDM_ENOMEM, "%s: no memory for the file's header", j->r->to);
	int status = tdm_output_write(&j->out, j->header.data, j->header.len, j->err);
	return status == TDM_OK ? write_zeros(j, pad_bytes(j, j->header.len)) : status;
}

// --- tensors

struct piece {
	const struct tdm_format *from, *to;
	const uint8_t *data;
	uint8_t *converted;
	uint64_t n;
	int worst[256]; // per part: NOTHING, NOT_FINITE or TOO_LARGE
};
enum { NOTHING, NOT_FINITE, TOO_LARGE, MOST_THREADS = 256 };

#define MOST_IN_BLOCKS 1e9f // no scale in half precision reaches it; far below what overflows while a grid is searched

// The largest magnitude; infinity when a value is no finite number.
static float largest_of(const float *x, uint64_t n) {
	float largest = 0;
	for (uint64_t i = 0; i < n; i++)
		largest = fabsf(x[i]) <= largest ? largest : fabsf(x[i]) < INFINITY ? fabsf(x[i]) : INFINITY;
	return largest;
}

static int convert_step(const struct piece *p, uint64_t at, uint64_t n) {
	float x[STEP];
	uint8_t *to = p->converted + at / p->to->per_block * p->to->block_bytes;
	p->from->unpack(p->data + at / p->from->per_block * p->from->block_bytes, n / p->from->per_block, x);
	float largest = largest_of(x, n);
	if (largest == INFINITY)
		return NOT_FINITE;
	if (largest > MOST_IN_BLOCKS && p->to->per_block > 1)
		return TOO_LARGE;
	p->to->pack(x, n / p->to->per_block, to);
	p->to->unpack(to, n / p->to->per_block, x);
	return largest_of(x, n) < INFINITY ? NOTHING : TOO_LARGE;
}

static void convert_part(void *arg, int part, int n_parts) {
	struct piece *p = arg;
	uint64_t n_steps = (p->n + STEP - 1) / STEP;
	uint64_t from = n_steps * (uint64_t)part / (uint64_t)n_parts,
	         to = n_steps * ((uint64_t)part + 1) / (uint64_t)n_parts;
	p->worst[part] = NOTHING;
	for (uint64_t i = from; i < to && p->worst[part] == NOTHING; i++)
		p->worst[part] = convert_step(p, i * STEP, p->n - i * STEP < STEP ? p->n - i * STEP : STEP);
}

static int check_piece(struct job *j, const struct piece *p, int n_parts, const char *name) {
	for (int i = 0; i < n_parts; i++) {
		if (p->worst[i] == NOT_FINITE)
			return tdm_fail(j->err, TDM_EFORMAT, "%s: tensor %s holds a value that is not a finite number", j->r->from,
			                name);
		if (p->worst[i] == TOO_LARGE)
			return tdm_fail(j->err, TDM_EFORMAT, "%s: tensor %s holds values that are too large for %s", j->r->from,
			                name, p->to->name);
	}
	return TDM_OK;
}

static void show(struct job *j, uint64_t bytes, const char *name) {
	j->done_bytes += bytes;
	if (j->r->progress)
		tdm_progress_show(j->r->progress, (j->done_bytes + (j->done_bytes == j->total_bytes) * (MB - 1)) / MB, name);
}

static int convert(struct job *j, const struct tdm_tensor *t, const struct tdm_format *to) {
	const struct tdm_format *from = tdm_format_of(t->type);
	int n_parts = tdm_pool_size(j->pool), status = TDM_OK;
	uint64_t n = count_elements(t), most = (uint64_t)SLICE * (uint64_t)n_parts;
	for (uint64_t at = 0; at < n && status == TDM_OK; at += most) {
		struct piece p = {.from = from, .to = to, .converted = j->converted, .n = n - at < most ? n - at : most};
		p.data = (const uint8_t *)t->data + at / from->per_block * from->block_bytes;
		tdm_pool_run(j->pool, convert_part, &p, n_parts);
		status = check_piece(j, &p, n_parts, t->name);
		if (status == TDM_OK)
			status = tdm_output_write(&j->out, p.converted, tdm_tensor_bytes(to->type, p.n), j->err);
		show(j, tdm_tensor_bytes(from->type, p.n), t->name);
	}
	return status;
}

static int write_tensors(struct job *j) {
	int status = TDM_OK;
	for (size_t i = 0; i < j->r->n_tensors && status == TDM_OK; i++) {
		const struct tdm_tensor *t = tdm_gguf_tensor_at(j->g, i);
		if (j->types[i] != t->type) {
			status = convert(j, t, tdm_format_of(j->types[i]));
		} else {
			status = tdm_output_write(&j->out, t->data, t->bytes, j->err);
			show(j, t->bytes, t->name);
		}
		if (status == TDM_OK)
			status = write_zeros(j, pad_bytes(j, tdm_tensor_bytes(j->types[i], count_elements(t))));
	}
	return status;
}

// --- the whole

static int prepare(struct job *j) {
	struct tdm_requantize *r = j->r;
	uint64_t n_files = 1;
	int threads = r->threads < 1 ? 1 : r->threads < MOST_THREADS ? r->threads : MOST_THREADS;
	if (tdm_gguf_u64(j->g, "split.count", &n_files) && n_files > 1)
		return tdm_fail(j->err, TDM_EFORMAT, "%s: one of the %llu files of a model; expected a model in one file",
		                r->from, (unsigned long long)n_files);
	r->n_tensors = tdm_gguf_n_tensors(j->g);
	j->alignment = 32;
	tdm_gguf_u64(j->g, "general.alignment", &j->alignment);
	for (size_t i = 0; i < r->n_tensors; i++)
		j->total_bytes += tdm_gguf_tensor_at(j->g, i)->bytes;
	if (r->progress)
		r->progress->total = (j->total_bytes + MB - 1) / MB; // reached by the last byte only
	j->types = calloc(r->n_tensors + 1, sizeof *j->types);
	j->converted = malloc((size_t)threads * SLICE * sizeof(float));
	j->pool = tdm_pool_new(threads);
	if (!j->types || !j->converted || !j->pool)
		return tdm_fail(j->err, TDM_ENOMEM, "%s: no memory to convert it with %d threads", r->from, threads);
	return tdm_mix_assign(r->mix, j->g, j->types, &r->n_wider, j->err);
}

static int check_result(struct job *j) {
	struct tdm_gguf *g;
	int status = tdm_gguf_open(j->out.name, &g, j->err);
	if (status == TDM_OK)
		tdm_gguf_close(g);
	return status;
}

static int write_file(struct job *j) {
	int status = tdm_output_open(&j->out, j->r->to, j->err);
	if (status == TDM_OK)
		status = write_header(j);
	if (status == TDM_OK)
		status = write_tensors(j);
	if (status == TDM_OK)
		status = tdm_gguf_whole(j->g, j->r->from, j->err);
	if (status == TDM_OK)
		status = check_result(j);
	if (status == TDM_OK)
		return tdm_output_commit(&j->out, j->err);
	tdm_output_drop(&j->out);
	return status;
}

int tdm_requantize_run(struct tdm_requantize *r, struct tdm_error *err) {
	struct job j = {.r = r, .err = err};
	r->n_tensors = r->n_elements = r->bytes_before = r->bytes_after = 0;
	tdm_bytes_init(&j.header, SIZE_MAX / 2);
	int status = tdm_gguf_open(r->from, &j.g, err);
	if (status == TDM_OK)
		status = prepare(&j);
	if (status == TDM_OK)
		status = write_file(&j);
	tdm_pool_free(j.pool);
	tdm_bytes_release(&j.header);
	free(j.converted);
	free(j.types);
	tdm_gguf_close(j.g);
	return status;
}
