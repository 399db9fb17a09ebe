// Gradients: what the layers' backward functions give, against central differences of their forward functions.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/random.h"
#include "learn/loss.h"
#include "learn/pass.h"
#include "tests.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

// A scalar function of some blocks of floats. The test perturbs every float of every block.
struct probe {
	double (*value)(const struct probe *p);
	void *context;
	float step;
};

static void fill(struct tdm_rng *rng, float *x, size_t n, double spread) {
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(tdm_rng_normal(rng) * spread);
}

// sum(out * by): its gradient with respect to out is `by`.
static double weigh(const float *out, const float *by, size_t n) {
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += (double)out[i] * by[i];
	return sum;
}

static double difference(const struct probe *p, float *x, float step) {
	float old = *x, up = old + step, down = old - step;
	*x = up;
	double above = p->value(p);
	*x = down;
	double below = p->value(p);
	*x = old;
	return (above - below) / ((double)up - (double)down);
}

// Central differences at two steps, combined so that their errors of third order cancel (Richardson): the steps can be
// large, and float noise in the value stays small. The error is that of a whole tensor: |analytic - numeric| /
// |numeric|.
static void check(const struct probe *p, const char *name, float *x, const float *analytic, size_t n, size_t stride,
                  double tolerance) {
	double error = 0, length = 1e-12;
	for (size_t i = 0; i < n; i += stride) {
		double numeric = (4 * difference(p, x + i, p->step) - difference(p, x + i, 2 * p->step)) / 3;
		error += (numeric - analytic[i]) * (numeric - analytic[i]);
		length += numeric * numeric;
	}
	double relative = sqrt(error / length);
	if (relative > tolerance)
		fail_msg("gradient of %s is off by %.2g of its length", name, relative);
}

enum { N = 5, IN = 20, OUT = 12, FF = 18 };

struct linear {
	float x[N * IN], w[OUT * IN], out[N * OUT], by[N * OUT];
};

static double linear_value(const struct probe *p) {
	struct linear *l = p->context;
	tdm_linear_forward(NULL, l->out, l->x, l->w, N, IN, OUT, 0);
	return weigh(l->out, l->by, N * OUT);
}

static void linear(void **state) {
	struct linear l;
	struct tdm_rng rng;
	float dx[N * IN], dw[OUT * IN] = {0};
	tdm_rng_init(&rng, 1);
	fill(&rng, l.x, N * IN, 1);
	fill(&rng, l.w, OUT * IN, 1);
	fill(&rng, l.by, N * OUT, 1);
	tdm_linear_backward(NULL, dx, dw, l.by, l.x, l.w, N, IN, OUT, 0);
	struct probe p = {linear_value, &l, 1e-2f};
	check(&p, "x", l.x, dx, N * IN, 1, 1e-4);
	check(&p, "w", l.w, dw, OUT * IN, 1, 1e-4);
}

struct norm {
	float x[N * IN], w[IN], out[N * IN], inv[N], by[N * IN];
};

static double norm_value(const struct probe *p) {
	struct norm *l = p->context;
	tdm_rows()->norm_forward(l->out, l->inv, l->x, l->w, N, IN, 1e-5f);
	return weigh(l->out, l->by, N * IN);
}

static void norm(void **state) {
	struct norm l;
	struct tdm_rng rng;
	float dx[N * IN] = {0}, dw[IN] = {0};
	tdm_rng_init(&rng, 2);
	fill(&rng, l.x, N * IN, 1);
	fill(&rng, l.w, IN, 1);
	fill(&rng, l.by, N * IN, 1);
	struct probe p = {norm_value, &l, 1e-2f};
	norm_value(&p);
	tdm_rows()->norm_backward(dx, dw, l.by, l.x, l.w, l.inv, N, IN);
	check(&p, "x", l.x, dx, N * IN, 1, 1e-4);
	check(&p, "weight", l.w, dw, IN, 1, 1e-4);
}

struct swiglu {
	float gate_up[N * 2 * FF], out[N * FF], by[N * FF];
};

static double swiglu_value(const struct probe *p) {
	struct swiglu *l = p->context;
	tdm_rows()->swiglu_forward(l->out, l->gate_up, N, FF);
	return weigh(l->out, l->by, N * FF);
}

static void swiglu(void **state) {
	struct swiglu l;
	struct tdm_rng rng;
	float dx[N * 2 * FF];
	tdm_rng_init(&rng, 3);
	fill(&rng, l.gate_up, N * 2 * FF, 1);
	fill(&rng, l.by, N * FF, 1);
	tdm_rows()->swiglu_backward(dx, l.by, l.gate_up, N, FF);
	struct probe p = {swiglu_value, &l, 1e-2f};
	check(&p, "gate_up", l.gate_up, dx, N * 2 * FF, 1, 1e-4);
}

// Two documents of 4 and 3 tokens; of the second only the last two tokens ask.
static const int32_t KEYS[] = {0, 4, 7}, QUERIES[] = {0, 4, 6}, POSITIONS[] = {0, 1, 2, 3, 1, 2};
static const struct tdm_spans SPANS = {.n_docs = 2, .keys = KEYS, .queries = QUERIES, .positions = POSITIONS};
static const struct tdm_shape HEADS = {.width = 24, .n_heads = 4, .n_kv_heads = 2, .context = 8, .rope_base = 100};
enum { WIDTH = 24, KV = 24, N_KEYS = 7, N_QUERIES = 6, SCORES = 4 * (4 * 4 + 2 * 3) };

struct attention {
	float q[N_QUERIES * WIDTH], kv[N_KEYS * KV], out[N_QUERIES * WIDTH], p[SCORES], by[N_QUERIES * WIDTH];
};

static double attention_value(const struct probe *p) {
	struct attention *l = p->context;
	tdm_attention_forward(l->out, l->p, l->q, l->kv, &SPANS, &HEADS);
	return weigh(l->out, l->by, N_QUERIES * WIDTH);
}

static void attention(void **state) {
	struct attention l;
	struct tdm_rng rng;
	float dq[N_QUERIES * WIDTH], dkv[N_KEYS * KV], scratch[16];
	tdm_rng_init(&rng, 4);
	fill(&rng, l.q, N_QUERIES * WIDTH, 1);
	fill(&rng, l.kv, N_KEYS * KV, 1);
	fill(&rng, l.by, N_QUERIES * WIDTH, 1);
	assert_int_equal(tdm_attention_floats(&SPANS, &HEADS), SCORES);
	assert_int_equal(tdm_attention_scratch(&SPANS), 16);
	struct probe p = {attention_value, &l, 1e-2f};
	attention_value(&p);
	tdm_attention_backward(dq, dkv, l.by, l.p, l.q, l.kv, &SPANS, &HEADS, scratch);
	check(&p, "q", l.q, dq, N_QUERIES * WIDTH, 1, 1e-4);
	check(&p, "kv", l.kv, dkv, N_KEYS * KV, 1, 1e-4);
}

static void rotation(void **state) {
	struct tdm_rotation r;
	struct tdm_rng rng;
	float x[N_QUERIES * WIDTH], y[N_QUERIES * WIDTH];
	tdm_rng_init(&rng, 5);
	fill(&rng, x, N_QUERIES * WIDTH, 1);
	memcpy(y, x, sizeof(y));
	assert_int_equal(tdm_rotation_init(&r, &HEADS, NULL), 0);
	tdm_rotate_forward(y, &r, POSITIONS, N_QUERIES, WIDTH, 4, 6);
	// head 1 of row 2, pair 1: angle = 2 * 100^(-2/6)
	double angle = 2 * pow(100, -2.0 / 6);
	const float *a = x + 2 * WIDTH + 6 + 2, *b = y + 2 * WIDTH + 6 + 2;
	assert_float_equal(b[0], a[0] * cos(angle) - a[1] * sin(angle), 1e-6);
	assert_float_equal(b[1], a[0] * sin(angle) + a[1] * cos(angle), 1e-6);
	// A rotation keeps lengths, so its gradient is the way back.
	tdm_rotate_backward(y, &r, POSITIONS, N_QUERIES, WIDTH, 4, 6);
	for (int i = 0; i < N_QUERIES * WIDTH; i++)
		assert_float_equal(y[i], x[i], 1e-5);
	tdm_rotation_release(&r);
}

enum { VOCAB = 33, ROWS = 3 };

struct loss {
	struct tdm_loss how;
	float logits[ROWS * VOCAB], teacher[ROWS * VOCAB];
	bool taught;
};

static const int32_t TARGETS[ROWS] = {4, 32, 0};
static const float WEIGHTS[ROWS] = {1, 0.5f, 2};

static double loss_of(struct loss *l, float *gradient) {
	float teacher[ROWS * VOCAB];
	memcpy(gradient, l->logits, sizeof(l->logits));
	memcpy(teacher, l->teacher, sizeof(teacher));
	return tdm_loss_backward(&l->how, gradient, l->taught ? teacher : NULL, TARGETS, WEIGHTS, ROWS, VOCAB);
}

static double loss_value(const struct probe *p) {
	float gradient[ROWS * VOCAB];
	return loss_of(p->context, gradient);
}

static void losses(void **state) {
	struct loss l = {.how = {.alpha = 0.7, .temperature = 2.5, .scale = 1}};
	struct tdm_rng rng;
	float gradient[ROWS * VOCAB];
	tdm_rng_init(&rng, 6);
	fill(&rng, l.logits, ROWS * VOCAB, 2);
	fill(&rng, l.teacher, ROWS * VOCAB, 2);
	struct probe p = {loss_value, &l, 2e-2f};
	for (int taught = 0; taught < 2; taught++) {
		l.taught = taught;
		loss_of(&l, gradient);
		check(&p, taught ? "teacher's loss" : "next token's loss", l.logits, gradient, ROWS * VOCAB, 1, 5e-4);
	}
	memcpy(l.teacher, l.logits, sizeof(l.teacher));
	l.how.alpha = 1;
	assert_float_equal(loss_of(&l, gradient), 0, 1e-6);
	for (int i = 0; i < ROWS * VOCAB; i++)
		assert_float_equal(gradient[i], 0, 1e-7);
}

// --- the whole net

struct whole {
	struct tdm_net net;
	struct tdm_pass pass;
	struct tdm_batch batch;
};

static const struct tdm_shape SMALL = {.n_vocab = 29,
                                       .width = 24,
                                       .n_layers = 2,
                                       .n_heads = 4,
                                       .n_kv_heads = 2,
                                       .n_ff = 20,
                                       .context = 16,
                                       .norm_eps = 1e-5f,
                                       .rope_base = 100};

static double whole_value(const struct probe *p) {
	struct whole *w = p->context;
	assert_int_equal(tdm_pass_forward(&w->pass, &w->batch, NULL), 0);
	const struct tdm_batch *b = &w->batch;
	return tdm_loss_next_token(w->pass.logits, b->targets, b->weights, b->n_rows, SMALL.n_vocab, NULL);
}

static void add_random(struct tdm_rng *rng, struct tdm_batch *b, int n, int first_weighted) {
	int32_t tokens[16];
	float weights[16];
	for (int i = 0; i < n; i++) {
		tokens[i] = (int32_t)tdm_rng_below(rng, (uint64_t)SMALL.n_vocab);
		weights[i] = i >= first_weighted ? 0.5f + (float)i / 10 : 0;
	}
	assert_true(tdm_batch_add(b, tokens, weights, n));
}

static void open_whole(struct whole *w, struct tdm_rng *rng) {
	tdm_rng_init(rng, 7);
	assert_int_equal(tdm_net_init(&w->net, &SMALL, NULL), 0);
	fill(rng, w->net.params, w->net.n_params, 0.35);
	assert_int_equal(tdm_pass_init(&w->pass, &w->net, NULL), 0);
	assert_int_equal(tdm_batch_init(&w->batch, 40, NULL), 0);
}

static void close_whole(struct whole *w) {
	tdm_pass_release(&w->pass);
	tdm_batch_release(&w->batch);
	tdm_net_release(&w->net);
}

static void loss_gradient(struct whole *w, float *gradient) {
	const struct tdm_loss how = {.temperature = 1, .scale = 1};
	struct tdm_batch *b = &w->batch;
	assert_int_equal(tdm_pass_forward(&w->pass, b, NULL), 0);
	tdm_loss_backward(&how, w->pass.logits, NULL, b->targets, b->weights, b->n_rows, SMALL.n_vocab);
	tdm_pass_backward(&w->pass, b, gradient);
}

static void whole_net(void **state) {
	struct whole w;
	struct tdm_rng rng;
	open_whole(&w, &rng);
	add_random(&rng, &w.batch, 9, 5);
	add_random(&rng, &w.batch, 2, 1);
	add_random(&rng, &w.batch, 12, 1);
	size_t n_added = (size_t)w.batch.n * (size_t)SMALL.width;
	float *gradient = tdm_floats(w.net.n_params), *added = tdm_floats(n_added), *of_added = tdm_floats(n_added);
	fill(&rng, added, n_added, 0.35);
	w.pass.added = added;
	loss_gradient(&w, gradient);
	memcpy(of_added, w.pass.input_gradient, n_added * sizeof *added);
	struct probe p = {whole_value, &w, 4e-2f};
	for (size_t i = 0; i < tdm_shape_n_tensors(&SMALL); i++) {
		struct tdm_net_tensor t;
		tdm_shape_tensor(&SMALL, i, &t);
		check(&p, t.name, w.net.params + t.offset, gradient + t.offset, t.n, t.n > 100 ? 7 : 1, 4e-3);
	}
	check(&p, "added", added, of_added, n_added, 7, 4e-3);
	free(gradient);
	free(added);
	free(of_added);
	close_whole(&w);
}

static void packed_equals_alone(void **state) {
	struct whole w;
	struct tdm_rng rng;
	open_whole(&w, &rng);
	const int lengths[] = {9, 2, 12}, firsts[] = {5, 1, 1};
	for (int d = 0; d < 3; d++)
		add_random(&rng, &w.batch, lengths[d], firsts[d]);
	assert_false(tdm_batch_add(&w.batch, w.batch.tokens, w.batch.weights, 40)); // over the room: refused
	float *packed = tdm_floats(w.net.n_params), *alone = tdm_floats(w.net.n_params);
	tdm_pass_forward(&w.pass, &w.batch, NULL);
	size_t n_logits = (size_t)w.batch.n_rows * SMALL.n_vocab;
	float *logits = tdm_floats(n_logits);
	memcpy(logits, w.pass.logits, n_logits * sizeof(float));
	loss_gradient(&w, packed);
	tdm_rng_init(&rng, 7);
	fill(&rng, w.net.params, w.net.n_params, 0.35); // the same draws again, up to the documents
	for (int d = 0, row = 0; d < 3; d++) {
		tdm_batch_clear(&w.batch);
		add_random(&rng, &w.batch, lengths[d], firsts[d]);
		tdm_pass_forward(&w.pass, &w.batch, NULL);
		for (int i = 0; i < w.batch.n_rows * SMALL.n_vocab; i++)
			assert_float_equal(w.pass.logits[i], logits[row * SMALL.n_vocab + i], 1e-5);
		row += w.batch.n_rows;
		loss_gradient(&w, alone);
	}
	for (size_t i = 0; i < w.net.n_params; i++)
		assert_float_equal(packed[i], alone[i], 1e-4);
	free(packed);
	free(alone);
	free(logits);
	close_whole(&w);
}

static void every_table_agrees(void **state) {
	const struct tdm_rows *portable = tdm_rows_named("portable");
	const char *const names[] = {"avx2", "avx512"};
	struct tdm_rng rng;
	enum { LEN = 77 };
	float x[LEN], a[LEN], b[LEN];
	tdm_rng_init(&rng, 8);
	fill(&rng, x, LEN, 5);
	assert_non_null(portable);
	assert_null(tdm_rows_named("nothing"));
	for (int i = 0; i < 2; i++) {
		const struct tdm_rows *other = tdm_rows_named(names[i]);
		if (!other)
			continue;
		memcpy(a, x, sizeof(a));
		memcpy(b, x, sizeof(b));
		portable->softmax(a, 70, LEN, 0.3f);
		other->softmax(b, 70, LEN, 0.3f);
		assert_memory_equal(a, b, sizeof(a));
		assert_true(portable->log_sum(x, LEN, 1) == other->log_sum(x, LEN, 1));
		portable->swiglu_forward(a, x, 1, LEN / 2);
		other->swiglu_forward(b, x, 1, LEN / 2);
		assert_memory_equal(a, b, LEN / 2 * sizeof(float));
	}
}

static float rounded(float x) { // to bfloat16, to nearest even
	uint32_t bits;
	memcpy(&bits, &x, sizeof(bits));
	bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000u;
	memcpy(&x, &bits, sizeof(x));
	return x;
}

static double entry(enum tdm_gemm_form form, const float *a, const float *b, int i, int j, int m, int n, int k) {
	double sum = 0;
	for (int l = 0; l < k; l++) {
		float x = form == TDM_GEMM_TN ? a[l * m + i] : a[i * k + l],
		      y = form == TDM_GEMM_NT ? b[j * k + l] : b[l * n + j];
		sum += (double)rounded(x) * rounded(y);
	}
	return sum;
}

static void bfloat16_product(void **state) {
	enum { M = 61, N_OUT = 75, K = 53 };
	static float a[M * K], b[N_OUT * K], c[M * N_OUT + 1];
	struct tdm_gemm_space space = {.bf16 = true};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 10);
	if (!tdm_gemm_has_bf16())
		skip();
	fill(&rng, a, M * K, 1);
	fill(&rng, b, N_OUT * K, 1);
	for (int form = TDM_GEMM_NN; form <= TDM_GEMM_TN; form++) {
		for (int i = 0; i <= M * N_OUT; i++)
			c[i] = 1;
		tdm_gemm(&space, (enum tdm_gemm_form)form, M, N_OUT, K, 0.5f, a, form == TDM_GEMM_TN ? M : K, b,
		         form == TDM_GEMM_NT ? K : N_OUT, 2, c, N_OUT);
		for (int i = 0; i < M; i++)
			for (int j = 0; j < N_OUT; j++)
				assert_float_equal(c[i * N_OUT + j], 2 + 0.5 * entry((enum tdm_gemm_form)form, a, b, i, j, M, N_OUT, K),
				                   1e-4);
		assert_true(c[M * N_OUT] == 1); // nothing is written behind the end
	}
	assert_true(space.n > 0); // it was not the float product
	tdm_gemm_space_release(&space);
}

enum { SIDE_M = 100, SIDE_N = 48, SIDE_K = 32, SIDE_ROUNDS = 100000 };

struct side {
	float a[SIDE_M * SIDE_K], b[SIDE_N * SIDE_K], expected[SIDE_M * SIDE_N];
	int n_wrong;
};

static void multiply_side(const struct side *s, float *c) {
	tdm_gemm(NULL, TDM_GEMM_NT, SIDE_M, SIDE_N, SIDE_K, 1, s->a, SIDE_K, s->b, SIDE_K, 0, c, SIDE_N);
}

static void *multiply_often(void *arg) {
	struct side *s = arg;
	float c[SIDE_M * SIDE_N];
	for (int i = 0; i < SIDE_ROUNDS; i++) {
		multiply_side(s, c);
		s->n_wrong += memcmp(c, s->expected, sizeof c) != 0;
	}
	return NULL;
}

static void products_of_two_threads(void **state) {
	static struct side sides[2];
	pthread_t threads[2];
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int i = 0; i < 2; i++) {
		fill(&rng, sides[i].a, SIDE_M * SIDE_K, 1);
		fill(&rng, sides[i].b, SIDE_N * SIDE_K, 1);
		multiply_side(&sides[i], sides[i].expected);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, multiply_often, &sides[i]), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(sides[i].n_wrong, 0);
	}
}

static void exponentials(void **state) {
	float x[64], y[64];
	for (int i = 0; i < 64; i++)
		x[i] = -40 + 1.3f * (float)i;
	tdm_rows()->exp(y, x, 64, 1, 0);
	for (int i = 0; i < 64; i++)
		assert_float_equal(y[i] / exp((double)x[i]), 1, 1e-6);
}

static int load(void **state) {
	return tdm_gemm_load(NULL);
}

int tdm_test_gradients(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(linear),
	    cmocka_unit_test(norm),
	    cmocka_unit_test(swiglu),
	    cmocka_unit_test(attention),
	    cmocka_unit_test(rotation),
	    cmocka_unit_test(losses),
	    cmocka_unit_test(whole_net),
	    cmocka_unit_test(packed_equals_alone),
	    cmocka_unit_test(exponentials),
	    cmocka_unit_test(bfloat16_product),
	    cmocka_unit_test(products_of_two_threads),
	    cmocka_unit_test(every_table_agrees),
	};
	return cmocka_run_group_tests_name("gradients", tests, load, NULL);
}
