// Measures worked out by hand, and replays whose every figure is known.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/grade.h"
#include "eval/replay_report.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT ((size_t)64 << 20)

static void test_measures(void **state) {
	// Four items; the score finds the two that only the strong model has right, ties included.
	const double score[] = {0.9, 0.1, 0.5, 0.5}, weak[] = {0, 1, 0, 1}, strong[] = {1, 1, 1, 1};
	struct tdm_arena arena;
	struct tdm_ranking r;
	struct tdm_routing c;
	struct tdm_risk_coverage risk;
	double base;
	tdm_arena_init(&arena, LIMIT);
	assert_int_equal(tdm_ranking_make(score, weak, strong, 4, &arena, &r, NULL), TDM_OK);
	tdm_routing_curve(&r, NULL, &c);
	assert_float_equal(c.weak, 0.5, 1e-12);
	assert_float_equal(c.strong, 1, 1e-12);
	assert_float_equal(c.share[0], 0, 0);
	assert_float_equal(c.share[1], 0.25, 1e-12); // from 0.78 on: one item
	assert_float_equal(c.quality[1], 0.75, 1e-12);
	assert_float_equal(c.share[10], 1, 1e-12);
	assert_float_equal(tdm_cpt(&c, 0.5), 0.25, 1e-12);
	assert_float_equal(tdm_cpt(&c, 0.8), 0.25 + 0.5 * 0.6, 1e-12); // a quarter more right over the two tied ones
	assert_float_equal(tdm_apgr(&c), (0.25 * 0.25 + 0.5 * 0.75 + 0.25 * 1), 1e-12);
	assert_float_equal(tdm_pgr(&c, 0.75), 0.5, 1e-12);
	assert_float_equal(tdm_auroc(&r, NULL), 3.5 / 4, 1e-12);
	assert_float_equal(tdm_auprc(&r, NULL, &base), 0.5 * 1 + 0.5 * 2 / 3, 1e-12);
	assert_float_equal(base, 0.5, 1e-12);
	tdm_risk_coverage(&r, NULL, &risk); // risks 0, 1/4, 1/3, 1/2; best 0, 0, 1/3, 1/2
	assert_float_equal(risk.aurc, (0.25 + 1.0 / 3 + 0.5) / 4, 1e-12);
	assert_float_equal(risk.excess, 0.25 / 4, 1e-12);
	const uint32_t counts[] = {0, 2, 1, 1}; // equal to the items 0.1, 0.1, 0.5, 0.5
	tdm_routing_curve(&r, counts, &c);
	assert_float_equal(c.weak, 0.75, 1e-12);
	assert_float_equal(tdm_auroc(&r, counts), (2 + 0.5) / 3, 1e-12);
	assert_float_equal(tdm_ibc_lift(tdm_ibc(0.8, 10, 0.5, 1), tdm_ibc(0.99, 50, 0.5, 1)), 700.0 / 3, 1e-9);
	const double bad[] = {1, (double)NAN, 0, 0};
	assert_int_equal(tdm_ranking_make(bad, weak, strong, 4, &arena, &r, NULL), TDM_EVALUE);
	tdm_routing_curve(&r, NULL, &c);
	c.strong = c.weak; // nothing to recover: undefined, not 0
	assert_true(isnan(tdm_apgr(&c)) && isnan(tdm_cpt(&c, 0.5)) && isnan(tdm_pgr(&c, 1)));
	tdm_arena_release(&arena);
}

static void read_text(const char *text, struct tdm_outcomes *out) {
	char path[] = "/tmp/tandem-replay-XXXXXX";
	const char *paths[] = {path};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	struct tdm_error err = {0};
	int status = tdm_outcomes_read(paths, 1, NULL, out, &err);
	unlink(path);
	if (status)
		fail_msg("%s", err.text);
}

static void test_graders(void **state) {
	static const char *const replies[][2] = {
	    {"{\\\"reasoning\\\": \\\"a\\\", \\\"answer\\\": \\\"$1,200.50\\\"}", "1200.5"},
	    {"text {\\\"answer\\\": 18} more {\\\"answer\\\": 9}", "18"},
	    {"{\\\"answer\\\": \\\"(850 / 50) * 18\\\"}", "306"},
	    {"{\\\"answer\\\": \\\"3 / 0\\\"}", "3"},
	    {"{\\\"reasoning\\\": \\\"bad \\\\\\\\q\\\", \\\"answer\\\": \\\"7 km\\\"}", "7"},
	    {"{\\\"answer\\\": 5, ", "5"},
	    {"answer: -4", "-4"},
	    {"so \\\\\\\\boxed{12}", NULL},
	    {"no number", NULL},
	};
	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		char line[512];
		struct tdm_outcomes o;
		struct tdm_arena arena;
		const char **forms;
		snprintf(line, sizeof line, "{\"item\":1,\"output\":{\"m\":\"%s\"}}", replies[i][0]);
		read_text(line, &o);
		tdm_arena_init(&arena, LIMIT);
		assert_int_equal(tdm_grade_answers(&o, 4, &arena, &forms, NULL), TDM_OK);
		if (!forms[0] != !replies[i][1] || (forms[0] && strcmp(forms[0], replies[i][1]) != 0))
			fail_msg("reply %zu read as %s", i, forms[0] ? forms[0] : "none");
		tdm_arena_release(&arena);
		tdm_outcomes_release(&o);
	}
}

static struct tdm_replay_options agreement(const size_t *small) {
	return (struct tdm_replay_options){.small = small,
	                                   .n_small = 2,
	                                   .large = 2,
	                                   .agree = 1,
	                                   .grader = 2,
	                                   .small_price = 1,
	                                   .large_price = 50,
	                                   .gate_price = 1,
	                                   .seed = 3,
	                                   .n_resamples = 50,
	                                   .n_random = 5};
}

static void test_agreement(void **state) {
	static const size_t small[] = {0, 1};
	struct tdm_outcomes o;
	struct tdm_arena arena;
	struct tdm_replay r;
	struct tdm_replay_options options = agreement(small);
	read_text("item,gold,answer:a,answer:b,answer:large\n1,5,5,5.0,4\n2,5,4,4,5\n3,5,5,4,5\n4,5,,,5\n", &o);
	tdm_arena_init(&arena, LIMIT);
	struct tdm_error err = {0};
	assert_int_equal(tdm_replay_run(&o, &options, &arena, &r, &err), TDM_EVALUE); // nobody recorded item 4
	assert_non_null(strstr(err.text, "item \"4\" has no outcome of b"));
	options.incomplete = true;
	assert_int_equal(tdm_replay_run(&o, &options, &arena, &r, NULL), TDM_OK);
	assert_int_equal(r.n_items, 3);
	assert_int_equal(r.n_left_out, 1);
	const struct tdm_replay_policy *p = &r.policies[4];
	assert_true(p->is_agreement && r.graded);
	assert_int_equal(p->n_kept, 2);
	assert_int_equal(p->n_kept_right, 1);
	assert_float_equal(p->accuracy.value, 2.0 / 3, 1e-12);
	assert_float_equal(p->share.value, 1.0 / 3, 1e-12);
	assert_float_equal(p->price.value, (3 + 3 + 53) / 3.0, 1e-12);
	assert_true(p->accuracy.low <= p->accuracy.value && p->accuracy.value <= p->accuracy.high);
	tdm_arena_release(&arena);
	tdm_outcomes_release(&o);
}

static void test_scores(void **state) {
	static const size_t small[] = {0};
	static const char *const scores[] = {"s", "-s", "oracle", "random", "length"};
	static const double shares[] = {0.5};
	struct tdm_replay_options options = agreement(small);
	struct tdm_outcomes o;
	struct tdm_arena arena;
	struct tdm_replay r;
	struct tdm_error err = {0};
	read_text("item,correct:small,correct:other,correct:large,s:small\n1,0,0,1,9\n2,0,1,1,8\n3,1,0,1,2\n4,1,0,0,1\n",
	          &o);
	tdm_arena_init(&arena, LIMIT);
	options.n_small = 1;
	options.scores = scores;
	options.n_scores = 4;
	options.shares = shares;
	options.n_shares = 1;
	assert_int_equal(tdm_replay_run(&o, &options, &arena, &r, NULL), TDM_OK);
	assert_float_equal(r.scores[0].measures[TDM_AUROC].value, 1, 1e-12);
	assert_float_equal(r.scores[1].measures[TDM_AUROC].value, 0, 1e-12);
	assert_float_equal(r.scores[2].measures[TDM_APGR].value, r.scores[0].measures[TDM_APGR].value, 1e-12);
	assert_string_equal(r.policies[4].name, "s, 50 %");
	assert_float_equal(r.policies[4].accuracy.value, 1, 1e-12);
	assert_float_equal(r.policies[4].price.value, 26.5, 1e-12);
	struct tdm_bytes text, svg;
	tdm_bytes_init(&text, LIMIT);
	tdm_bytes_init(&svg, LIMIT);
	tdm_replay_table(&r, &options, &text);
	tdm_replay_json(&r, &options, &text);
	assert_int_equal(tdm_replay_plot(&r, false, &text, NULL), TDM_OK);
	assert_int_equal(tdm_replay_plot(&r, true, &svg, NULL), TDM_OK);
	assert_non_null(strstr(text.data, "  d random\n"));
	assert_non_null(strstr(svg.data, "<polyline"));
	tdm_bytes_release(&text);
	tdm_bytes_release(&svg);
	options.scores = scores + 4;
	options.n_scores = 1;
	assert_int_equal(tdm_replay_run(&o, &options, &arena, &r, &err), TDM_EVALUE);
	assert_non_null(strstr(err.text, "score length: item \"1\" has no prompt"));
	tdm_arena_release(&arena);
	tdm_outcomes_release(&o);
}

int tdm_test_replay(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_measures), cmocka_unit_test(test_graders),
	                                   cmocka_unit_test(test_agreement), cmocka_unit_test(test_scores)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
