// Exactness by enumeration: every drafted chain, every acceptance and every replacement with its probability, for small
// vocabularies; the sum over all of them must be the target's own distribution.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/random.h"
#include "cost/speculate/verify.h"
#include "tests.h"

enum { V_MAX = 4, GAMMA_MAX = 3, ROWS = 85 }; // rows: all prefixes of up to 3 tokens of 4

struct law { // p and q after every prefix
	int n_vocab, gamma;
	bool is_block;
	bool ends[ROWS]; // a draft that has come there goes no further
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
	int length;
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

typedef struct tdm_verified rule(const struct tdm_chain *chain, const double *accept, double last);

// The code is asked as it is: where an outcome begins on a draw's line is found by halving, nothing is worked out here.
static struct tdm_verified ask(struct drafted *d, rule *verify, const double *accept, double last) {
	struct tdm_chain chain = {d->law->n_vocab, d->length, d->tokens, d->q, target_row, d};
	return verify(&chain, accept, last);
}

enum { HALVINGS = 54 };
#define ALMOST_ONE (1 - 0x1p-53) // the largest draw there is

// The share of draw i for which more than `least` tokens stay, the other draws being what they are.
static double share_above(struct drafted *d, rule *verify, double *accept, int i, int least) {
	double low = 0, high = 1;
	accept[i] = 0;
	if (ask(d, verify, accept, 0.5).accepted <= least)
		return 0;
	accept[i] = ALMOST_ONE;
	if (ask(d, verify, accept, 0.5).accepted > least)
		return 1;
	for (int h = 0; h < HALVINGS; h++) {
		accept[i] = (low + high) / 2;
		if (ask(d, verify, accept, 0.5).accepted > least)
			low = accept[i];
		else
			high = accept[i];
	}
	return high;
}

// All tokens that may follow `a` accepted ones, each with its share of the last draw.
static void replacements(struct drafted *d, rule *verify, const double *accept, int a, double weight,
                         struct tally *out) {
	double low = 0;
	while (low < 1) {
		double inside = low, high = 1;
		int32_t sequence[GAMMA_MAX + 1], next = ask(d, verify, accept, low + 1e-15).next;
		if (ask(d, verify, accept, ALMOST_ONE).next != next) {
			for (int h = 0; h < HALVINGS; h++) {
				double middle = (inside + high) / 2;
				if (ask(d, verify, accept, middle).next == next)
					inside = middle;
				else
					high = middle;
			}
		}
		assert_int_equal(ask(d, verify, accept, (low + high) / 2).accepted, a);
		memcpy(sequence, d->tokens, sizeof sequence);
		sequence[a] = next;
		complete(d->law, sequence, a + 1, weight * (high - low), out);
		out->tokens += weight * (high - low) * (a + 1);
		out->total += weight * (high - low);
		low = high;
	}
}

// Token by token: draw i decides whether more than i tokens stay, when those before it have.
static void acceptances_in_turn(struct drafted *d, double weight, struct tally *out) {
	double accept[GAMMA_MAX] = {0};
	for (int i = 0; i < d->length && weight > 0; i++) {
		double keep = share_above(d, tdm_verify_chain, accept, i, i);
		accept[i] = ALMOST_ONE;
		if (keep < 1)
			replacements(d, tdm_verify_chain, accept, i, weight * (1 - keep), out);
		accept[i] = 0;
		weight *= keep;
	}
	if (weight > 0)
		replacements(d, tdm_verify_chain, accept, d->length, weight, out);
}

// A block: draw i decides whether i + 1 tokens stay, when no longer beginning does.
static void acceptances_of_a_block(struct drafted *d, double weight, struct tally *out) {
	double accept[GAMMA_MAX];
	for (int i = 0; i < d->length; i++)
		accept[i] = ALMOST_ONE;
	for (int i = d->length - 1; i >= 0 && weight > 0; i--) {
		double keep = share_above(d, tdm_verify_block, accept, i, i);
		accept[i] = 0;
		if (keep > 0)
			replacements(d, tdm_verify_block, accept, i + 1, weight * keep, out);
		accept[i] = ALMOST_ONE;
		weight *= 1 - keep;
	}
	if (weight > 0)
		replacements(d, tdm_verify_block, accept, 0, weight, out);
}

static void drafts(struct drafted *d, int n, double weight, struct tally *out) {
	const struct law *law = d->law;
	if (n == law->gamma || law->ends[prefix_row(law->n_vocab, d->tokens, n)]) {
		d->length = n;
		if (law->is_block)
			acceptances_of_a_block(d, weight, out);
		else
			acceptances_in_turn(d, weight, out);
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
	for (int round = 0; round < 144; round++) {
		struct law law = {.n_vocab = 2 + round % 3, .gamma = 1 + round / 3 % 3, .is_block = round / 9 % 2};
		struct tally out;
		for (int r = 0; r < ROWS; r++) {
			dyadic_row(&rng, law.p[r], law.n_vocab, law.n_vocab - 1);
			dyadic_row(&rng, law.q[r], law.n_vocab, law.n_vocab - 1);
			law.ends[r] = r > 0 && round % 4 == 3 && tdm_rng_below(&rng, 4) == 0;
		}
		check_law(&law, &out);
	}
}

static void disjoint_supports_accept_nothing(void **state) {
	for (int block = 0; block < 2; block++) {
		struct law law = {.n_vocab = 4, .gamma = 3, .is_block = block};
		struct tally out;
		for (int r = 0; r < ROWS; r++) {
			law.p[r][0] = law.p[r][2] = 0.5f;
			law.q[r][1] = 0.25f;
			law.q[r][3] = 0.75f;
		}
		check_law(&law, &out);
		assert_true(fabs(out.tokens - 1) < 1e-12);
	}
}

static void equal_laws_accept_everything(void **state) {
	for (int block = 0; block < 2; block++) {
		struct law law = {.n_vocab = 3, .gamma = 3, .is_block = block};
		struct tally out;
		for (int r = 0; r < ROWS; r++)
			for (int v = 0; v < 3; v++)
				law.p[r][v] = law.q[r][v] = v ? 0.25f : 0.5f;
		check_law(&law, &out);
		assert_true(fabs(out.tokens - 4) < 1e-12);
	}
}

static void expected_tokens_are_the_published_ones(void **state) {
	static const double want[2][3] = {{1.7, 2.19, 2.533}, {1.7, 2.25, 2.695}};
	for (int i = 0; i < 6; i++) {
		struct law law = {.n_vocab = 3, .gamma = 1 + i % 3, .is_block = i / 3};
		struct drafted d = {.law = &law};
		struct tally out = {0};
		for (int r = 0; r < ROWS; r++) {
			memcpy(law.p[r], (float[]){0.5f, 0.3f, 0.2f}, 3 * sizeof(float));
			memcpy(law.q[r], (float[]){0.2f, 0.3f, 0.5f}, 3 * sizeof(float));
		}
		drafts(&d, 0, 1, &out);
		assert_true(fabs(out.tokens - want[law.is_block][law.gamma - 1]) < 1e-6);
	}
}

// Rules that are wrong must not pass: the target's own row as replacement, a draw that is used twice, a q that is not
// normalised.
static struct tdm_verified replaces_by_p(const struct tdm_chain *chain, const double *accept, double last) {
	struct tdm_verified v = tdm_verify_chain(chain, accept, last);
	if (v.accepted < chain->n_drafted)
		v.next = tdm_verify_draw(chain->p(chain->target, v.accepted), chain->n_vocab, last);
	return v;
}

static struct tdm_verified draws_once(const struct tdm_chain *chain, const double *accept, double last) {
	return tdm_verify_chain(chain, accept, accept[0]);
}

static struct tdm_verified halves_q(const struct tdm_chain *chain, const double *accept, double last) {
	float q[V_MAX];
	struct tdm_chain wrong = *chain;
	for (int i = 0; i < chain->n_vocab; i++)
		q[i] = chain->q[i] / 2;
	wrong.q = q;
	return tdm_verify_chain(&wrong, accept, last);
}

// How far a rule's law is from the target's, for drafts of one token.
static double error_of(const struct law *law, rule *verify) {
	struct drafted d = {.law = law, .length = 1};
	struct tally out = {0}, want = {0};
	int32_t sequence[GAMMA_MAX + 1];
	double off = 0;
	memcpy(d.q, law->q[0], sizeof law->q[0]);
	for (d.tokens[0] = 0; d.tokens[0] < law->n_vocab; d.tokens[0]++) {
		double accept[GAMMA_MAX] = {0}, weight = (double)law->q[0][d.tokens[0]];
		double keep = share_above(&d, verify, accept, 0, 0);
		accept[0] = 0;
		if (keep > 0)
			replacements(&d, verify, accept, 1, weight * keep, &out);
		accept[0] = ALMOST_ONE;
		if (keep < 1)
			replacements(&d, verify, accept, 0, weight * (1 - keep), &out);
	}
	complete(law, sequence, 0, 1, &want);
	for (int i = 0; i < 256; i++)
		off += fabs(out.probability[i] - want.probability[i]);
	return off;
}

static void wrong_rules_are_found(void **state) {
	struct law law = {.n_vocab = 3, .gamma = 1};
	rule *const wrong[] = {replaces_by_p, draws_once, halves_q};
	for (int r = 0; r < ROWS; r++) {
		memcpy(law.p[r], (float[]){0.5f, 0.25f, 0.25f}, 3 * sizeof(float));
		memcpy(law.q[r], (float[]){0.25f, 0.25f, 0.5f}, 3 * sizeof(float));
	}
	assert_true(error_of(&law, tdm_verify_chain) < 1e-12);
	assert_true(error_of(&law, tdm_verify_block) < 1e-12);
	for (int i = 0; i < 3; i++)
		assert_true(error_of(&law, wrong[i]) > 0.1);
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
	    cmocka_unit_test(enumeration_gives_the_target),    cmocka_unit_test(disjoint_supports_accept_nothing),
	    cmocka_unit_test(equal_laws_accept_everything),    cmocka_unit_test(expected_tokens_are_the_published_ones),
	    cmocka_unit_test(wrong_rules_are_found),           cmocka_unit_test(greedy_keeps_while_the_largest_agrees),
	    cmocka_unit_test(draw_inverts_the_cumulative_sum),
	};
	return cmocka_run_group_tests_name("verify", tests, NULL, NULL);
}
