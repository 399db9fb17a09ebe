// Layers: what a transformer is made of, each layer forward and backward, with the same order of arguments.
//
// Backward takes the gradient of the loss with respect to the output (dout) and gives the gradients of the inputs (dx,
// overwritten unless said otherwise) and of the weights (dw, always added to). Checked against finite differences in
// tests/unit/learn. Shapes are in brackets; n counts tokens of all documents laid end to end, without padding.
#pragma once
#include "learn/gemm.h"
#include "learn/net.h"
#include "learn/rows.h"

// Where documents lie in a list of tokens, and which of the tokens ask (query). In every layer but the last all tokens
// do; in the last only those whose prediction is wanted.
struct tdm_spans {
	int n_docs;
	const int32_t *keys;    // [n_docs + 1]: document d owns the tokens keys[d] .. keys[d+1]-1
	const int32_t *queries; // [n_docs + 1]: and the queries queries[d] .. queries[d+1]-1
	const int32_t
	    *positions; // [queries]: place of each query in its own document, from 0; it sees the keys up to itself
};

// Cosine and sine of every position: [context, head_width] each, as rows.h wants them.
struct tdm_rotation {
	float *cosine, *sine;
};
int tdm_rotation_init(struct tdm_rotation *r, const struct tdm_shape *shape, struct tdm_error *err);
void tdm_rotation_release(struct tdm_rotation *r);
// In place: x[n, row_width], the first n_heads heads of each row are turned to their positions.
void tdm_rotate_forward(float *x, const struct tdm_rotation *r, const int32_t *positions, int n, int row_width,
                        int n_heads, int head_width);
void tdm_rotate_backward(float *dx, const struct tdm_rotation *r, const int32_t *positions, int n, int row_width,
                         int n_heads, int head_width);

// out[n, width] = embedding[token]
void tdm_embed_forward(float *out, const int32_t *tokens, const float *embedding, int n, int width);
void tdm_embed_backward(float *dembedding, const int32_t *tokens, const float *dout, int n, int width);

// out[n, n_out] = keep * out + x[n, n_in] w[n_out, n_in]^T
void tdm_linear_forward(struct tdm_gemm_space *space, float *out, const float *x, const float *w, int n, int n_in,
                        int n_out, float keep);
// dx = keep * dx + dout w; dw += dout^T x
void tdm_linear_backward(struct tdm_gemm_space *space, float *dx, float *dw, const float *dout, const float *x,
                         const float *w, int n, int n_in, int n_out, float keep);

// out[queries, width]: every query head averages the values that its scores choose. q[queries, width]; kv[n, 2
// kv_width]. p: the softmax of the scores, [queries of d, keys of d] per document and head, tdm_attention_floats() in
// all.
void tdm_attention_forward(float *out, float *p, const float *q, const float *kv, const struct tdm_spans *spans,
                           const struct tdm_shape *shape);
// scratch: tdm_attention_scratch() floats
void tdm_attention_backward(float *dq, float *dkv, const float *dout, const float *p, const float *q, const float *kv,
                            const struct tdm_spans *spans, const struct tdm_shape *shape, float *scratch);
size_t tdm_attention_floats(const struct tdm_spans *spans, const struct tdm_shape *shape);
size_t tdm_attention_scratch(const struct tdm_spans *spans);

// out[n_rows, width] = x[rows[i]], and dx[rows[i]] += dout
void tdm_gather_forward(float *out, const float *x, const int32_t *rows, int n_rows, int width);
void tdm_gather_backward(float *dx, const float *dout, const int32_t *rows, int n_rows, int width);
