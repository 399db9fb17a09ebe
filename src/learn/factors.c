#include "learn/factors.h"
#include "base/random.h"
#include "base/status.h"
#include "learn/rows.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 };
#define DECAY 1e-5f

static float *tables(const struct tdm_factors *f) {
	return f->params + (size_t)f->rank * (size_t)f->inputs;
}

static float *join(const struct tdm_factors *f) {
	return tables(f) + (size_t)f->rank * (size_t)f->n_models;
}

double tdm_factors_gradient(const struct tdm_factors *f, const struct tdm_factors_pair *pair, float *hidden,
                            float *gradient) {
	const float *a = tables(f) + pair->better * f->rank, *b = tables(f) + pair->worse * f->rank, *j = join(f);
	size_t to_tables = (size_t)(tables(f) - f->params), to_join = (size_t)(join(f) - f->params);
	float *da = gradient + to_tables + pair->better * f->rank, *db = gradient + to_tables + pair->worse * f->rank;
	double z = 0;
	for (int k = 0; k < f->rank; k++) {
		const float *row = f->params + (size_t)k * (size_t)f->inputs;
		float sum = 0;
		for (int i = 0; i < f->inputs; i++)
			sum += row[i] * pair->x[i];
		hidden[k] = sum;
		z += (double)(j[k] * (a[k] - b[k]) * sum);
	}
	float off = (float)(-1 / (1 + exp(z)));
	for (int k = 0; k < f->rank; k++) {
		float *row = gradient + (size_t)k * (size_t)f->inputs, along = off * j[k] * (a[k] - b[k]);
		da[k] += off * j[k] * hidden[k];
		db[k] -= off * j[k] * hidden[k];
		gradient[to_join + (size_t)k] += off * (a[k] - b[k]) * hidden[k];
		for (int i = 0; i < f->inputs; i++)
			row[i] += along * pair->x[i];
	}
	return z > 0 ? log1p(exp(-z)) : -z + log1p(exp(z));
}

static void to_length_one(const struct tdm_factors *f) {
	for (int m = 0; m < f->n_models; m++) {
		float *row = tables(f) + m * f->rank;
		double sum = 1e-12;
		for (int k = 0; k < f->rank; k++)
			sum += (double)(row[k] * row[k]);
		for (int k = 0; k < f->rank; k++)
			row[k] = (float)((double)row[k] / sqrt(sum));
	}
}

static void start(struct tdm_factors *f, struct tdm_rng *rng) {
	size_t n = tdm_factors_n(f), projection = (size_t)f->rank * (size_t)f->inputs;
	for (size_t i = 0; i < n; i++)
		f->params[i] =
		    (float)(tdm_rng_normal(rng) / (i < projection ? sqrt((double)f->inputs) : sqrt((double)f->rank)));
	to_length_one(f);
}

static void shuffle(struct tdm_factors_pair *pairs, size_t n, struct tdm_rng *rng) {
	for (size_t i = n; i > 1; i--) {
		size_t k = (size_t)tdm_rng_below(rng, i);
		struct tdm_factors_pair held = pairs[i - 1];
		pairs[i - 1] = pairs[k];
		pairs[k] = held;
	}
}

int tdm_factors_fit(struct tdm_factors *f, struct tdm_factors_pair *pairs, size_t n, int epochs, double rate,
                    uint64_t seed) {
	size_t n_params = tdm_factors_n(f);
	struct tdm_rng rng;
	float *room = calloc(3 * n_params + (size_t)f->rank, sizeof *room);
	if (!room)
		return TDM_ENOMEM;
	float *m = room + n_params, *v = m + n_params, *hidden = v + n_params;
	struct tdm_adamw_rates r = {.lr = (float)rate, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .decay = DECAY};
	double power1 = 1, power2 = 1;
	tdm_rng_stream(&rng, seed, "factors", 0);
	start(f, &rng);
	for (int epoch = 0; epoch < epochs; epoch++) {
		shuffle(pairs, n, &rng);
		for (size_t from = 0; from < n; from += BATCH) {
			size_t to = from + BATCH < n ? from + BATCH : n;
			memset(room, 0, n_params * sizeof *room);
			for (size_t i = from; i < to; i++)
				tdm_factors_gradient(f, &pairs[i], hidden, room);
			r.correct1 = (float)(1 / (1 - (power1 *= 0.9)));
			r.correct2 = (float)(1 / (1 - (power2 *= 0.999)));
			r.clip = 1 / (float)(to - from);
			tdm_rows()->adamw(f->params, m, v, room, n_params, &r);
			to_length_one(f);
		}
	}
	free(room);
	return TDM_OK;
}
