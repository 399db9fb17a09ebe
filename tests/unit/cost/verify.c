// Exactness by enumeration: every drafted chain, every acceptance and every replacement with its probability, for small
// vocabularies; the sum over all of them must be the target's own distribution.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "base/random.h"
#include "cost/verify.h"
#include "tests.h"

enum { V_MAX = 4, GAMMA_MAX = 3, ROWS = 85 }; // rows: all prefixes of up to 3 tokens of 4

struct law { // p and q after every prefix
	int n_vocab, gamma;
	float p[ROWS][V_MAX], q[ROWS][V_MAX];
};

static int prefix_row(int n_vocab, const int32_t *tokens, int n) {
	int row = 0;
	for (int i = 0; i < n; i++)
		row = row * n_vocab + tokens[i] + 1;
	return row;
}

struct drafted {
	const struct law *law;
	int32_t tokens[GAMMA_MAX + 1];
	float q[GAMMA_MAX * V_MAX], row[V_MAX];
};

static const float *target_row(void *target, int i) {
	struct drafted *d = target;
	memcpy(d->row, d->law->p[prefix_row(d->law->n_vocab, d->tokens, i)], sizeof d->row);
	return d->row;
}

struct tally {
	double probability[256]; // of each sequence of gamma + 1 tokens
	double tokens, total;
};

// What follows a shorter output is drawn from p itself.
static void complete(const struct law *law, int32_t *sequence, int n, double weight, struct tally *out) {
	if (weight == 0)
		return;
	if (n == law->gamma + 1) {
		int index = 0;
		for (int i = 0; i < n; i++)
			index = index * law->n_vocab + sequence[i];
		out->probability[index] += weight;
		return;
	}
	const float *p = law->p[prefix_row(law->n_vocab, sequence, n)];
	for (int32_t v = 0; v < law->n_vocab; v++) {
		sequence[n] = v;
		complete(law, sequence, n + 1, weight * (double)p[v], out);
	}
}

// Asks the code with draws at both ends and in the middle of the cell that must give (accepted, next).
static void expect(struct drafted *d, const double *accept, double low, double high, int accepted, int32_t next) {
	struct tdm_chain chain = {d->law->n_vocab, d->law->gamma, d->tokens, d->q, target_row, d};
	const double draws[] = {low + 1e-13, (low + high) / 2, high - 1e-13};
	for (int i = 0; i < 3; i++) {
		struct tdm_verified v = tdm_verify_chain(&chain, accept, draws[i]);
		assert_int_equal(v.accepted, accepted);
		assert_int_equal(v.next, next);
	}
}

// All tokens that may follow `a` accepted ones, each with its share of the last draw.
static void replacements(struct drafted *d, const double *accept, int a, double weight, struct tally *out) {
	const struct law *law = d->law;
	double rest[V_MAX], total = 0, low = 0;
	const float *p = law->p[prefix_row(law->n_vocab, d->tokens, a)];
	for (int v = 0; v < law->n_vocab; v++) {
		rest[v] = a < law->gamma ? fmax(0, (double)p[v] - (double)d->q[a * law->n_vocab + v]) : (double)p[v];
		total += rest[v];
	}
	for (int32_t v = 0; v < law->n_vocab; v++) {
		double share = rest[v] / total;
		int32_t sequence[GAMMA_MAX + 1];
		if (share == 0)
			continue;
		expect(d, accept, low, low + share, a, v);
		memcpy(sequence, d->tokens, sizeof sequence);
		sequence[a] = v;
		complete(law, sequence, a + 1, weight * share, out);
		out->tokens += weight * share * (a + 1);
		out->total += weight * share;
		low += share;
	}
}

static void acceptances(struct drafted *d, double weight, struct tally *out) {
	const struct law *law = d->law;
	double accept[GAMMA_MAX];
	for (int a = 0; a <= law->gamma; a++) {
		double keep = 1;
		if (a < law->gamma) {
			double p = (double)law->p[prefix_row(law->n_vocab, d->tokens, a)][d->tokens[a]];
			keep = fmin(1, p / (double)d->q[a * law->n_vocab + d->tokens[a]]);
		}
		if (keep < 1 || a == law->gamma) { // the last cell of this draw rejects; both of its ends are tried
			double lost = a < law->gamma ? 1 - keep : 1;
			for (int i = a; i < law->gamma; i++)
				accept[i] = i == a ? keep + 1e-13 : 0.5;
			replacements(d, accept, a, weight * lost, out);
		}
		if (keep == 0)
			return;
		if (a < law->gamma)
			accept[a] = keep - 1e-13;
		weight *= keep;
	}
}

static void drafts(struct drafted *d, int n, double weight, struct tally *out) {
	const struct law *law = d->law;
	if (n == law->gamma) {
		acceptances(d, weight, out);
		return;
	}
	const float *q = law->q[prefix_row(law->n_vocab, d->tokens, n)];
	memcpy(d->q + n * law->n_vocab, q, (size_t)law->n_vocab * sizeof *q);
	for (int32_t v = 0; v < law->n_vocab; v++) {
		if (q[v] == 0)
			continue;
		d->tokens[n] = v;
		drafts(d, n + 1, weight * (double)q[v], out);
	}
}

static void check_law(const struct law *law, struct tally *out) {
	struct drafted d = {.law = law};
	struct tally want = {0};
	int32_t sequence[GAMMA_MAX + 1];
	memset(out, 0, sizeof *out);
	drafts(&d, 0, 1, out);
	complete(law, sequence, 0, 1, &want);
	for (int i = 0; i < 256; i++)
		assert_true(fabs(out->probability[i] - want.probability[i]) < 1e-12);
	assert_true(fabs(out->total - 1) < 1e-12);
}

// Sixteenths, so that float holds them exactly and rows sum to exactly 1; many are zero.
static void dyadic_row(struct tdm_rng *rng, float *row, int n, int zeros) {
	int parts[V_MAX] = {0};
	int allowed = n - (int)tdm_rng_below(rng, (uint64_t)zeros + 1), shift = (int)tdm_rng_below(rng, (uint64_t)n);
	for (int i = 0; i < 16; i++)
		parts[tdm_rng_below(rng, (uint64_t)allowed)]++;
	for (int i = 0; i < n; i++)
		row[(i + shift) % n] = (float)parts[i] / 16;
}

static void enumeration_gives_the_target(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 11);
	for (int round = 0; round < 200; round++) {
		struct law law = {.n_vocab = 2 + round % 3, .gamma = 1 + round / 3 % 3};
		struct tally out;
		for (int r = 0; r < ROWS; r++) {
			dyadic_row(&rng, law.p[r], law.n_vocab, law.n_vocab - 1);
			dyadic_row(&rng, law.q[r], law.n_vocab, law.n_vocab - 1);
		}
		check_law(&law, &out);
	}
}

static void disjoint_supports_accept_nothing(void **state) {
	struct law law = {.n_vocab = 4, .gamma = 3};
	struct tally out;
	for (int r = 0; r < ROWS; r++) {
		law.p[r][0] = law.p[r][2] = 0.5f;
		law.q[r][1] = 0.25f;
		law.q[r][3] = 0.75f;
	}
	check_law(&law, &out);
	assert_true(fabs(out.tokens - 1) < 1e-12);
}

static void equal_laws_accept_everything(void **state) {
	struct law law = {.n_vocab = 3, .gamma = 3};
	struct tally out;
	for (int r = 0; r < ROWS; r++)
		for (int v = 0; v < 3; v++)
			law.p[r][v] = law.q[r][v] = v ? 0.25f : 0.5f;
	check_law(&law, &out);
	assert_true(fabs(out.tokens - 4) < 1e-12);
}

static void expected_tokens_are_the_published_ones(void **state) {
	const double want[] = {1.7, 2.19, 2.533};
	for (int gamma = 1; gamma <= 3; gamma++) {
		struct law law = {.n_vocab = 3, .gamma = gamma};
		struct drafted d = {.law = &law};
		struct tally out = {0};
		for (int r = 0; r < ROWS; r++) {
			memcpy(law.p[r], (float[]){0.5f, 0.3f, 0.2f}, 3 * sizeof(float));
			memcpy(law.q[r], (float[]){0.2f, 0.3f, 0.5f}, 3 * sizeof(float));
		}
		drafts(&d, 0, 1, &out);
		assert_true(fabs(out.tokens - want[gamma - 1]) < 1e-6);
	}
}

static const float *fixed_row(void *target, int i) {
	return (const float *)target + i * 3;
}

static void greedy_keeps_while_the_largest_agrees(void **state) {
	float logits[] = {1, 2, 0, 5, 5, 1, 0, 0, 9};
	const int32_t all[] = {1, 0}, wrong[] = {1, 1};
	struct tdm_chain chain = {3, 2, all, NULL, fixed_row, logits};
	struct tdm_verified v = tdm_verify_greedy(&chain);
	assert_int_equal(v.accepted, 2); // the tie of row 1 goes to the lower token
	assert_int_equal(v.next, 2);
	chain.drafted = wrong;
	v = tdm_verify_greedy(&chain);
	assert_int_equal(v.accepted, 1);
	assert_int_equal(v.next, 0);
}

static void draw_inverts_the_cumulative_sum(void **state) {
	const float p[] = {0, 0.25f, 0, 0.75f, 0};
	assert_int_equal(tdm_verify_draw(p, 5, 0), 1);
	assert_int_equal(tdm_verify_draw(p, 5, 0.2499999), 1);
	assert_int_equal(tdm_verify_draw(p, 5, 0.25), 3);
	assert_int_equal(tdm_verify_draw(p, 5, 1 - 1e-16), 3);
}

int tdm_test_verify(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(enumeration_gives_the_target),
	    cmocka_unit_test(disjoint_supports_accept_nothing),
	    cmocka_unit_test(equal_laws_accept_everything),
	    cmocka_unit_test(expected_tokens_are_the_published_ones),
	    cmocka_unit_test(greedy_keeps_while_the_largest_agrees),
	    cmocka_unit_test(draw_inverts_the_cumulative_sum),
	};
	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
