// Loss: what training makes small, and its gradient with respect to the logits.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tdm_loss {
	double alpha;       // share of the teacher: 0 = next token only, 1 = teacher only
	double temperature; // of both distributions in the teacher's part
	double scale;       // factor on the gradient, usually 1 / (sum of the weights of the step)
};

// logits[n, n_vocab] becomes the gradient. teacher[n, n_vocab]: logits of the teacher, NULL when alpha is 0; destroyed.
// Returns sum over rows of weight * ((1 - alpha) * -log p(target) + alpha * T^2 * KL(teacher_T || model_T)), natural
// logarithms (Hinton et al. 2015, section 2: T^2 keeps the two parts' gradients in proportion).
double tdm_loss_backward(const struct tdm_loss *loss, float *logits, float *teacher, const int32_t *targets,
                         const float *weights, int n, int n_vocab);
// The same value without the gradient, for the next-token part alone; right[i] (may be NULL) = whether the largest
// logit of row i is its target, ties to the lowest token.
double tdm_loss_next_token(const float *logits, const int32_t *targets, const float *weights, int n, int n_vocab,
                           uint8_t *right);
