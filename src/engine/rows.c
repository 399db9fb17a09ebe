// Rows: with s(z) = 1 / (1 + e^-z), the kernels' gate computes z s(z) u; tanh and GELU are that with another u.
// Loops of constant length inside, so that the compiler makes vectors of them.
#include "engine/rows.h"
#include <math.h>

void tdm_rows_scale(float *x, float factor, int n) {
	for (int i = 0; i < n; i++)
		x[i] *= factor;
}

// tanh(y) = 2 s(2 y) - 1
void tdm_rows_cap(const struct tdm_kernels *kernels, float *x, float cap, int n) {
	for (int i = 0; i < n; i += TDM_LANES, x += TDM_LANES) {
		float z[TDM_LANES], u[TDM_LANES];
		for (int j = 0; j < TDM_LANES; j++) {
			z[j] = x[j] / cap * 2;
			z[j] = z[j] == 0 ? 1e-30f : z[j];
			u[j] = 2 / z[j];
		}
		kernels->gate(z, u, TDM_LANES);
		for (int j = 0; j < TDM_LANES; j++)
			x[j] = (z[j] - 1) * cap;
	}
}

// gelu(x) = x / 2 * (1 + tanh y) = x s(2 y) with y = sqrt(2 / pi) * (x + 0.044715 x^3)
void tdm_rows_gate_gelu(const struct tdm_kernels *kernels, float *g, float *up, int n) {
	const float twice_root = 1.5957691216f; // 2 sqrt(2 / pi)
	for (int i = 0; i < n; i += TDM_LANES)
		for (int j = i; j < i + TDM_LANES; j++) {
			float slope = twice_root * (1 + 0.044715f * g[j] * g[j]);
			g[j] *= slope;
			up[j] /= slope;
		}
	kernels->gate(g, up, n);
}

// In 16 lanes, so that the sum is exact enough and fast.
static double sum_of(const float *x, int n, float minus, bool is_square) {
	float lanes[TDM_LANES] = {0};
	double total = 0;
	for (int i = 0; i < n; i++) {
		float d = x[i] - minus;
		lanes[i % TDM_LANES] += is_square ? d * d : d;
	}
	for (int i = 0; i < TDM_LANES; i++)
		total += (double)lanes[i];
	return total;
}

void tdm_rows_layer_norm(float *x, const float *weight, const float *bias, int n, float epsilon) {
	float mean = (float)(sum_of(x, n, 0, false) / n);
	float factor = 1 / sqrtf((float)(sum_of(x, n, mean, true) / n) + epsilon);
	for (int i = 0; i < n; i++)
		x[i] = (x[i] - mean) * factor * weight[i] + bias[i];
}
