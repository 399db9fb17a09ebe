// Rows: the loops of training that are not matrix products, as one table of functions per instruction set.
//
// The rule it protects: every table computes the same numbers. rows.inc is written once over vectors of 16 floats and
// compiled for each instruction set (rows.c, rows_avx2.c, rows_avx512.c); lanes, order of sums and roundings are fixed
// by the source, only the width of the machine's registers differs. To add a loop: a row here and a function there.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct tdm_adamw_rates {
	float lr, beta1, beta2, eps, decay;
	float correct1, correct2; // 1 / (1 - beta^step)
	float clip;               // factor on the gradient
};

struct tdm_rows {
	const char *name;
	// out[n, width] = x / rms(x) * weight; inv_rms[n] is kept for the way back
	void (*norm_forward)(float *out, float *inv_rms, const float *x, const float *weight, int n, int width, float eps);
	// adds to dx[n, width] and dweight[width]
	void (*norm_backward)(float *dx, float *dweight, const float *dout, const float *x, const float *weight,
	                      const float *inv_rms, int n, int width);
	// Turns the pairs (x[2i], x[2i+1]) of n_heads heads by the angles of one position; cosine and sine are
	// [head_width], each angle twice, sine with the sign of its place (-, +). back: the other way round.
	void (*rotate)(float *x, const float *cosine, const float *sine, int n_heads, int head_width, int back);
	// out[n, ff] = silu(gate) * up, gate_up[n, 2 ff] = gates then ups
	void (*swiglu_forward)(float *out, const float *gate_up, int n, int ff);
	void (*swiglu_backward)(float *dgate_up, const float *dout, const float *gate_up, int n, int ff);
	// x[0..n) = softmax(scale * x), x[n..n_all) = 0
	void (*softmax)(float *x, int n, int n_all, float scale);
	// dx[0..n) = scale * p * (dx - sum(p dx)), dx[n..n_all) = 0
	void (*softmax_backward)(float *dx, const float *p, int n, int n_all, float scale);
	// log(sum(exp(scale * x)))
	float (*log_sum)(const float *x, int n, float scale);
	// out = exp(scale * x - shift)
	void (*exp)(float *out, const float *x, int n, float scale, float shift);
	// teacher = softmax(scale * x) - softmax(scale * teacher), given both log_sums; returns KL(teacher || x)
	float (*divergence)(float *teacher, const float *x, int n, float scale, float teacher_sum, float x_sum);
	void (*mix)(float *y, const float *x, size_t n, float a, float b); // y = a y + b x
	void (*add)(float *y, const float *x, size_t n);
	double (*square_sum)(const float *x, size_t n);
	void (*adamw)(float *params, float *m, float *v, const float *gradient, size_t n, const struct tdm_adamw_rates *r);
};

const struct tdm_rows *tdm_rows(void);                   // the best table of this machine
const struct tdm_rows *tdm_rows_named(const char *name); // "portable", "avx2", "avx512"; NULL where it cannot run
extern const struct tdm_rows tdm_rows_avx2, tdm_rows_avx512;
