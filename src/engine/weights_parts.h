// Inside of the reading of weights: what its files share. shape.c reads the metadata, positions.c the rotations,
// weights.c the tensors.
#pragma once
#include "engine/weights.h"

enum { TDM_MAX_DIMENSION = 1 << 22, TDM_MAX_HEAD_DIM = 1024, TDM_MAX_CONTEXT = 1 << 24 };

struct tdm_reader {
	struct tdm_weights *w;
	const struct tdm_gguf *g;
	const char *file;
	int context;   // longest sequence that is asked for; 0: the metadata's
	bool *is_used; // one for each tensor of the file
	struct tdm_pool *pool;
	struct tdm_error *err;
};
#define TDM_MISFIT(r, ...) tdm_fail((r)->err, TDM_EFORMAT, __VA_ARGS__)

enum { TDM_KEY_BYTES = 96 };
// "ARCHITECTURE.part"
const char *tdm_reader_key(const struct tdm_reader *r, const char *part, char out[TDM_KEY_BYTES]);
// otherwise: where the key is absent; 0: it must be there. An error where the value is not between 1 and limit.
int tdm_reader_count(struct tdm_reader *r, const char *part, uint64_t otherwise, uint64_t limit, int *out);
// Sets *out where the key is there; an error where its value is not between low and high.
int tdm_reader_number(struct tdm_reader *r, const char *part, double low, double high, double *out);
// rows 0: a vector. NULL and an error when it is missing or has another shape.
const struct tdm_tensor *tdm_reader_tensor(struct tdm_reader *r, const char *name, int rows, int cols);

// "ARCHITECTURE.classifier.output_labels"
#define TDM_LABELS_KEY "classifier.output_labels"
int tdm_shape_read(struct tdm_reader *r);
int tdm_positions_read(struct tdm_reader *r); // after the shape
