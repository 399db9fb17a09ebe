// Sampler. Top-k and top-p never sort: both descend through the bits of the values, one histogram per 8 bits, to the
// smallest value that is kept, in a few passes over the vocabulary and without memory of their own. Equal values are
// kept from the lowest token id on, so that the result does not depend on the order of any sort.
#include "engine/sampler.h"
#include "engine/kernels.h"
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { BLOCK = 512, LANES = 16 };

// Bits of a float as a number that grows with the float; -0 equals 0, and not-a-number counts as the least value.
static uint32_t order_of(float x) {
	if (isnan(x))
		return 0;
	uint32_t bits;
	x += 0.0f; // -0 becomes 0
	memcpy(&bits, &x, sizeof bits);
	return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

// The values that are kept: all above `least`, and the first `n_least` of those equal to it.
struct cut {
	uint32_t least;
	double n_least;
};

// Finds how far down the kept values reach. Each value weighs 1 (by_value false) or itself; values are taken from the
// largest on until they weigh `enough`.
static struct cut find_cut(const float *x, int n, bool by_value, double enough) {
	uint32_t prefix = 0, mask = 0;
	double taken = 0;
	for (int shift = 24; shift >= 0; shift -= 8) {
		double weight[256] = {0};
		for (int i = 0; i < n; i++) {
			uint32_t order = order_of(x[i]);
			if ((order & mask) == prefix)
				weight[order >> shift & 255] += by_value ? (double)x[i] : 1;
		}
		int bin = 255, last = 255;
		for (; bin >= 0; bin--) {
			if (weight[bin] > 0)
				last = bin;
			if (weight[bin] > 0 && taken + weight[bin] >= enough)
				break;
			taken += weight[bin];
		}
		if (bin < 0) { // rounding, or less than enough in all: keep everything
			taken -= weight[last];
			bin = last;
		}
		prefix |= (uint32_t)bin << shift;
		mask |= 255u << shift;
	}
	float least = 0;
	uint32_t bits = prefix & 0x80000000u ? prefix & 0x7FFFFFFFu : ~prefix;
	memcpy(&least, &bits, sizeof least);
	return (struct cut){prefix, ceil((enough - taken) / (by_value ? (double)least : 1))};
}

static void apply_cut(float *x, int n, const struct cut *cut, float gone) {
	double left = cut->n_least;
	for (int i = 0; i < n; i++) {
		uint32_t order = order_of(x[i]);
		bool keep = order > cut->least || (order == cut->least && left-- >= 1);
		if (!keep)
			x[i] = gone;
	}
}

// A token that was penalised differs from its logit already, so that one seen twice is penalised once.
static void penalise(const struct tdm_sampling *s, const float *logits, int n, const int32_t *recent, int n_recent,
                     float *x) {
	if (s->repeat_penalty == 1 || s->repeat_penalty <= 0)
		return;
	int window = n_recent < s->repeat_window ? n_recent : s->repeat_window;
	for (int i = n_recent - window; i < n_recent; i++) {
		int32_t t = recent[i];
		if (t >= 0 && t < n && x[t] == logits[t])
			x[t] = logits[t] > 0 ? logits[t] / s->repeat_penalty : logits[t] * s->repeat_penalty;
	}
}

static void point_mass(float *probs, int n, int32_t at) {
	memset(probs, 0, (size_t)n * sizeof *probs);
	if (n > 0)
		probs[at] = 1;
}

static void normalise(float *probs, int n) {
	double sum = 0;
	for (int i = 0; i < n; i++)
		sum += probs[i];
	for (int i = 0; i < n; i++)
		probs[i] = (float)(probs[i] / sum);
}

static void softmax(float *x, int n, float temperature, float largest) {
	for (int i = 0; i < n; i++)
		x[i] = x[i] > -INFINITY ? expf((x[i] - largest) / temperature) : 0;
	normalise(x, n);
}

void tdm_sampling_probs(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                        int n_recent, float *probs) {
	memcpy(probs, logits, (size_t)n_vocab * sizeof *probs);
	penalise(s, logits, n_vocab, recent, n_recent, probs);
	int32_t best = tdm_argmax(probs, n_vocab);
	if (s->temperature <= 0 || n_vocab < 1 || !isfinite(probs[best])) {
		point_mass(probs, n_vocab, best);
		return;
	}
	float largest = probs[best];
	if (s->top_k > 0 && s->top_k < n_vocab) {
		struct cut cut = find_cut(probs, n_vocab, false, s->top_k);
		apply_cut(probs, n_vocab, &cut, -INFINITY);
	}
	softmax(probs, n_vocab, s->temperature, largest);
	if (s->top_p < 1) {
		struct cut cut = find_cut(probs, n_vocab, true, s->top_p > 0 ? (double)s->top_p : 0);
		cut.n_least = cut.n_least < 1 ? 1 : cut.n_least;
		apply_cut(probs, n_vocab, &cut, 0);
	}
	if (s->min_p > 0) {
		float least = s->min_p < 1 ? s->min_p * probs[best] : probs[best];
		for (int i = 0; i < n_vocab; i++)
			probs[i] = probs[i] >= least ? probs[i] : 0;
	}
	if (s->top_p < 1 || s->min_p > 0)
		normalise(probs, n_vocab);
}

int32_t tdm_sample(const float *probs, int n, double at) {
	double left = at;
	int32_t last = 0;
	for (int32_t i = 0; i < n; i++) {
		if (!(probs[i] > 0))
			continue;
		last = i;
		left -= probs[i];
		if (left < 0)
			break;
	}
	return last;
}

static int32_t argmax_from(const float *x, int from, int n, int32_t best) {
	for (int32_t i = from; i < n; i++)
		if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i])))
			best = i;
	return best;
}

// The largest of a block, lane by lane so that it takes vectors; -INFINITY when there is nothing else but NAN.
static float block_largest(const float *x) {
	float lanes[LANES], largest = -INFINITY;
	for (int k = 0; k < LANES; k++)
		lanes[k] = -INFINITY;
	for (int i = 0; i < BLOCK; i += LANES)
		for (int k = 0; k < LANES; k++)
			lanes[k] = x[i + k] > lanes[k] ? x[i + k] : lanes[k];
	for (int k = 0; k < LANES; k++)
		largest = lanes[k] > largest ? lanes[k] : largest;
	return largest;
}

// Most blocks hold nothing larger than what was found before: only the others are looked at element by element.
int32_t tdm_argmax(const float *x, int n) {
	int32_t best = 0;
	int at = 0;
	for (; at + BLOCK <= n; at += BLOCK)
		if (isnan(x[best]) || block_largest(x + at) > x[best])
			best = argmax_from(x, at, at + BLOCK, best);
	return argmax_from(x, at, n, best);
}

double tdm_exp_sum(const float *logits, int n, float top) {
	const struct tdm_kernels *kernels;
	tdm_kernels_find(NULL, &kernels, NULL); // the portable ones run anywhere
	return kernels->exp_sum(logits, n, top);
}

float tdm_log_softmax_at(const float *logits, int n, int32_t token) {
	float largest = logits[tdm_argmax(logits, n)];
	return (float)((double)logits[token] - largest - log(tdm_exp_sum(logits, n, largest)));
}
