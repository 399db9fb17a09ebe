// Encoder: models of the BERT family, which read a text as a whole: every token sees every other one.
#pragma once
#include "engine/decoder.h"

// out: the text's vector of width numbers, pooled as the metadata says; with_classes: n_classes logits of the head that
// the file then has. 1 <= n <= the shape's context; nothing else may run on d.
// stop as in tdm_decoder_run, and once more after the last layer. TDM_OK, TDM_EGONE (stop said yes) or TDM_ENOMEM.
int tdm_encoder_run(struct tdm_decoder *d, struct tdm_cache *cache, const int32_t *tokens, int n, bool with_classes,
                    bool (*stop)(void *), void *arg, float *out);
