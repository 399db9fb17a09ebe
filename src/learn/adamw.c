// AdamW: the schedule, and the walk over tensors that gives matrices their decay (see adamw.h; the loop is in
// rows.inc).
#include "learn/adamw.h"
#include <math.h>

double tdm_adamw_lr(const struct tdm_adamw *o, int64_t step) {
	if (step < o->warmup)
		return o->lr * (double)step / (double)o->warmup;
	if (step >= o->steps)
		return o->min_lr;
	double done = (double)(step - o->warmup) / (double)(o->steps - o->warmup);
	return o->min_lr + (o->lr - o->min_lr) * 0.5 * (1 + cos(done * acos(-1)));
}

struct tdm_adamw_rates tdm_adamw_rates_at(const struct tdm_adamw *o, double norm, int64_t step) {
	return (struct tdm_adamw_rates){
	    .lr = (float)tdm_adamw_lr(o, step),
	    .beta1 = (float)o->beta1,
	    .beta2 = (float)o->beta2,
	    .eps = (float)o->eps,
	    .correct1 = (float)(1 / (1 - pow(o->beta1, (double)step))),
	    .correct2 = (float)(1 / (1 - pow(o->beta2, (double)step))),
	    .clip = o->clip > 0 && norm > o->clip ? (float)(o->clip / norm) : 1.0f,
	};
}

void tdm_adamw_step(const struct tdm_adamw *o, const struct tdm_shape *shape, float *params, float *m, float *v,
                    const float *gradient, size_t first, size_t last, double norm, int64_t step) {
	struct tdm_adamw_rates r = tdm_adamw_rates_at(o, norm, step);
	for (size_t i = 0; i < tdm_shape_n_tensors(shape); i++) {
		struct tdm_net_tensor t;
		tdm_shape_tensor(shape, i, &t);
		size_t from = t.offset > first ? t.offset : first, to = t.offset + t.n < last ? t.offset + t.n : last;
		r.decay = t.n_dims == 2 ? (float)o->decay : 0;
		if (from < to)
			tdm_rows()->adamw(params + from, m + from, v + from, gradient + from, to - from, &r);
	}
}
