// Sampler: logits to a token. One transform, one order (raw logits, repetition penalty, temperature, top-k, top-p,
// min-p, renormalise); temperature 0 is a point mass on the largest logit, ties go to the lowest token id.
#pragma once
#include "tandem.h"

double tdm_exp_sum(const float *logits, int n, float top); // sum of e^(logit - top); top: the largest
