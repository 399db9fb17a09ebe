// Comparison with llama.cpp: what an engine says about every token of a text, after every layer. Three of them fill it:
// this one (ours.c), llama.cpp (theirs.c), and plain sums in double precision over the same weights (exact.c), which
// tell the rounding of the two apart.
#pragma once
#include "base/status.h"
#include "engine/batch.h"

struct tdm_said {
	int n, n_vocab, width, n_layers, n_classes;
	float *logits; // [n][n_vocab]; of a decoder
	float *layers; // [n_layers][n][width]: the rows after each layer
	float *text;   // [width + n_classes]: of an encoder, the text's vector, and then the logits of its classes
};
// Room for what an engine of this shape says; false: no memory, and there is nothing to release.
bool tdm_said_init(struct tdm_said *s, const struct tdm_shape *shape, int n);
void tdm_said_release(struct tdm_said *s);
static inline float *tdm_said_layer(const struct tdm_said *s, int layer, int token) {
	return s->layers + ((size_t)layer * (size_t)s->n + (size_t)token) * (size_t)s->width;
}

// Each fills s, which was made for the file's shape and n tokens.
int tdm_ours_read(struct tdm_engine *e, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err);
int tdm_exact_read(const struct tdm_weights *w, const int32_t *tokens, struct tdm_said *s, struct tdm_error *err);
int tdm_theirs_read(const char *path, const struct tdm_shape *shape, const int32_t *tokens, struct tdm_said *s,
                    struct tdm_error *err);
int tdm_theirs_init(const char *folder, struct tdm_error *err); // of llama.cpp's libraries; once, before
