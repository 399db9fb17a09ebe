// Loss: next-token cross-entropy and forward KL from a teacher's full distribution (see loss.h).
#include "learn/loss.h"
#include "learn/rows.h"
#include <stdbool.h>

// x becomes factor * (softmax(x) - onehot(target)); returns -log p(target).
static double next_token_row(const struct tdm_rows *rows, float *x, int32_t target, int n_vocab, float factor) {
	float log_sum = rows->log_sum(x, n_vocab, 1);
	double loss = (double)log_sum - x[target];
	rows->exp(x, x, n_vocab, 1, log_sum);
	rows->mix(x, x, (size_t)n_vocab, factor, 0);
	x[target] -= factor;
	return loss;
}

// teacher becomes softmax(x / T) - softmax(teacher / T); returns the divergence.
static double teacher_row(const struct tdm_rows *rows, const float *x, float *teacher, int n_vocab, float inv) {
	float log_sum = rows->log_sum(x, n_vocab, inv), teacher_sum = rows->log_sum(teacher, n_vocab, inv);
	return rows->divergence(teacher, x, n_vocab, inv, teacher_sum, log_sum);
}

double tdm_loss_backward(const struct tdm_loss *loss, float *logits, float *teacher, const int32_t *targets,
                         const float *weights, int n, int n_vocab) {
	const struct tdm_rows *rows = tdm_rows();
	double total = 0, t = loss->temperature, alpha = teacher ? loss->alpha : 0;
	for (int i = 0; i < n; i++) {
		float *x = logits + (size_t)i * n_vocab, *other = teacher ? teacher + (size_t)i * n_vocab : NULL;
		double factor = loss->scale * weights[i], divergence = 0;
		if (other)
			divergence = teacher_row(rows, x, other, n_vocab, (float)(1 / t));
		double next = next_token_row(rows, x, targets[i], n_vocab, (float)((1 - alpha) * factor));
		if (other) // d(T^2 KL)/dx = T (softmax - teacher)
			rows->mix(x, other, (size_t)n_vocab, 1, (float)(alpha * t * factor));
		total += weights[i] * ((1 - alpha) * next + alpha * t * t * divergence);
	}
	return total;
}

static bool largest_is(const float *x, int32_t target, int n_vocab) {
	for (int i = 0; i < n_vocab; i++)
		if (x[i] > x[target] || (x[i] == x[target] && i < target))
			return false;
	return true;
}

double tdm_loss_next_token(const float *logits, const int32_t *targets, const float *weights, int n, int n_vocab,
                           uint8_t *right) {
	const struct tdm_rows *rows = tdm_rows();
	double total = 0;
	for (int i = 0; i < n; i++) {
		const float *x = logits + (size_t)i * n_vocab;
		total += weights[i] * ((double)rows->log_sum(x, n_vocab, 1) - x[targets[i]]);
		if (right)
			right[i] = largest_is(x, targets[i], n_vocab);
	}
	return total;
}
