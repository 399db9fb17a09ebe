// Tables, certificates made of them, their bytes and their signatures.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "assure/issue.h"
#include "base/random.h"
#include "tests.h"

static struct tdm_arena arena;
static struct tdm_error err;

static int open_arena(void **state) {
	tdm_arena_init(&arena, 64 << 20);
	err = (struct tdm_error){0};
	return 0;
}

static int close_arena(void **state) {
	tdm_arena_release(&arena);
	return 0;
}

static const uint8_t key[TDM_ED25519_KEY_BYTES] = {7, 1};

// 1,000 items whose score is how sure they are to be without loss, graded ones if asked for.
static struct tdm_bytes make_table(double grade) {
	struct tdm_bytes t;
	struct tdm_rng rng;
	tdm_rng_init(&rng, 9);
	tdm_bytes_init(&t, 1 << 20);
	tdm_bytes_puts(&t, "item\tscore\tloss\n");
	for (int i = 0; i < 1000; i++) {
		double score = tdm_rng_double(&rng);
		bool bad = tdm_rng_double(&rng) < .3 * (1 - score) * (1 - score);
		tdm_bytes_printf(&t, "item %d\t%.4f\t%g\n", i, score, bad ? grade : 0);
	}
	return t;
}

static struct tdm_issue plain(void) {
	return (struct tdm_issue){.epsilon = "0.05",
	                          .delta = "0.05",
	                          .bound = TDM_BOUND_AUTO,
	                          .starts = 1,
	                          .steps = 100,
	                          .from = 1,
	                          .to = 0,
	                          .seed = 1,
	                          .subject = "m",
	                          .loss = "l",
	                          .loss_source = "exact_match",
	                          .models = "{}",
	                          .prompts = "",
	                          .gate = "",
	                          .config = "",
	                          .code = "",
	                          .days = 30};
}

static struct tdm_bytes make(const char *text, size_t n, const struct tdm_issue *issue, struct tdm_certificate *c) {
	struct tdm_labels table;
	struct tdm_bytes out;
	tdm_bytes_init(&out, TDM_CERTIFICATE_LIMIT_BYTES);
	assert_int_equal(tdm_labels_read(&arena, "t.tsv", text, n, issue->seed, &table, &err), TDM_OK);
	assert_int_equal(tdm_issue_certificate(&arena, issue, &table, c, &err), TDM_OK);
	assert_int_equal(tdm_certificate_seal(&arena, c, key, &out, &err), TDM_OK);
	return out;
}

static void n19_n20_equal_input_equal_bytes(void **state) {
	struct tdm_bytes t = make_table(1);
	struct tdm_issue issue = plain();
	struct tdm_certificate a, b, other;
	struct tdm_bytes x = make(t.data, t.len, &issue, &a);
	setlocale(LC_ALL, "de_DE.UTF-8"); // N19: where it is there, a comma would show
	struct tdm_bytes y = make(t.data, t.len, &issue, &b);
	setlocale(LC_ALL, "C");
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
	assert_string_equal(a.bound, "binomial");
	assert_true(strtod(a.lambda, NULL) > .2 && strtod(a.lambda, NULL) < .6);
	assert_true(strtod(a.upper, NULL) <= .05 && strtod(a.p_value, NULL) <= .05);
	issue.seed = 2; // another order: the binomial bound does not read it, the certificate says it
	struct tdm_bytes z = make(t.data, t.len, &issue, &other);
	assert_string_equal(other.lambda, a.lambda);
	assert_string_not_equal(other.order_hash, a.order_hash);
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
	tdm_bytes_release(&z);
	tdm_bytes_release(&t);
}

static void any_changed_byte_is_found(void **state) {
	struct tdm_bytes t = make_table(1);
	struct tdm_issue issue = plain();
	struct tdm_certificate c, again;
	struct tdm_bytes x = make(t.data, t.len, &issue, &c);
	assert_int_equal(tdm_certificate_read(&arena, "c.json", x.data, x.len, &again, &err), TDM_OK);
	assert_string_equal(again.id, c.id);
	assert_string_equal(again.reliability, c.reliability);
	assert_string_equal(again.lambda, c.lambda);
	for (size_t i = 0; i + 1 < x.len; i += TDM_SANITIZED ? 7 : 1) { // the line end at the end is no part of it
		struct tdm_arena small;
		struct tdm_error e = {0};
		tdm_arena_init(&small, 1 << 20);
		x.data[i] ^= 1;
		if (tdm_certificate_read(&small, "c.json", x.data, x.len, &again, &e) != TDM_ECONFIG)
			fail_msg("byte %zu", i);
		x.data[i] ^= 1;
		tdm_arena_release(&small);
	}
	for (size_t n = 0; n + 2 < x.len; n += 37) {
		struct tdm_error e = {0};
		assert_int_equal(tdm_certificate_read(&arena, "c.json", x.data, n, &again, &e), TDM_ECONFIG);
	}
	tdm_bytes_release(&x);
	tdm_bytes_release(&t);
}

static void found_again_from_what_it_says(void **state) {
	struct tdm_bytes t = make_table(.5);
	struct tdm_issue issue = plain(), says;
	struct tdm_certificate c, is;
	issue.procedure = TDM_MULTI_START;
	issue.starts = 3;
	issue.risk = TDM_RISK_SELECTIVE;
	issue.epsilon = "0.10";
	struct tdm_bytes x = make(t.data, t.len, &issue, &c);
	assert_string_equal(c.bound, "betting");
	assert_int_equal(tdm_issue_again(&c, &says, &err), TDM_OK);
	says.models = c.models;
	struct tdm_bytes y = make(t.data, t.len, &says, &is);
	assert_string_equal(is.lambda, c.lambda);
	assert_string_equal(is.p_value, c.p_value);
	assert_string_equal(is.grid_hash, c.grid_hash);
	assert_string_not_equal(c.lambda, "inf");
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
	tdm_bytes_release(&t);
}

static void n13_duplicates_are_left_out(void **state) {
	static const char text[] = "score\titem\tlarge\tsmall\n"
	                           "0.9\tWhat is 1+1?\t1\t1\n"
	                           "0.9\twhat IS 1+1?\t1\t0\n" // the same, folded
	                           "0.8\tother\t1\t0.25\n"
	                           "0.7\tthird\t0\t1\n";
	struct tdm_labels t;
	assert_int_equal(tdm_labels_read(&arena, "t", text, sizeof text - 1, 1, &t, &err), TDM_OK);
	assert_int_equal(t.items.n, 3);
	assert_int_equal(t.n_duplicates, 1);
	assert_true(t.is_graded && t.has_models);
	double sum = 0;
	for (int i = 0; i < 3; i++)
		sum += t.items.loss[i];
	assert_true(sum == .75); // the first of the two counts, and what the small one does better is no gain
	assert_true(t.least == .7 && t.most == .9);
}

// What is passed on is not always answered as the large model would: that counts, and where even passing everything on
// loses too much there is nothing to promise. Net counts gains as negative losses.
static void what_is_passed_on_counts(void **state) {
	struct tdm_labels t;
	struct tdm_certificate c;
	struct tdm_error e = {0};
	struct tdm_issue issue = plain();
	for (int worse = 0; worse < 2; worse++) { // of those passed on every 50th or every 10th is wrong
		struct tdm_bytes text;
		tdm_bytes_init(&text, 1 << 20);
		tdm_bytes_puts(&text, "item\tscore\tsmall\tlarge\tnext\n");
		for (int i = 0; i < 2000;
		     i++) // the upper half is right even where the large model is not, the lower half wrong
			tdm_bytes_printf(&text, "q%d\t%.4f\t%d\t%d\t%d\n", i, (i + .5) / 2000, i >= 1000, i % 20 != 0,
			                 i % 20 != 0 && i % (worse ? 10 : 50) != 1);
		assert_int_equal(tdm_labels_read(&arena, "t", text.data, text.len, 1, &t, &err), TDM_OK);
		assert_true(t.has_next && t.items.passed && t.net.n == 2000);
		int status = tdm_issue_certificate(&arena, &issue, &t, &c, &e);
		assert_int_equal(status, worse ? TDM_EVALUE : TDM_OK);
		if (!worse) {
			double lambda = strtod(c.lambda, NULL);
			assert_true(lambda < .5 && lambda > .4); // 1 % of those below, and a few that are kept and wrong
			assert_true(strstr(c.claim, "passed on or not") != NULL);
		}
		tdm_bytes_release(&text);
	}
	assert_non_null(strstr(e.text, "nothing to promise"));
	struct tdm_issue net = plain();
	net.risk = TDM_RISK_NET;
	net.epsilon = "0.01"; // the gains of the upper half pay for losses
	struct tdm_bytes text;
	tdm_bytes_init(&text, 1 << 20);
	tdm_bytes_puts(&text, "item\tscore\tsmall\tlarge\n");
	for (int i = 0; i < 4000; i++)
		tdm_bytes_printf(&text, "q%d\t%.4f\t%d\t%d\n", i, (i + .5) / 4000, i >= 2000, i % 20 != 0);
	struct tdm_bytes file = make(text.data, text.len, &net, &c);
	assert_string_equal(c.bound, "betting");
	assert_string_equal(c.risk, "net");
	assert_true(strtod(c.lambda, NULL) < .5); // 2.5 % gained above, so some of the wrong ones may stay
	assert_true(strtod(c.upper, NULL) <= .01 && strtod(c.upper, NULL) > -.025);
	issue = plain();
	issue.epsilon = "0.01"; // of losses alone nothing below .5 may be kept but a few
	struct tdm_certificate joint;
	struct tdm_bytes other = make(text.data, text.len, &issue, &joint);
	assert_true(strtod(joint.lambda, NULL) > strtod(c.lambda, NULL));
	net.bound = TDM_BOUND_BINOMIAL;
	assert_int_equal(tdm_labels_read(&arena, "t", text.data, text.len, 1, &t, &err), TDM_OK);
	assert_int_equal(tdm_issue_certificate(&arena, &net, &t, &c, &e), TDM_EVALUE);
	tdm_bytes_release(&file);
	tdm_bytes_release(&other);
	tdm_bytes_release(&text);
}

// One group is as safe as can be, the other is not: what holds for all together need not hold for each.
static void a_promise_for_every_group(void **state) {
	struct tdm_bytes text;
	struct tdm_labels t;
	struct tdm_certificate all, each, again;
	struct tdm_issue issue = plain(), says;
	struct tdm_error e = {0};
	tdm_bytes_init(&text, 1 << 20);
	tdm_bytes_puts(&text, "item\tgroup\tscore\tloss\n");
	for (int i = 0; i < 3000; i++) // every third item is of the group that loses below .8: 16 % of all, half of its own
		tdm_bytes_printf(&text, "q%d\t%s\t%.4f\t%d\n", i, i % 3 ? "easy" : "hard", (i + .5) / 3000,
		                 i % 3 == 0 && i < 2400 && i % 2 == 0);
	struct tdm_bytes x = make(text.data, text.len, &issue, &all);
	issue.each_group = true;
	struct tdm_bytes y = make(text.data, text.len, &issue, &each);
	double common = strtod(all.lambda, NULL), own = strtod(each.lambda, NULL);
	assert_true(own > common && own > .7 && own < .8); // about 4 % of the hard ones' half
	assert_string_equal(each.groups, "each of 2");
	assert_string_equal(all.groups, "marginal");
	assert_int_equal(strncmp(each.claim, "in every group: ", 16), 0);
	assert_true(strtod(each.upper, NULL) <= .05);
	assert_int_equal(tdm_issue_again(&each, &says, &err), TDM_OK);
	says.models = "{}";
	struct tdm_bytes z = make(text.data, text.len, &says, &again);
	assert_string_equal(again.lambda, each.lambda);
	static const char bare[] = "score\tloss\n0.5\t0\n";
	assert_int_equal(tdm_labels_read(&arena, "t", bare, sizeof bare - 1, 1, &t, &err), TDM_OK);
	assert_int_equal(tdm_issue_certificate(&arena, &issue, &t, &again, &e), TDM_EVALUE);
	assert_non_null(strstr(e.text, "a column group"));
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
	tdm_bytes_release(&z);
	tdm_bytes_release(&text);
}

// The order is of the items and the seed alone: it is the same whatever the labels say, and another order is another
// certificate.
static void n12_labels_are_not_in_the_order(void **state) {
	struct tdm_bytes a = make_table(1), b = make_table(.5);
	struct tdm_issue issue = plain();
	struct tdm_certificate one, two, three;
	struct tdm_bytes x = make(a.data, a.len, &issue, &one), y = make(b.data, b.len, &issue, &two);
	assert_string_equal(one.order_hash, two.order_hash);
	assert_string_equal(one.grid_hash, two.grid_hash);
	assert_string_not_equal(one.data_hash, two.data_hash);
	issue.seed = 2;
	struct tdm_bytes z = make(a.data, a.len, &issue, &three);
	assert_string_not_equal(one.order_hash, three.order_hash);
	tdm_bytes_release(&x);
	tdm_bytes_release(&y);
	tdm_bytes_release(&z);
	tdm_bytes_release(&a);
	tdm_bytes_release(&b);
}

static void bad_tables_are_refused(void **state) {
	static const struct {
		const char *text, *says;
	} rows[] = {
	    {"", "t: expected a header and at least one item"},
	    {"score\tloss\n", "t: expected a header and at least one item"},
	    {"score\tlose\n1\t1\n",
	     "t line 1: expected tab-separated names of columns, among them score, and loss or small and large"},
	    {"score\tloss\n1\n", "t line 2: loss is \"\", expected a number"},
	    {"score\tloss\nnan\t1\n", "t line 2: score is \"nan\", expected a number"},
	    {"score\tloss\n0,5\t1\n", "t line 2: score is \"0,5\", expected a number"},
	    {"score\tloss\n0.5\t1.5\n", "t line 2: loss is 1.5, expected 0 to 1"},
	    {"score\tloss\n0.5\t0\n0.5\t-1\n", "t line 3: loss is -1, expected 0 to 1"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tdm_labels t;
		struct tdm_error e = {0};
		assert_int_equal(tdm_labels_read(&arena, "t", rows[i].text, strlen(rows[i].text), 1, &t, &e), TDM_EVALUE);
		assert_string_equal(e.text, rows[i].says);
	}
}

static void claims_that_cannot_be(void **state) {
	static const char text[] = "score\tloss\n0.5\t0\n";
	const double *loss;
	size_t n;
	struct tdm_labels t;
	struct tdm_certificate c;
	assert_int_equal(tdm_labels_read(&arena, "t", text, sizeof text - 1, 1, &t, &err), TDM_OK);
	for (int i = 0; i < 6; i++) {
		struct tdm_issue issue = plain();
		struct tdm_error e = {0};
		if (i == 0)
			issue.bound = TDM_BOUND_NORMAL;
		if (i == 1)
			issue.epsilon = "1.5";
		if (i == 2)
			issue.delta = "0";
		if (i == 3)
			issue.from = -1, issue.to = -2;
		if (i == 4)
			issue.to = 1;
		if (i == 5)
			issue.steps = 0;
		assert_int_equal(tdm_issue_certificate(&arena, &issue, &t, &c, &e), TDM_EVALUE);
	}
	struct tdm_issue issue = plain(); // one item shows nothing
	assert_int_equal(tdm_issue_certificate(&arena, &issue, &t, &c, &err), TDM_OK);
	assert_string_equal(c.lambda, "inf");
	assert_int_equal(tdm_labels_losses(&arena, "t", "loss\n0\n0.5\n1\n", 13, &loss, &n, &err), TDM_OK);
	assert_true(n == 3 && loss[0] == 0 && loss[1] == .5 && loss[2] == 1);
}

int tdm_test_certificate(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(n19_n20_equal_input_equal_bytes, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(any_changed_byte_is_found, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(found_again_from_what_it_says, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(n13_duplicates_are_left_out, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(what_is_passed_on_counts, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(a_promise_for_every_group, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(n12_labels_are_not_in_the_order, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(bad_tables_are_refused, open_arena, close_arena),
	    cmocka_unit_test_setup_teardown(claims_that_cannot_be, open_arena, close_arena),
	};
	return cmocka_run_group_tests_name("certificate", tests, NULL, NULL);
}
