// Which arm answers under which objective, over small trees of every shape that matters.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "choose/kinds.h"
#include "tests.h"

// local: stays here. cloud: leaves. masked: mask over cloud. mixed: a strategy over local and cloud. half: over masked
// and cloud. guarded: guard over local.
enum { LOCAL, CLOUD, MASKED, MIXED, HALF, GUARDED, N };
static const char *const names[N] = {"local", "cloud", "masked", "mixed", "half", "guarded"};
static struct says arms[N];
static const struct tdm_kind mask = {.name = "mask"}, strategy = {.name = "cascade"}, guard = {.name = "guard"};
static struct tdm_model *under[N][2] = {[MASKED] = {&arms[CLOUD].model},
                                        [MIXED] = {&arms[LOCAL].model, &arms[CLOUD].model},
                                        [HALF] = {&arms[MASKED].model, &arms[CLOUD].model},
                                        [GUARDED] = {&arms[LOCAL].model}};

static int make(struct asked *a, const char *options, const int *list, size_t n) {
	static const char *const roles[] = {"arms", "arms", "arms", "arms", "arms", "arms"};
	static const struct tdm_kind *const kinds[N] = {NULL, NULL, &mask, &strategy, &strategy, &guard};
	struct tdm_model *parts[N];
	for (int i = 0; i < N; i++) {
		struct tdm_model *m = &arms[i].model;
		says_init(&arms[i], names[i], names[i]);
		m->kind = kinds[i];
		m->parts = under[i];
		m->n_parts = !under[i][0] ? 0 : !under[i][1] ? 1 : 2;
		m->leaves = i != LOCAL && i != GUARDED;
		m->hides = i == MASKED; // what has a form alone
	}
	arms[LOCAL].model.price = (struct tdm_price){1, 2};
	arms[CLOUD].model.price = (struct tdm_price){10, 20};
	for (size_t i = 0; i < n; i++)
		parts[i] = &arms[list[i]].model;
	return asked_make(a, &tdm_kind_choose, options, n, parts, roles);
}

// Name of the arm that answers, or the code of the refusal.
static const char *pick(struct asked *a, struct tdm_objective o, int max_tokens) {
	static const char prompt[] = "four hundred bytes would be one hundred tokens; this is much less.";
	struct tdm_message message = {.from = TDM_FROM_USER, .text = prompt, .len = 40};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.max_tokens = max_tokens;
	tdm_collect_release(&a->collect);
	assert_int_equal(tdm_run_init(&a->run, &a->arena, 1), TDM_OK);
	a->run.objective = o;
	tdm_collect_init(&a->collect, 1000, NULL, NULL);
	a->status = tdm_generate(a->model, &a->run, &request, &a->collect.sink, &a->result);
	return a->status ? tdm_status_info(a->status)->code : a->collect.text.data;
}

static struct tdm_objective wish(int privacy, double max_cost) {
	return (struct tdm_objective){.privacy = privacy, .max_cost = max_cost, .quality = (double)NAN};
}

static void order_decides_without_a_wish(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{}", (int[]){CLOUD, LOCAL}, 2), TDM_OK);
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "cloud");
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->choice, "cloud");
	assert_string_equal(d->detail, "cloud: at most 0.0003; local: at most 3e-05; 2 of 2 fit");
	assert_true(fabs(d->score - (10 * 10 + 10 * 20) / 1e6) < 1e-15);
	assert_true(a.model->can == (TDM_CAN_TEXT | TDM_CAN_LOGPROBS) && a.model->leaves);
	asked_done(&a);
}

// Of 4,000 requests 200 are explored, and half of those go to the second arm: 100, with a standard deviation of 10.
static void some_requests_are_explored(void **state) {
	struct asked a;
	int n = 0;
	assert_int_equal(make(&a, "{explore: 0.05}", (int[]){CLOUD, LOCAL}, 2), TDM_OK);
	for (int i = 0; i < 4000; i++) {
		bool is_local = !strcmp(pick(&a, wish(0, (double)NAN), 10), "local");
		n += is_local;
		const char *detail = a.run.record->decisions->detail;
		assert_true(!is_local || strstr(detail, "; 2 of 2 fit; explored with probability 0.05, 1 of 2"));
	}
	assert_in_range(n, 45, 155);
	struct tdm_objective wished = wish(0, (double)NAN), strict = wished;
	wished.quality = 0;
	strict.strict = true;
	for (int i = 0; i < 1000; i++) {
		assert_string_equal(pick(&a, wished, 10), "cloud");
		assert_string_equal(pick(&a, strict, 10), "cloud");
		assert_string_equal(pick(&a, wish(4, (double)NAN), 10), "local"); // what may not answer is not tried
	}
	asked_done(&a);
	assert_int_equal(make(&a, "{explore: 0.06}", (int[]){CLOUD, LOCAL}, 2), TDM_ECONFIG);
	asked_done(&a);
}

static void privacy_drops_arms_that_let_out(void **state) {
	static const struct {
		int arm;
		const char *at[5]; // by level
	} rows[] = {
	    {LOCAL, {"local", "local", "local", "local", "local"}},
	    {CLOUD, {"cloud", "privacy_refused", "privacy_refused", "privacy_refused", "privacy_refused"}},
	    {MASKED, {"masked", "masked", "privacy_refused", "privacy_refused", "privacy_refused"}},
	    {MIXED, {"mixed", "privacy_refused", "privacy_refused", "privacy_refused", "privacy_refused"}},
	    {HALF, {"half", "privacy_refused", "privacy_refused", "privacy_refused", "privacy_refused"}},
	};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int level = 0; level <= 4; level++) {
			assert_int_equal(make(&a, "{}", &rows[i].arm, 1), TDM_OK);
			assert_string_equal(pick(&a, wish(level, (double)NAN), 0), rows[i].at[level]);
			asked_done(&a);
		}
	assert_int_equal(make(&a, "{}", (int[]){CLOUD, HALF, MASKED, LOCAL}, 4), TDM_OK);
	assert_string_equal(pick(&a, wish(1, (double)NAN), 0), "masked");
	assert_string_equal(pick(&a, wish(2, (double)NAN), 0), "local"); // persons: this mask does not recognise them
	arms[MASKED].model.hides = 3;
	assert_string_equal(pick(&a, wish(2, (double)NAN), 0), "masked");
	assert_string_equal(pick(&a, wish(3, (double)NAN), 0), "masked");
	assert_string_equal(pick(&a, wish(4, (double)NAN), 0), "local");
	assert_int_equal(arms[CLOUD].calls + arms[HALF].calls, 0);
	asked_done(&a);
}

// 40 bytes are 10 tokens: local 10 + 2 * max, cloud ten times that, in millionths.
static void cost_drops_dear_arms(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{}", (int[]){MIXED, LOCAL}, 2), TDM_OK);
	assert_string_equal(pick(&a, wish(0, 2100e-6), 100), "mixed"); // as dear as the cloud in it
	assert_string_equal(pick(&a, wish(0, 2099e-6), 100), "local");
	assert_string_equal(pick(&a, wish(0, 210e-6), 100), "local");
	assert_string_equal(pick(&a, wish(0, 209e-6), 100), "objective_infeasible");
	assert_string_equal(a.run.error.text, "it: max_cost 0.000209 is below the least estimate, 0.00021");
	assert_string_equal(pick(&a, wish(0, 2100e-6), 0), "local"); // no limit: 512 tokens
	assert_string_equal(pick(&a, wish(0, 0), 100), "objective_infeasible");
	asked_done(&a);
}

static void cheapest_is_preferred_when_told(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{prefer: cheapest}", (int[]){CLOUD, MIXED, LOCAL, GUARDED}, 4), TDM_OK);
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "local"); // a tie with guarded goes to the first
	asked_done(&a);
	assert_int_equal(make(&a, "{prefer: cheapest}", (int[]){CLOUD, MIXED}, 2), TDM_OK);
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "cloud");
	asked_done(&a);
}

static void trust_needs_a_guard(void **state) {
	struct tdm_objective o = wish(0, (double)NAN);
	struct asked a;
	assert_int_equal(make(&a, "{}", (int[]){CLOUD, LOCAL, GUARDED}, 3), TDM_OK);
	o.trust = 1;
	assert_string_equal(pick(&a, o, 10), "guarded");
	o.trust = 2;
	assert_string_equal(pick(&a, o, 10), "objective_infeasible");
	assert_string_equal(a.run.error.text, "it: no model to choose from gives trust 2");
	asked_done(&a);
}

// Every pair of objectives over every pair of arms: the tighter one never has an arm that the looser one had not.
static void tightening_never_brings_an_arm_back(void **state) {
	const double costs[] = {(double)NAN, 1, 2100e-6, 210e-6, 0};
	struct asked a;
	for (int arm = 0; arm < N; arm++) {
		assert_int_equal(make(&a, "{}", &arm, 1), TDM_OK);
		for (int p = 0; p < 4; p++)
			for (int c = 0; c < 4; c++) {
				pick(&a, wish(p, costs[c]), 100);
				bool before = a.status == TDM_OK;
				pick(&a, wish(p + 1, costs[c]), 100);
				assert_true(before || a.status);
				pick(&a, wish(p, costs[c + 1]), 100);
				assert_true(before || a.status);
			}
		asked_done(&a);
	}
}

static void tools_drop_arms_that_cannot_call_them(void **state) {
	static const struct tdm_tool tool = {.name = "f"};
	static const char *const roles[] = {"arms", "arms"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
	assert_int_equal(make(&a, "{}", (int[]){LOCAL, GUARDED}, 2), TDM_OK);
	asked_answer(&a, 1, &request);
	assert_int_equal(a.status, TDM_ECAPABILITY);
	asked_done(&a);
	arms[GUARDED].model.can |= TDM_CAN_TOOLS;
	assert_int_equal(asked_make(&a, &tdm_kind_choose, "{}", 2,
	                            (struct tdm_model *[]){&arms[LOCAL].model, &arms[GUARDED].model}, roles),
	                 TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), "guarded");
	request.tools.n = 0;
	assert_string_equal(asked_answer(&a, 1, &request), "local");
	asked_done(&a);
}

static void an_arm_that_fails_is_followed_by_the_next(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{}", (int[]){CLOUD, LOCAL}, 2), TDM_OK);
	arms[CLOUD].status = TDM_EUPSTREAM;
	arms[CLOUD].answers[0] = "";
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "local");
	assert_string_equal(a.run.record->warnings->code, "model_out");
	assert_string_equal(a.run.record->decisions->next->choice, "local");
	assert_string_equal(pick(&a, wish(0, 31e-6), 10), "local"); // the dear one is not even asked
	assert_null(a.run.record->warnings);
	arms[CLOUD].answers[0] = "half";
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "upstream_error"); // what went out is not spliced
	arms[CLOUD].answers[0] = "";
	arms[CLOUD].status = TDM_EFILTERED;
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "content_filter"); // a refusal is not gone around
	arms[CLOUD].status = TDM_EUPSTREAM;
	arms[LOCAL].status = TDM_EEXHAUSTED;
	arms[LOCAL].answers[0] = "";
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "upstreams_exhausted");
	asked_done(&a);
}

static void one_arm_is_that_arm(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{prefer: cheapest}", (int[]){MIXED}, 1), TDM_OK);
	assert_string_equal(pick(&a, wish(0, (double)NAN), 10), "mixed");
	assert_string_equal(a.result.served, "mixed");
	asked_done(&a);
}

static void what_belongs_to_a_front_needs_one(void **state) {
	static const char *const rows[] = {"{quality: 0.9}", "{audit: 0.1}", "{signer: \"00\"}"};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i], (int[]){LOCAL}, 1), TDM_ECONFIG);
		assert_string_equal(a.error.text, "test: model it: quality, signer and audit belong to a front");
		asked_done(&a);
	}
	assert_int_equal(make(&a, "{front: nowhere.json}", (int[]){LOCAL}, 1), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "nowhere.json"));
	asked_done(&a);
}

int tdm_test_choose(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tools_drop_arms_that_cannot_call_them),
	    cmocka_unit_test(order_decides_without_a_wish),
	    cmocka_unit_test(some_requests_are_explored),
	    cmocka_unit_test(privacy_drops_arms_that_let_out),
	    cmocka_unit_test(cost_drops_dear_arms),
	    cmocka_unit_test(cheapest_is_preferred_when_told),
	    cmocka_unit_test(trust_needs_a_guard),
	    cmocka_unit_test(tightening_never_brings_an_arm_back),
	    cmocka_unit_test(an_arm_that_fails_is_followed_by_the_next),
	    cmocka_unit_test(one_arm_is_that_arm),
	    cmocka_unit_test(what_belongs_to_a_front_needs_one),
	};
	return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
