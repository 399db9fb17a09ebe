// Trees by enumeration: every shape of a few draws, every token that they may give, every acceptance and every
// replacement with its probability; the sum over all of them must be the target's own distribution.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include "base/random.h"
#include "cost/speculate/branches.h"
#include "cost/speculate/verify.h"
#include "tests.h"

enum { V_MAX = 4, DRAWS = 4, DEPTH = DRAWS + 1, ROWS = 364, CELLS = 1024 }; // rows: prefixes of up to 5 tokens of 3
enum shape { GIVEN, BY_LUCK };

struct law {
	int n_vocab, n_draws;
	const int *slots; // the parent of each draw's node, among the draws; -1: the text
	tdm_branch_rule *rule;
	bool is_independent; // drawn with replacement, siblings one after the other
	enum shape shape;    // by luck: a draw goes to the text if the one before it was the token 0, else below it
	float p[ROWS][V_MAX], q[ROWS][V_MAX];
};

struct grown {
	const struct law *law;
	int n, n_draws;
	int32_t tokens[DRAWS];
	int parents[DRAWS], drawn[DRAWS];
	const float *q[1 + DRAWS];
	float row[V_MAX];
};

struct tally {
	double probability[CELLS], tokens, total;
};

static int prefix_row(int n_vocab, const int32_t *tokens, int n) {
	int row = 0;
	for (int i = 0; i < n; i++)
		row = row * n_vocab + tokens[i] + 1;
	return row;
}

static int path_of(const struct grown *g, int node, int32_t *out) {
	int n = 0, at;
	for (at = node; at >= 0; at = g->parents[at])
		n++;
	at = node;
	for (int i = n - 1; i >= 0; i--, at = g->parents[at])
		out[i] = g->tokens[at];
	return n;
}

static int row_at(const struct grown *g, int node) {
	int32_t path[DEPTH];
	int n = path_of(g, node, path);
	return prefix_row(g->law->n_vocab, path, n);
}

static const float *target_row(void *target, int node) {
	struct grown *g = target;
	memcpy(g->row, g->law->p[row_at(g, node)], sizeof g->row);
	return g->row;
}

// What follows a shorter output is drawn from p itself.
static void complete(const struct law *law, int32_t *sequence, int n, double weight, struct tally *out) {
	if (weight == 0)
		return;
	if (n == law->n_draws + 1) {
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

// --- the code is asked as it is: where an outcome begins on a draw's line is found by halving

enum { HALVINGS = 46 };
#define ALMOST_ONE (1 - 0x1p-53)

static struct tdm_branch ask(struct grown *g, const double *accept, double last) {
	double rest[V_MAX], left[V_MAX];
	struct tdm_branches b = {g->law->n_vocab, g->n_draws, g->tokens, g->parents, g->drawn, g->q,
	                         target_row,      g,          rest,      left};
	return g->law->rule(&b, accept, last);
}

// Whether the walk comes through the node of draw i.
static bool comes_through(struct grown *g, const double *accept, int i) {
	int node = ask(g, accept, 0.5).node;
	while (node > g->drawn[i])
		node = g->parents[node];
	return node == g->drawn[i];
}

// The share of draw i for which it does, the other draws being what they are.
static double share_through(struct grown *g, double *accept, int i) {
	double low = 0, high = 1;
	accept[i] = ALMOST_ONE;
	if (comes_through(g, accept, i))
		return 1;
	for (int h = 0; h < HALVINGS; h++) {
		accept[i] = (low + high) / 2;
		if (comes_through(g, accept, i))
			low = accept[i];
		else
			high = accept[i];
	}
	accept[i] = 0;
	return comes_through(g, accept, i) ? high : 0;
}

// All tokens that may follow a node, each with its share of the last draw.
static void replacements(struct grown *g, const double *accept, int node, double weight, struct tally *out) {
	int32_t sequence[DEPTH + 1];
	for (double low = 0, high; low < 1; low = high) {
		double inside = low;
		int32_t next = ask(g, accept, low + 1e-14).next;
		high = 1;
		if (ask(g, accept, ALMOST_ONE).next != next)
			for (int h = 0; h < HALVINGS; h++) {
				double middle = (inside + high) / 2;
				if (ask(g, accept, middle).next == next)
					inside = middle;
				else
					high = middle;
			}
		assert_int_equal(ask(g, accept, (low + high) / 2).node, node);
		int n = path_of(g, node, sequence);
		sequence[n] = next;
		complete(g->law, sequence, n + 1, weight * (high - low), out);
		out->tokens += weight * (high - low) * (n + 1);
		out->total += weight * (high - low);
	}
}

// accept: of the draws above this node, what leads here; of all others the largest draw there is.
static void walk(struct grown *g, double *accept, int node, double weight, struct tally *out) {
	for (int i = 0; i < g->n_draws && weight > 0; i++) {
		if (g->parents[g->drawn[i]] != node)
			continue;
		double keep = share_through(g, accept, i);
		accept[i] = 0;
		if (keep > 0)
			walk(g, accept, g->drawn[i], weight * keep, out);
		accept[i] = ALMOST_ONE;
		weight *= 1 - keep;
	}
	if (weight > 1e-15)
		replacements(g, accept, node, weight, out);
}

// --- all trees that may be drawn

static double left_of(const struct grown *g, int parent, int32_t token) {
	for (int i = 0; i < g->n && !g->law->is_independent; i++)
		if (g->parents[i] == parent && g->tokens[i] == token)
			return 0;
	return (double)g->law->q[row_at(g, parent)][token];
}

static void draw(struct grown *g, const int *nodes, int i, double weight, struct tally *out);

static int slot_of(const struct grown *g, const int *nodes, int i) {
	if (g->law->shape == GIVEN)
		return g->law->slots[i] < 0 ? -1 : nodes[g->law->slots[i]];
	return i == 0 || nodes[i - 1] < 0 || g->tokens[nodes[i - 1]] == 0 ? -1 : nodes[i - 1];
}

// One draw more, with each token that it may give. nodes: of the draws so far; -2: there was nothing left to draw.
static void draw_at(struct grown *g, const int *nodes, int i, int parent, double weight, struct tally *out) {
	int known[DRAWS + 1];
	double all = 0;
	for (int k = 0; k < i; k++)
		known[k] = nodes[k];
	for (int32_t v = 0; v < g->law->n_vocab; v++)
		all += left_of(g, parent, v);
	known[i] = -2;
	if (all == 0)
		draw(g, known, i + 1, weight, out);
	for (int32_t v = 0; v < g->law->n_vocab && all > 0; v++) {
		struct grown more = *g;
		double share = left_of(g, parent, v) / all;
		int at = 0;
		if (share == 0)
			continue;
		while (at < g->n && (g->parents[at] != parent || g->tokens[at] != v))
			at++;
		more.tokens[at] = v;
		more.parents[at] = parent;
		more.n += at == g->n;
		more.q[1 + parent] = g->law->q[row_at(g, parent)];
		more.drawn[more.n_draws++] = known[i] = at;
		draw(&more, known, i + 1, weight * share, out);
	}
}

static void draw(struct grown *g, const int *nodes, int i, double weight, struct tally *out) {
	double accept[DRAWS] = {ALMOST_ONE, ALMOST_ONE, ALMOST_ONE, ALMOST_ONE};
	if (i == g->law->n_draws) {
		walk(g, accept, -1, weight, out);
		return;
	}
	int parent = slot_of(g, nodes, i);
	if (parent == -2)
		draw_at(g, nodes, i, -1, weight, out); // its place was never drawn: the text gets one more
	else
		draw_at(g, nodes, i, parent, weight, out);
}

static double error_of(const struct law *law, struct tally *out) {
	struct grown g = {.law = law};
	struct tally want = {0};
	int32_t sequence[DEPTH + 1];
	double most = 0;
	memset(out, 0, sizeof *out);
	draw(&g, NULL, 0, 1, out);
	complete(law, sequence, 0, 1, &want);
	for (int i = 0; i < CELLS; i++)
		most = fmax(most, fabs(out->probability[i] - want.probability[i]));
	return fmax(most, fabs(out->total - 1));
}

// Sixteenths, so that float holds them exactly and rows sum to exactly 1; many are zero.
static void dyadic_row(struct tdm_rng *rng, float *row, int n) {
	int parts[V_MAX] = {0};
	int allowed = n - (int)tdm_rng_below(rng, (uint64_t)n), shift = (int)tdm_rng_below(rng, (uint64_t)n);
	for (int i = 0; i < 16; i++)
		parts[tdm_rng_below(rng, (uint64_t)allowed)]++;
	for (int i = 0; i < n; i++)
		row[(i + shift) % n] = (float)parts[i] / 16;
}

static void random_law(struct tdm_rng *rng, struct law *law) {
	for (int r = 0; r < ROWS; r++) {
		dyadic_row(rng, law->p[r], law->n_vocab);
		dyadic_row(rng, law->q[r], law->n_vocab);
	}
}

// The number of a shape in the order of its draws: each goes to the text or to one of those before it.
static void shape_of(int number, int *slots) {
	for (int i = 0; i < DRAWS; i++) {
		slots[i] = number % (i + 1) - 1;
		number /= i + 1;
	}
}

// Children that are independent of each other are drawn at once: their parent's before anything below them.
static bool is_at_once(const int *slots, int n) {
	for (int i = 1; i < n; i++)
		if (slots[i] < slots[i - 1])
			return false;
	return true;
}

static void every_shape_gives_the_target(void **state) {
	struct tdm_rng rng;
	int n_shapes = 0;
	tdm_rng_init(&rng, 21);
	for (int number = 0; number < 24; number++)
		for (int independent = 0; independent < 2; independent++) {
			int slots[DRAWS];
			struct tally out;
			struct law law = {.n_vocab = 2 + number % 2, .n_draws = DRAWS, .slots = slots};
			shape_of(number, slots);
			if (independent && !is_at_once(slots, DRAWS))
				continue;
			law.is_independent = independent;
			law.rule = independent ? tdm_branch_independent : tdm_branch_distinct;
			random_law(&rng, &law);
			assert_true(error_of(&law, &out) < 1e-12);
			law.n_vocab = 5 - law.n_vocab;
			random_law(&rng, &law);
			assert_true(error_of(&law, &out) < 1e-12);
			n_shapes++;
		}
	assert_int_equal(n_shapes, 24 + 14);
}

static void a_place_that_depends_on_earlier_draws_does_no_harm(void **state) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, 22);
	for (int round = 0; round < 6; round++) {
		struct tally out;
		struct law law = {.n_vocab = 3, .n_draws = DRAWS, .shape = BY_LUCK, .rule = tdm_branch_distinct};
		random_law(&rng, &law);
		assert_true(error_of(&law, &out) < 1e-12);
	}
}

static void fixed_law(struct law *law, const float *p, const float *q) {
	for (int r = 0; r < ROWS; r++)
		for (int v = 0; v < law->n_vocab; v++) {
			law->p[r][v] = p[v];
			law->q[r][v] = q[v];
		}
}

static void more_children_are_kept_more_often(void **state) {
	static const int star[DRAWS] = {-1, -1, -1, -1}, chain[DRAWS] = {-1, 0, 1, 2};
	const float p[] = {0.5f, 0.3f, 0.2f}, q[] = {0.2f, 0.3f, 0.5f}, same[] = {0.5f, 0.25f, 0.25f};
	struct tally out;
	double got[2][3];
	for (int k = 1; k <= 3; k++)
		for (int independent = 0; independent < 2; independent++) {
			struct law law = {.n_vocab = 3, .n_draws = k, .slots = star, .is_independent = independent};
			law.rule = independent ? tdm_branch_independent : tdm_branch_distinct;
			fixed_law(&law, p, q);
			assert_true(error_of(&law, &out) < 1e-6); // tenths are not exact in float
			got[independent][k - 1] = out.tokens;
		}
	assert_true(fabs(got[0][0] - 1.7) < 1e-6 && fabs(got[1][0] - 1.7) < 1e-6); // one child: speculative sampling
	assert_true(got[0][1] > got[0][0] && got[1][1] > got[1][0] && got[1][2] > got[1][1]);
	assert_true(fabs(got[0][2] - 2) < 1e-6); // all three tokens, without replacement: one of them stays
	struct law law = {.n_vocab = 3, .n_draws = DRAWS, .slots = chain, .rule = tdm_branch_distinct};
	fixed_law(&law, same, same);
	assert_true(error_of(&law, &out) < 1e-12);
	assert_true(fabs(out.tokens - 5) < 1e-12); // q = p: all of it
}

static void disjoint_supports_keep_nothing(void **state) {
	static const int slots[DRAWS] = {-1, -1, 0, 0};
	const float p[] = {0.5f, 0, 0.5f, 0}, q[] = {0, 0.25f, 0, 0.75f};
	for (int independent = 0; independent < 2; independent++) {
		struct tally out;
		struct law law = {.n_vocab = 3, .n_draws = DRAWS, .slots = slots, .is_independent = independent};
		law.rule = independent ? tdm_branch_independent : tdm_branch_distinct;
		fixed_law(&law, (float[]){0.5f, 0.5f, 0}, (float[]){0, 0, 1});
		assert_true(error_of(&law, &out) < 1e-12);
		assert_true(fabs(out.tokens - 1) < 1e-12);
	}
	assert_true(tdm_branch_rho(p, q, 4, 3) <= 3);
}

static void rho_is_the_published_one(void **state) {
	const float p[] = {0.5f, 0.3f, 0.2f}, q[] = {0.2f, 0.3f, 0.5f};
	assert_true(tdm_branch_rho(p, q, 3, 1) == 1);
	assert_true(fabs(tdm_branch_rho(p, q, 3, 2) - 1.456776) < 1e-6);
	assert_true(fabs(tdm_branch_rho(p, q, 3, 3) - 1.792593) < 1e-6);
	assert_true(tdm_branch_rho(p, p, 3, 4) <= 1 + 1e-6);
}

// --- rules that are wrong must not pass

static struct tdm_branch forgets_what_was_drawn(const struct tdm_branches *b, const double *accept, double last) {
	return tdm_branch_independent(b, accept, last); // as if children that differ were independent
}

static struct tdm_branch puts_back(const struct tdm_branches *b, const double *accept, double last) {
	return tdm_branch_distinct(b, accept, last); // as if independent ones were drawn without replacement
}

static struct tdm_branch draws_once(const struct tdm_branches *b, const double *accept, double last) {
	return tdm_branch_distinct(b, (double[]){accept[0], accept[0], accept[0], accept[0]}, accept[0]);
}

static struct tdm_branch turns_them_round(const struct tdm_branches *b, const double *accept, double last) {
	struct tdm_branches wrong = *b;
	int drawn[DRAWS];
	for (int i = 0; i < b->n_draws; i++)
		drawn[i] = b->drawn[b->n_draws - 1 - i];
	wrong.drawn = drawn;
	return tdm_branch_distinct(&wrong, (double[]){accept[1], accept[0]}, last);
}

static void wrong_rules_are_found(void **state) {
	static const int star[DRAWS] = {-1, -1, -1, -1};
	const float p[] = {0.5f, 0.25f, 0.25f}, q[] = {0.125f, 0.125f, 0.75f};
	static const struct {
		tdm_branch_rule *rule;
		bool is_independent, is_right;
	} cases[] = {{tdm_branch_distinct, false, true},
	             {tdm_branch_independent, true, true},
	             {forgets_what_was_drawn, false, false},
	             {puts_back, true, false},
	             {turns_them_round, false, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct tally out;
		struct law law = {.n_vocab = 3, .n_draws = 2, .slots = star, .is_independent = cases[i].is_independent};
		law.rule = cases[i].rule;
		fixed_law(&law, p, q);
		double off = error_of(&law, &out);
		assert_true(cases[i].is_right ? off < 1e-12 : off > 1e-3);
	}
}

static void a_number_is_not_used_twice(void **state) {
	const float p[] = {0.5f, 0.25f, 0.25f}, q[] = {0, 0, 1};
	struct law law = {.n_vocab = 3, .n_draws = 1};
	struct grown g = {.law = &law, .n = 1, .n_draws = 1, .tokens = {2}, .parents = {-1}, .q = {law.q[0]}};
	double right = 0, wrong = 0;
	fixed_law(&law, p, q);
	for (int i = 0; i < 1000; i++)
		for (int k = 0; k < 10; k++) {
			double accept[DRAWS] = {(i + 0.5) / 1000}, last = (k + 0.5) / 10;
			law.rule = tdm_branch_distinct;
			struct tdm_branch v = ask(&g, accept, last);
			right += v.node < 0 && v.next == 0;
			law.rule = draws_once;
			v = ask(&g, accept, last);
			wrong += v.node < 0 && v.next == 0;
		}
	assert_true(fabs(right / 10000 - 0.5) < 0.05);
	assert_true(fabs(wrong / 10000 - 0.5) > 0.05);
}

static const float *fixed_row(void *target, int node) {
	return (const float *)target + (1 + node) * 3;
}

static void greedy_walks_where_the_largest_leads(void **state) {
	float logits[] = {1, 2, 0, 9, 0, 0, 5, 5, 1, 0, 0, 9};
	const int32_t tokens[] = {0, 1, 0};
	const int parents[] = {-1, -1, 1}, drawn[] = {0, 1, 2};
	struct tdm_branches b = {.n_vocab = 3, .n_draws = 3, .tokens = tokens, .parents = parents, .drawn = drawn};
	b.p = fixed_row;
	b.target = logits;
	struct tdm_branch v = tdm_branch_greedy(&b);
	assert_int_equal(v.node, 2); // 1, and of the tie behind it the lower token
	assert_int_equal(v.next, 2);
	b.n_draws = 1;
	v = tdm_branch_greedy(&b);
	assert_int_equal(v.node, -1);
	assert_int_equal(v.next, 1);
}

int tdm_test_branches(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_shape_gives_the_target),
	    cmocka_unit_test(a_place_that_depends_on_earlier_draws_does_no_harm),
	    cmocka_unit_test(more_children_are_kept_more_often),
	    cmocka_unit_test(disjoint_supports_keep_nothing),
	    cmocka_unit_test(rho_is_the_published_one),
	    cmocka_unit_test(wrong_rules_are_found),
	    cmocka_unit_test(a_number_is_not_used_twice),
	    cmocka_unit_test(greedy_walks_where_the_largest_leads),
	};
	return cmocka_run_group_tests_name("branches", tests, NULL, NULL);
}
