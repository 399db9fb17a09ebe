// Acceptance that is not exact: the law of an answer is the one that the rule says, whatever was drafted, and nothing
// that may differ from the target is called exact.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "cost/kinds.h"
#include "cost/defer/leeway.h"
#include "tests.h"

enum { V = 12 };
static const char *const roles[] = {"target", "draft"};
static float target_table[V * V], draft_table[V * V];

static void random_tables(uint64_t seed) {
	struct tdm_rng rng;
	tdm_rng_init(&rng, seed);
	for (int i = 0; i < V * V; i++) {
		target_table[i] = tdm_rng_below(&rng, 5) ? (float)tdm_rng_normal(&rng) * 1.5f : -1000;
		draft_table[i] = tdm_rng_below(&rng, 5) ? target_table[i] / 2 + (float)tdm_rng_normal(&rng) : -1000;
	}
}

static void softmax(const float *logits, float *p) {
	double sum = 0, top = -INFINITY;
	for (int i = 0; i < V; i++)
		top = fmax(top, (double)logits[i]);
	for (int i = 0; i < V; i++)
		sum += exp((double)logits[i] - top);
	for (int i = 0; i < V; i++)
		p[i] = (float)(exp((double)logits[i] - top) / sum);
}

// --- the rules alone

static void a_cascade_is_the_mixture_it_says(void **state) {
	const float p[] = {0.5f, 0.3f, 0.2f, 0}, q[] = {0.2f, 0.3f, 0.1f, 0.4f};
	float out[4];
	tdm_leeway_mix(TDM_ACCEPT_CASCADE, 1, p, q, 4, out); // everything is near enough: q
	assert_memory_equal(out, q, sizeof q);
	tdm_leeway_mix(TDM_ACCEPT_CASCADE, 0, p, q, 4, out); // the best token alone: .2 of q, .8 by p
	const double none[] = {0.2 + 0.8 * 0.5, 0.8 * 0.3, 0.8 * 0.2, 0};
	for (int i = 0; i < 4; i++)
		assert_true(fabs((double)out[i] - none[i]) < 1e-7);
	tdm_leeway_mix(TDM_ACCEPT_CASCADE, 0.5, p, q, 4, out); // from .25 on: two tokens
	const double half[] = {0.2 + 0.5 * 0.5, 0.3 + 0.5 * 0.3, 0.5 * 0.2, 0};
	for (int i = 0; i < 4; i++)
		assert_true(fabs((double)out[i] - half[i]) < 1e-7);
	// max q = .4 < .5 - alpha .4: the target speaks while alpha < .25
	tdm_leeway_mix(TDM_ACCEPT_OPT, 0.2, p, q, 4, out);
	assert_memory_equal(out, p, sizeof p);
	tdm_leeway_mix(TDM_ACCEPT_OPT, 0.3, p, q, 4, out);
	assert_memory_equal(out, q, sizeof q);
}

static void a_greedy_cascade_without_leeway_is_the_target(void **state) {
	const float p[] = {0.4f, 0.4f, 0.2f}, q[] = {0.1f, 0.8f, 0.1f};
	assert_false(tdm_leeway_keeps(TDM_ACCEPT_CASCADE, 0, p, q, 3, 0, 1)); // not even where the two are as likely
	assert_true(tdm_leeway_keeps(TDM_ACCEPT_CASCADE, 0, p, q, 3, 0, 0));
	assert_true(tdm_leeway_keeps(TDM_ACCEPT_CASCADE, 0.5, p, q, 3, 0, 2));
	assert_false(tdm_leeway_keeps(TDM_ACCEPT_CASCADE, 0.4, p, q, 3, 0, 2));
	assert_true(tdm_leeway_keeps(TDM_ACCEPT_OPT, 0, p, q, 3, 0, 1));
}

static const float *one_row(void *target, int i) {
	return (const float *)target + i * 4;
}

static void typical_tokens_stay(void **state) {
	// H = 1.28 nats: 0.3 e^-H = 0.083; uniform: H = ln 4, 0.075; certain: H = 0, 0.09 is the bar
	float rows[] = {0.4f, 0.3f, 0.22f, 0.08f, 0.25f, 0.25f, 0.25f, 0.25f, 1, 0, 0, 0};
	const int32_t good[] = {2, 3}, bad[] = {3, 3};
	struct tdm_chain chain = {4, 2, good, NULL, one_row, rows};
	struct tdm_verified v = tdm_leeway_chain(TDM_ACCEPT_TYPICAL, &chain, 0.99);
	assert_int_equal(v.accepted, 2);
	assert_int_equal(v.next, 0);
	chain.drafted = bad;
	v = tdm_leeway_chain(TDM_ACCEPT_TYPICAL, &chain, 0.99);
	assert_int_equal(v.accepted, 0);
	assert_int_equal(v.next, 3);
	v = tdm_leeway_chain(TDM_ACCEPT_GREEDY, &chain, 0.5);
	assert_int_equal(v.accepted, 0);
	assert_int_equal(v.next, 1);
}

static void nothing_with_leeway_is_called_exact(void **state) {
	assert_string_equal(tdm_guarantee(TDM_ACCEPT_EXACT, true), "exact");
	assert_string_equal(tdm_guarantee(TDM_ACCEPT_EXACT, false), "exact");
	for (int accept = TDM_ACCEPT_GREEDY; accept <= TDM_ACCEPT_OPT; accept++) {
		bool mixes = tdm_accept_mixes((enum tdm_accept)accept);
		assert_string_equal(tdm_guarantee((enum tdm_accept)accept, false), "lossy");
		assert_string_equal(tdm_guarantee((enum tdm_accept)accept, true), mixes ? "lossy" : "greedy-exact");
	}
}

// --- answers

struct setting {
	const char *options;
	float temperature;
	int max_tokens, tail, draft_context;
};

static const char *answer(const struct setting *s, uint64_t seed, char *out, const char *guarantee) {
	struct fake target, draft;
	struct asked a;
	struct tdm_request request;
	fake_init(&target, "large", target_table, V, V);
	fake_init(&draft, "small", draft_table, V, V);
	target.tail = s->tail;
	if (s->draft_context)
		draft.context = s->draft_context;
	tdm_request_init(&request);
	request.temperature = s->temperature;
	request.max_tokens = s->max_tokens;
	assert_int_equal(
	    asked_make(&a, &tdm_kind_speculate, s->options, 2, (struct tdm_model *[]){&target.model, &draft.model}, roles),
	    TDM_OK);
	snprintf(out, 128, "%s", asked_answer(&a, seed, &request));
	assert_int_equal(a.status, TDM_OK);
	if (guarantee) {
		assert_string_equal(a.run.record->decisions->choice, guarantee);
		assert_non_null(strstr(a.run.record->decisions->detail, "accept "));
	}
	assert_int_equal(target.open_sessions + draft.open_sessions, 0);
	a.model->ops->destroy(a.model);
	asked_done(&a);
	return out;
}

// Of a table alone, token by token.
static void greedy_of(const float *table, int n, char *out) {
	int last = 0;
	for (int i = 0; i < n; i++) {
		const float *row = table + last * V;
		last = 0;
		for (int v = 1; v < V; v++)
			last = row[v] > row[last] ? v : last;
		out[i] = (char)('a' + last);
	}
	out[n] = 0;
}

static void a_greedy_cascade_goes_from_the_target_to_the_draft(void **state) {
	static const char *const all[] = {"{accept: cascade, alpha: 0, min_prob: 0}",
	                                  "{accept: cascade, alpha: 1, min_prob: 0, adaptive: no}",
	                                  "{accept: cascade, alpha: 1, gamma: 1, adaptive: no, opening: 0}"};
	for (int round = 0; round < 40; round++) {
		struct setting s = {.temperature = 0, .max_tokens = 30, .tail = round % 2 ? 24 : -1};
		char got[128], of_target[64], of_draft[64];
		random_tables((uint64_t)round);
		greedy_of(target_table, 30, of_target);
		greedy_of(draft_table, 30, of_draft);
		for (int i = 0; i < 3; i++) {
			s.options = all[i];
			assert_string_equal(answer(&s, 1, got, "lossy"), i == 0 ? of_target : of_draft);
		}
	}
}

// Without chance the answer is a function of the two models: how much is drafted, and when, changes nothing.
static void a_greedy_cascade_does_not_depend_on_what_is_drafted(void **state) {
	static const char *const ways[] = {"gamma: 1, adaptive: no, opening: 0", "gamma: 9, adaptive: no, min_prob: 0",
	                                   "min_prob: 0.4", "gamma: 3, min_prob: 0, opening: 2, ahead: no"};
	static const char *const rules[] = {"accept: cascade, alpha: 0.3", "accept: cascade_opt, alpha: 0.4"};
	for (int round = 0; round < 60; round++) {
		char want[128], got[128], options[128];
		struct setting s = {.options = options, .max_tokens = 12 + round % 9};
		random_tables((uint64_t)round);
		for (int i = 0; i < 4; i++) {
			snprintf(options, sizeof options, "{%s, %s}", rules[round % 2], ways[i]);
			s.tail = i % 2 ? 24 : -1;
			answer(&s, 1, i ? got : want, "lossy");
			if (i)
				assert_string_equal(got, want);
		}
	}
}

static void the_other_rules_are_the_target_when_greedy(void **state) {
	static const char *const options[] = {"{accept: greedy, min_prob: 0}", "{accept: typical, gamma: 9, adaptive: no}"};
	for (int round = 0; round < 20; round++) {
		struct setting s = {.options = options[round % 2], .temperature = 0, .max_tokens = 30, .tail = 24};
		char got[128], want[64];
		random_tables((uint64_t)round);
		greedy_of(target_table, 30, want);
		assert_string_equal(answer(&s, 1, got, "greedy-exact"), want);
		s.temperature = 1;
		answer(&s, 1, got, "lossy");
	}
}

// How far the transitions of many sampled answers are from a law, in standard deviations of chi-square.
static double distance(const struct setting *s, float law[V][V]) {
	static int seen[V][V], from[V];
	double x2 = 0;
	int df = -V;
	memset(seen, 0, sizeof seen);
	memset(from, 0, sizeof from);
	for (uint64_t i = 0; i < 1200; i++) {
		char text[128];
		answer(s, i, text, NULL);
		assert_int_equal(strlen(text), 30);
		for (int k = 1; k < 30; k++) {
			from[text[k - 1] - 'a']++;
			seen[text[k - 1] - 'a'][text[k] - 'a']++;
		}
	}
	for (int i = 0; i < V; i++)
		for (int j = 0; j < V; j++) {
			double want = (double)law[i][j] * from[i];
			assert_true(law[i][j] > 0 || !seen[i][j]);
			if (want <= 0)
				continue;
			x2 += (seen[i][j] - want) * (seen[i][j] - want) / want;
			df++;
		}
	return (x2 - df) / sqrt(2.0 * df);
}

static void a_sampled_cascade_has_the_law_that_it_says(void **state) {
	static const struct {
		enum tdm_accept accept;
		double alpha;
		const char *options;
	} cases[] = {{TDM_ACCEPT_CASCADE, 0.3, "{accept: cascade, alpha: 0.3, min_prob: 0, gamma: 5, adaptive: no}"},
	             {TDM_ACCEPT_CASCADE, 0.3, "{accept: cascade, alpha: 0.3, min_prob: 0, verify: block}"},
	             {TDM_ACCEPT_CASCADE, 1, "{accept: cascade, alpha: 1, min_prob: 0.2}"},
	             {TDM_ACCEPT_OPT, 0.3, "{accept: cascade_opt, alpha: 0.3, min_prob: 0}"}};
	float law[V][V];
	random_tables(77);
	for (int c = 0; c < 4; c++) {
		struct setting s = {.options = cases[c].options, .temperature = 1, .max_tokens = 30, .tail = c % 2 ? 24 : -1};
		for (int i = 0; i < V; i++) {
			float p[V], q[V];
			softmax(target_table + i * V, p);
			softmax(draft_table + i * V, q);
			tdm_leeway_mix(cases[c].accept, cases[c].alpha, p, q, V, law[i]);
			if (cases[c].alpha == 1 && cases[c].accept == TDM_ACCEPT_CASCADE)
				assert_memory_equal(law[i], q, sizeof q);
		}
		double off = distance(&s, law);
		if (fabs(off) > 4)
			fail_msg("%s: %.1f standard deviations", s.options, off);
	}
}

// Where the draft's context is full, the target goes on alone.
static void a_small_draft_ends_before_the_answer(void **state) {
	struct setting s = {.options = "{accept: cascade, alpha: 1, min_prob: 0}", .max_tokens = 30, .draft_context = 12};
	char got[128], of_draft[64];
	random_tables(5);
	greedy_of(draft_table, 30, of_draft);
	assert_int_equal(strlen(answer(&s, 1, got, "lossy")), 30);
	assert_memory_equal(got, of_draft, 8);
}

static void guesses_take_no_leeway(void **state) {
	struct fake target;
	struct asked a;
	fake_init(&target, "large", target_table, V, V);
	assert_int_equal(asked_make(&a, &tdm_kind_speculate, "{from: all, accept: cascade}", 1,
	                            (struct tdm_model *[]){&target.model}, roles),
	                 TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "guesses and texts are always exact"));
	asked_done(&a);
}

int tdm_test_leeway(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_cascade_is_the_mixture_it_says),
	    cmocka_unit_test(a_greedy_cascade_without_leeway_is_the_target),
	    cmocka_unit_test(typical_tokens_stay),
	    cmocka_unit_test(nothing_with_leeway_is_called_exact),
	    cmocka_unit_test(a_greedy_cascade_goes_from_the_target_to_the_draft),
	    cmocka_unit_test(a_greedy_cascade_does_not_depend_on_what_is_drafted),
	    cmocka_unit_test(the_other_rules_are_the_target_when_greedy),
	    cmocka_unit_test(a_sampled_cascade_has_the_law_that_it_says),
	    cmocka_unit_test(a_small_draft_ends_before_the_answer),
	    cmocka_unit_test(guesses_take_no_leeway),
	};
	return cmocka_run_group_tests_name("leeway", tests, NULL, NULL);
}
