// Groups and shares of votes; what the forms of answers are is tested with models/answer.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "cost/cascade/vote.h"
#include "tests.h"

static struct tdm_ballot ballot;

static void vote(const char *reply, double weight) {
	assert_true(tdm_ballot_add(&ballot, reply, strlen(reply), weight));
}

static void the_largest_weight_is_the_majority(void **state) {
	double share;
	tdm_ballot_init(&ballot, TDM_ANSWER_NUMBER);
	vote("It is 41.", 1);
	vote("42", 1);
	vote("forty", 1); // no answer
	vote("The answer is 42.0", 1);
	assert_int_equal(tdm_ballot_majority(&ballot, &share), 1);
	assert_true(share == 0.5);
	vote("41", 2.5);
	assert_int_equal(tdm_ballot_majority(&ballot, &share), 0);
	assert_true(fabs(share - 3.5 / 6.5) < 1e-15);
	tdm_ballot_release(&ballot);
}

static void no_answer_agrees_with_nobody(void **state) {
	double share;
	int agree;
	tdm_ballot_init(&ballot, TDM_ANSWER_NUMBER);
	assert_int_equal(tdm_ballot_majority(&ballot, &share), -1);
	assert_true(share == 0 && isnan(tdm_ballot_support(&ballot, &agree)));
	vote("none", 1);
	vote("none", 1);
	assert_int_equal(tdm_ballot_majority(&ballot, &share), -1);
	assert_true(share == 0 && tdm_ballot_support(&ballot, &agree) == 0 && agree == 0);
	tdm_ballot_release(&ballot);
}

static void support_leaves_the_answer_itself_out(void **state) {
	int agree;
	tdm_ballot_init(&ballot, TDM_ANSWER_CHOICE);
	vote("(B)", 5);
	vote("The answer is B, since ...", 1);
	vote("C) because", 2);
	vote("b.", 1);
	assert_true(tdm_ballot_support(&ballot, &agree) == 0.5);
	assert_int_equal(agree, 2);
	tdm_ballot_release(&ballot);
}

static void json_agrees_whatever_the_order(void **state) {
	double share;
	tdm_ballot_init(&ballot, TDM_ANSWER_JSON);
	vote("{\"a\": 1, \"b\": [1, 2]}", 1);
	vote("```json\n{\"b\":[1.0,2],\n \"a\":1}\n```", 1);
	vote("{\"a\": 1, \"b\": [2, 1]}", 1);
	vote("here it is", 1);
	assert_int_equal(tdm_ballot_majority(&ballot, &share), 0);
	assert_true(share == 0.5);
	tdm_ballot_release(&ballot);
}

static void a_full_ballot_takes_no_more(void **state) {
	tdm_ballot_init(&ballot, TDM_ANSWER_TEXT);
	for (int i = 0; i < TDM_MOST_VOTES; i++)
		vote("x", 1);
	assert_false(tdm_ballot_add(&ballot, "x", 1, 1));
	tdm_ballot_release(&ballot);
}

int tdm_test_vote(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_largest_weight_is_the_majority),   cmocka_unit_test(no_answer_agrees_with_nobody),
	    cmocka_unit_test(support_leaves_the_answer_itself_out), cmocka_unit_test(json_agrees_whatever_the_order),
	    cmocka_unit_test(a_full_ballot_takes_no_more),
	};
	return cmocka_run_group_tests_name("vote", tests, NULL, NULL);
}
