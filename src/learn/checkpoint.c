// Checkpoint: header, three blocks of parameters, the curve's text, and a hash over all of it (see checkpoint.h).
#include "learn/checkpoint.h"
#include "base/crypto.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = {'T', 'D', 'M', 'C', 'K', 'P', 'T', '1'};

struct header {
	char magic[8];
	struct tdm_shape shape;
	struct tdm_progress_of_training at;
	uint64_t n_params, curve_bytes;
};

static size_t bytes_of(const struct header *h) {
	return sizeof(*h) + 3 * (size_t)h->n_params * sizeof(float) + (size_t)h->curve_bytes + TDM_SHA256_BYTES;
}

int tdm_checkpoint_write(const struct tdm_checkpoint *c, const struct tdm_shape *shape, const char *path,
                         struct tdm_error *err) {
	struct header h;
	memset(&h, 0, sizeof(h)); // padding too: the file of one state has one content
	memcpy(h.magic, MAGIC, sizeof(MAGIC));
	h.shape = *shape;
	h.at = c->at;
	h.n_params = c->n_params;
	h.curve_bytes = c->curve->len;
	size_t n = bytes_of(&h), block = (size_t)h.n_params * sizeof(float);
	char *data = malloc(n), *p = data;
	if (!data)
		return tdm_fail(err, TDM_ENOMEM, "no memory to write %s", path);
	const struct {
		const void *data;
		size_t n;
	} parts[] = {{&h, sizeof(h)}, {c->params, block}, {c->m, block}, {c->v, block}, {c->curve->data, c->curve->len}};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (parts[i].n) {
			memcpy(p, parts[i].data, parts[i].n);
			p += parts[i].n;
		}
	tdm_sha256(data, (size_t)(p - data), (uint8_t *)p);
	int status = tdm_file_write(path, data, n, err);
	free(data);
	return status;
}

static int check(const struct tdm_checkpoint *c, const struct tdm_mapping *file, const struct tdm_shape *shape,
                 struct header *h, const char *path, struct tdm_error *err) {
	uint8_t hash[TDM_SHA256_BYTES];
	if (file->n < sizeof(*h) + TDM_SHA256_BYTES || memcmp(file->data, MAGIC, sizeof(MAGIC)))
		return tdm_fail(err, TDM_EFORMAT, "%s: not a checkpoint of this program", path);
	memcpy(h, file->data, sizeof(*h));
	if (memcmp(&h->shape, shape, sizeof(*shape)) || h->n_params != c->n_params)
		return tdm_fail(err, TDM_EFORMAT, "%s: checkpoint of another shape (width %d, %d layers, vocabulary %d)", path,
		                h->shape.width, h->shape.n_layers, h->shape.n_vocab);
	if (h->curve_bytes > file->n || bytes_of(h) != file->n)
		return tdm_fail(err, TDM_EFORMAT, "%s: checkpoint has %zu bytes, expected %zu", path, file->n, bytes_of(h));
	size_t n = file->n - TDM_SHA256_BYTES;
	tdm_sha256(file->data, n, hash);
	if (memcmp(hash, (const char *)file->data + n, sizeof(hash)))
		return tdm_fail(err, TDM_EFORMAT, "%s: checkpoint is damaged (hash differs)", path);
	return TDM_OK;
}

int tdm_checkpoint_read(struct tdm_checkpoint *c, const struct tdm_shape *shape, const char *path,
                        struct tdm_error *err) {
	struct tdm_mapping file;
	struct header h;
	int status = tdm_map_open(path, &file, err);
	if (status)
		return status;
	status = check(c, &file, shape, &h, path, err);
	if (!status) {
		size_t block = (size_t)h.n_params * sizeof(float);
		const char *p = (const char *)file.data + sizeof(h);
		memcpy(c->params, p, block);
		memcpy(c->m, p + block, block);
		memcpy(c->v, p + 2 * block, block);
		tdm_bytes_clear(c->curve);
		tdm_bytes_add(c->curve, p + 3 * block, (size_t)h.curve_bytes);
		c->at = h.at;
	}
	tdm_map_close(&file);
	return status;
}
