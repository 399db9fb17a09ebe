// AdamW: from gradients to new parameters (Loshchilov and Hutter 2019), with warm-up, cosine schedule and clipping.
#pragma once
#include "learn/net.h"
#include "learn/rows.h"

struct tdm_adamw {
	double lr, min_lr; // highest and last learning rate
	int64_t warmup;    // steps from 0 to lr; then half a cosine down to min_lr at `steps`
	int64_t steps;
	double decay; // of matrices only: a norm's weight has no direction to shrink in
	double clip;  // longest gradient (2-norm over all parameters); 0 = no limit
	double beta1, beta2, eps;
};

double tdm_adamw_lr(const struct tdm_adamw *o, int64_t step); // step counts from 1
// Of one step, without decay. norm: of the whole gradient.
struct tdm_adamw_rates tdm_adamw_rates_at(const struct tdm_adamw *o, double norm, int64_t step);
// Updates the parameters first..last-1 of the blocks.
void tdm_adamw_step(const struct tdm_adamw *o, const struct tdm_shape *shape, float *params, float *m, float *v,
                    const float *gradient, size_t first, size_t last, double norm, int64_t step);
