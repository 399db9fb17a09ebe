// What decides whether guesses go into a pass: time that was measured, and text that came.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>
#include "base/random.h"
#include "cost/speculate/lookup.h"
#include "cost/speculate/worth.h"
#include "tests.h"

static struct tdm_guess chain(int n) {
	struct tdm_guess g = {.n = n};
	for (int i = 0; i < n; i++) {
		g.tokens[i] = i;
		g.parents[i] = i - 1;
	}
	return g;
}

struct world {
	struct tdm_pace pace;
	struct tdm_watch watch;
	struct tdm_rng rng;
	double token_us, accept; // what each further token of a pass costs, of 1000; how likely a guess goes on
	int64_t tokens, us, guessed;
};

// One pass as the loop makes it, in a world where time and luck are known.
static void go(struct world *w) {
	struct tdm_guess g = chain(10);
	tdm_watch_start(&w->watch, &g);
	int n = tdm_pace_choose(&w->pace, &g, 10), came = 0;
	int64_t us = (int64_t)(1000 + w->token_us * n);
	while (came < 10 && tdm_rng_double(&w->rng) < w->accept)
		came++;
	tdm_pace_pass(&w->pace, 1 + n, us);
	for (int i = 0; i <= came && i <= n; i++)
		tdm_watch_token(&w->watch, &w->pace, i < came ? i : 99);
	if (came > n) // what the guess would have brought shows in the passes after
		for (int i = n + 1; i <= came && w->watch.is_on; i++)
			tdm_watch_token(&w->watch, &w->pace, i < came ? i : 99);
	w->tokens += 1 + (came < n ? came : n);
	w->us += us;
	w->guessed += n;
}

static void world_init(struct world *w, double token_us, double accept) {
	memset(w, 0, sizeof *w);
	tdm_pace_init(&w->pace);
	tdm_rng_init(&w->rng, 5);
	w->token_us = token_us;
	w->accept = accept;
}

static double times_plain(struct world *w, int passes) {
	w->tokens = w->us = w->guessed = 0;
	for (int i = 0; i < passes; i++)
		go(w);
	return 1000.0 * (double)w->tokens / (double)w->us;
}

static void demand_46_drafts_are_off_where_they_lose(void **state) {
	static const double accept[] = {0, 0.2, 0.5, 0.8, 0.95}, token_us[] = {20, 100, 300, 600, 1000, 2000};
	for (size_t i = 0; i < sizeof accept / sizeof *accept; i++)
		for (size_t k = 0; k < sizeof token_us / sizeof *token_us; k++) {
			struct world w;
			world_init(&w, token_us[k], accept[i]);
			assert_true(times_plain(&w, 4000) > 0.97); // from the first pass on
		}
}

static void they_are_on_where_they_win(void **state) {
	struct world w;
	world_init(&w, 50, 0.8);
	times_plain(&w, 200);
	double got = times_plain(&w, 4000), best = 0, all = 1, sum = 1;
	for (int m = 1; m <= 10; m++) {
		all *= 0.8;
		sum += all;
		best = sum / (1 + 0.05 * m) > best ? sum / (1 + 0.05 * m) : best;
	}
	assert_true(got > 0.9 * best);
}

static void they_come_back(void **state) {
	struct world w;
	world_init(&w, 900, 0.8);
	assert_true(times_plain(&w, 3000) > 0.97);
	w.token_us = 30; // the machine is free again
	times_plain(&w, 2500);
	assert_true(times_plain(&w, 1000) > 2);
	w.accept = 0; // and the text another one
	times_plain(&w, 300);
	assert_true(times_plain(&w, 2000) > 0.97);
	w.accept = 0.9;
	times_plain(&w, 300);
	assert_true(times_plain(&w, 1000) > 2);
}

static void one_long_pass_does_not_last(void **state) {
	struct world w;
	world_init(&w, 30, 0.8);
	times_plain(&w, 500);
	for (int i = 2; i < 12; i++)
		tdm_pace_pass(&w.pace, i, 1000000);
	times_plain(&w, 1500);
	assert_true(times_plain(&w, 500) > 2);
}

static void costs_between_measured_ones_are_on_the_line(void **state) {
	struct tdm_pace p;
	tdm_pace_init(&p);
	assert_true(tdm_pace_cost(&p, 3) == 0);
	tdm_pace_pass(&p, 5, 200);
	tdm_pace_pass(&p, 1, 100);
	p.fresh[5] = 1;
	assert_true(tdm_pace_cost(&p, 3) == 150);
	assert_true(tdm_pace_cost(&p, 9) > 200);
	assert_int_equal(tdm_pace_choose(&p, &(struct tdm_guess){.n = 0}, 8), 0);
}

static void lookup_takes_the_longest_match_and_the_latest(void **state) {
	const int32_t text[] = {7, 1, 2, 3, 9, 1, 2, 3, 8, 5, 2, 3, 4, 1, 2, 3};
	struct tdm_guess g;
	tdm_lookup(text, 16, 4, &g);
	assert_int_equal(g.sort, 2); // 1 2 3, of which the latest is followed by 8
	assert_int_equal(g.n, 4);
	assert_memory_equal(g.tokens, ((int32_t[]){8, 5, 2, 3}), 16);
	tdm_lookup(text, 5, 4, &g);
	assert_int_equal(g.n, 0);
	tdm_lookup((int32_t[]){4, 6, 6, 6}, 4, 5, &g); // a match that overlaps its end goes on as it is
	assert_int_equal(g.n, 5);
	for (int i = 0; i < 5; i++)
		assert_int_equal(g.tokens[i], 6);
	tdm_lookup((int32_t[]){4, 6, 4, 6, 4}, 5, 5, &g);
	assert_memory_equal(g.tokens, ((int32_t[]){6, 4, 6, 4, 6}), 20);
	tdm_lookup(NULL, 0, 5, &g);
	assert_int_equal(g.n, 0);
}

// Drafts of the length that the pace chooses, at an acceptance and with costs that are known.
static double drafted_times_plain(double accept, double token_us) {
	static const struct tdm_guess any = {.n = 24};
	struct tdm_pace p;
	struct tdm_rng rng;
	double tokens = 0, us = 0;
	tdm_pace_init(&p);
	tdm_rng_init(&rng, 7);
	for (int i = 0; i < 3000; i++) {
		int n = tdm_pace_choose(&p, &any, 24), came = 0;
		double took = 1000 + token_us * n;
		while (came < n && tdm_rng_double(&rng) < accept)
			came++;
		tdm_pace_pass(&p, 1 + n, (int64_t)took);
		if (n > 0)
			tdm_pace_kept(&p, 0, n, came);
		tokens += 1 + came;
		us += took;
	}
	return 1000 * tokens / us;
}

static void drafts_are_nearly_as_long_as_is_best(void **state) {
	static const double accept[] = {0.3, 0.6, 0.7, 0.8, 0.9, 0.95}, token_us[] = {50, 150, 300, 700};
	for (size_t i = 0; i < sizeof accept / sizeof *accept; i++)
		for (size_t k = 0; k < sizeof token_us / sizeof *token_us; k++) {
			double best = 1, sum = 1, all = 1;
			for (int m = 1; m <= 24; m++) {
				sum += all *= accept[i];
				best = fmax(best, sum / (1 + token_us[k] * m / 1000));
			}
			assert_true(drafted_times_plain(accept[i], token_us[k]) > 0.95 * best);
		}
}

// The same where making and passes are timed apart, by a clock that is off by up to a fifth, on a machine that is up to
// `drift` times slower for a while, and a draft ends at each place with the probability `ends`; times plain without
// noise and drift.
static double made_times_plain(double accept, double token_us, double look_us, double ends, double drift) {
	static const struct tdm_guess any = {.n = 24};
	struct tdm_pace p;
	struct tdm_rng rng;
	double tokens = 0, us = 0;
	tdm_pace_init(&p);
	tdm_rng_init(&rng, 8);
	for (int i = 0; i < 3000; i++) {
		int m = tdm_pace_choose(&p, &any, 24), n = 0, came = 0;
		while (n < m && tdm_rng_double(&rng) >= ends)
			n++;
		while (came < n && tdm_rng_double(&rng) < accept)
			came++;
		double made = look_us * (n < m ? n + 1 : n), pass = 1000 + token_us * n, slow = pow(drift, sin(i / 30.0));
		tdm_pace_pass(&p, 1 + n, (int64_t)(slow * pass * (0.8 + 0.4 * tdm_rng_double(&rng))));
		if (m > 0) {
			tdm_pace_made(&p, m, n, (int64_t)(slow * made * (0.8 + 0.4 * tdm_rng_double(&rng))));
			tdm_pace_kept(&p, 0, m, came);
		}
		tokens += 1 + came;
		us += made + pass;
	}
	return 1000 * tokens / us;
}

static void drafts_are_as_long_as_is_best_on_an_uneven_machine(void **state) {
	static const double accept[] = {0.5, 0.6, 0.7, 0.8, 0.9}, token_us[] = {20, 50, 150, 400}, ends[] = {0, 0.1, 0.3};
	for (int i = 0; i < 60; i++) {
		double a = accept[i % 5], t = token_us[i / 5 % 4], e = ends[i / 20], look = 140;
		double best = 1, tokens = 1, us = 0, reach = 1;
		for (int m = 1; m <= 24; m++) {
			us += reach * look + reach * (1 - e) * t;
			reach *= 1 - e;
			tokens += reach * pow(a, m);
			best = fmax(best, 1000 * tokens / (1000 + us));
		}
		for (int drifts = 0; drifts < 2; drifts++) {
			double got = made_times_plain(a, t, look, e, drifts ? 1.5 : 1);
			assert_true(got > 0.97);
			assert_true(got > (best > 1.15 ? 0.94 : 0.9) * best); // what is hardly worth it may be left alone
		}
	}
}

// Trees each of whose places comes true as often as its number says.
static void trees_are_as_large_as_is_best(void **state) {
	static const double token_us[] = {10, 60, 150, 600};
	for (size_t k = 0; k < sizeof token_us / sizeof *token_us; k++) {
		struct tdm_guess any = {.n = 24};
		struct tdm_pace p;
		struct tdm_rng rng;
		double tokens = 0, us = 0, best = 1, sum = 1;
		tdm_pace_init(&p);
		tdm_rng_init(&rng, 17);
		for (int m = 1; m <= 24; m++) {
			sum += pow(0.8, m);
			best = fmax(best, sum / (1 + token_us[k] * m / 1000));
		}
		for (int i = 0; i < 4000; i++) {
			int path[24], kept = 0, m = tdm_pace_choose(&p, &any, 24);
			for (int at = 0; at < m; at++) // each as likely as it says, of all trees
				if (tdm_rng_double(&rng) < pow(0.8, at + 1))
					path[kept++] = at;
			tdm_pace_pass(&p, 1 + m, (int64_t)(1000 + token_us[k] * m));
			if (m > 0)
				tdm_pace_branched(&p, 0, m, path, kept);
			tokens += i < 1000 ? 0 : 1 + kept;
			us += i < 1000 ? 0 : 1000 + token_us[k] * m;
		}
		assert_true(1000 * tokens / us > 0.93 * best);
		assert_true(tdm_pace_each(&p, 0, 1) > 0);
	}
}

static void an_opening_goes_as_far_as_even_odds(void **state) {
	struct tdm_pace p;
	tdm_pace_init(&p);
	assert_int_equal(tdm_pace_run(&p, 24), 0);
	for (int i = 0; i < 400; i++)
		tdm_pace_held(&p, 6, 6);
	assert_int_equal(tdm_pace_run(&p, 24), 24);
	for (int i = 0; i < 400; i++)
		tdm_pace_held(&p, 6, i % 2 ? 4 : 5); // nine of eleven
	assert_in_range(tdm_pace_run(&p, 24), 3, 4);
	for (int i = 0; i < 400; i++)
		tdm_pace_held(&p, 6, 0);
	assert_int_equal(tdm_pace_run(&p, 24), 1);
	assert_int_equal(tdm_pace_run(&p, 0), 0);
}

// Answers of 10 tokens to prompts of so many bytes, where a draft makes the prompt dearer and the tokens cheaper.
static int answers_with_a_draft(struct tdm_worth *w, size_t bytes, double prompt_us, double token_us, int n) {
	struct tdm_pace p;
	int with = 0;
	tdm_pace_init(&p);
	tdm_pace_pass(&p, 1, 100);
	for (int i = 0; i < n; i++) {
		bool is_with = tdm_worth_ask(w, bytes);
		int64_t start_us = is_with ? (int64_t)(prompt_us * 1000) : 1000;
		int64_t us = start_us + (int64_t)((is_with ? token_us : 1) * 900 * 1.2); // what nobody measures is there too
		tdm_worth_tell(w, bytes, is_with, &p, 10, start_us, us);
		with += is_with;
	}
	return with;
}

static void a_draft_is_asked_where_whole_answers_gain(void **state) {
	struct tdm_worth w;
	memset(&w, 0, sizeof w);
	assert_true(answers_with_a_draft(&w, 100, 1.1, 0.6, 640) > 600);
	assert_true(answers_with_a_draft(&w, 100000, 2, 0.6, 640) < 40); // the prompt takes the gain
	assert_true(answers_with_a_draft(&w, 50000, 2, 0.6, 62) <= 2);   // about as long: nobody tries it again
	assert_true(answers_with_a_draft(&w, 100, 1.1, 0.6, 640) > 600);
	answers_with_a_draft(&w, 100, 1.1, 1.5, 64);
	assert_true(answers_with_a_draft(&w, 100, 1.1, 1.5, 640) < 40);
	answers_with_a_draft(&w, 100, 1.0, 0.5, 640); // and back
	assert_true(answers_with_a_draft(&w, 100, 1.0, 0.5, 640) > 600);
}

// Answers whose times scatter by a seventh, with prompts of three lengths, 400 of them from the first on: times plain.
static double times_plain_of_answers(double ratio, uint64_t seed) {
	struct tdm_worth w;
	struct tdm_pace p;
	struct tdm_rng rng;
	double us = 0;
	memset(&w, 0, sizeof w);
	tdm_pace_init(&p);
	tdm_pace_pass(&p, 1, 100);
	tdm_rng_init(&rng, seed);
	for (int i = 0; i < 400; i++) {
		size_t bytes = (size_t)100 << tdm_rng_below(&rng, 3);
		bool is_with = tdm_worth_ask(&w, bytes);
		double noise = exp(0.15 * tdm_rng_normal(&rng)), took = 2900 * (is_with ? ratio : 1);
		tdm_worth_tell(&w, bytes, is_with, &p, 20, (int64_t)(1000 * noise), (int64_t)(took * noise));
		us += took;
	}
	return 2900 * 400 / us;
}

static void demand_46_a_draft_that_loses_a_little_costs_less(void **state) {
	static const double ratios[] = {0.7, 0.9, 1, 1.03, 1.06, 1.1, 1.3, 2, 4};
	for (int i = 0; i < 9; i++) {
		double sum = 0;
		for (uint64_t seed = 1; seed <= 20; seed++)
			sum += times_plain_of_answers(ratios[i], seed) / 20;
		assert_true(sum > 0.98);
		assert_true(ratios[i] > 0.9 || sum > 0.97 / ratios[i]);
	}
}

int tdm_test_pace(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(demand_46_drafts_are_off_where_they_lose),
	    cmocka_unit_test(they_are_on_where_they_win),
	    cmocka_unit_test(they_come_back),
	    cmocka_unit_test(one_long_pass_does_not_last),
	    cmocka_unit_test(costs_between_measured_ones_are_on_the_line),
	    cmocka_unit_test(drafts_are_nearly_as_long_as_is_best),
	    cmocka_unit_test(drafts_are_as_long_as_is_best_on_an_uneven_machine),
	    cmocka_unit_test(trees_are_as_large_as_is_best),
	    cmocka_unit_test(an_opening_goes_as_far_as_even_odds),
	    cmocka_unit_test(demand_46_a_draft_that_loses_a_little_costs_less),
	    cmocka_unit_test(a_draft_is_asked_where_whole_answers_gain),
	    cmocka_unit_test(lookup_takes_the_longest_match_and_the_latest),
	};
	return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
