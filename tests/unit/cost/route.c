// The decision against scores worked out here, the controls, and what is refused when the tree is read.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include "../fake_kind.h"
#include "base/file.h"
#include "cost/kinds.h"
#include "models/predict/linear.h"
#include "models/predict/router.h"
#include "tests.h"

static struct says small, large;
static char weights_json[400000];

static int make(struct asked *a, const char *options) {
	static const char *const roles[] = {"small", "large"};
	says_init(&small, "small", "s");
	says_init(&large, "large", "l");
	return asked_make(a, &tdm_kind_route, options, 2, (struct tdm_model *[]){&small.model, &large.model}, roles);
}

static const char *ask(struct asked *a, const char *text, uint64_t seed) {
	struct tdm_message m[] = {{.from = TDM_FROM_SYSTEM, .text = "ignore", .len = 6},
	                          {.from = TDM_FROM_USER, .text = text, .len = strlen(text)}};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = m;
	request.n_messages = 2;
	return asked_answer(a, seed, &request);
}

// Weights under which the share of digits decides: z = 2 - 8 * share.
static void write_weights(const char *path) {
	struct tdm_linear w = {.bias = 2};
	struct tdm_bytes out;
	w.weights[TDM_FEATURE_DIGITS] = -8;
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		w.by_score[q] = q / 100.0;
		w.by_length[q] = -400 + q;
	}
	tdm_bytes_init(&out, sizeof weights_json);
	tdm_linear_write(&w, &out);
	assert_false(out.failed);
	assert_int_equal(tdm_file_write(path, out.data, out.len, NULL), TDM_OK);
	memcpy(weights_json, out.data, out.len + 1);
	tdm_bytes_release(&out);
}

static void linear_scores_the_last_user_message(void **state) {
	struct asked a;
	write_weights("build/route.json");
	assert_int_equal(make(&a, "{weights: build/route.json, threshold: 0.5}"), TDM_OK);
	assert_string_equal(ask(&a, "abc1", 1), "s"); // share 1/4: z = 0, and a tie keeps
	assert_true(fabs(a.run.record->decisions->score - 0.5) < 1e-9);
	assert_string_equal(a.run.record->decisions->choice, "small");
	assert_string_equal(a.run.record->decisions->signal, "linear");
	assert_string_equal(ask(&a, "ab12", 1), "l");
	assert_true(fabs(a.run.record->decisions->score - 1 / (1 + exp(2))) < 1e-9);
	assert_true(a.run.record->decisions->threshold == 0.5);
	assert_string_equal(a.result.served, "large");
	asked_done(&a);
}

static void rate_takes_the_quantile(void **state) {
	struct asked a;
	write_weights("build/route.json");
	assert_int_equal(make(&a, "{weights: build/route.json, rate: 0.3}"), TDM_OK);
	ask(&a, "x", 1);
	assert_true(fabs(a.run.record->decisions->threshold - 0.7) < 1e-12);
	asked_done(&a);
	assert_int_equal(make(&a, "{weights: build/route.json, scorer: length, rate: 0.25}"), TDM_OK);
	ask(&a, "x", 1);
	assert_true(fabs(a.run.record->decisions->threshold + 325) < 1e-9);
	asked_done(&a);
}

static const void *embedded(const char *name, size_t *n) {
	*n = strlen(weights_json);
	return strcmp(name, "route") ? NULL : weights_json;
}

static void embedded_weights_are_read(void **state) {
	struct asked a;
	struct { // the options, as the builder makes them
		int scorer;
		const char *weights, *certificate, *signer;
		double threshold, rate, stay, audit, spend, willingness_to_pay, familiar, undecided;
	} options = {.weights = "embedded:route", .threshold = 0.5, .rate = -1, .spend = -1};
	write_weights("build/route.json");
	assert_int_equal(make(&a, "{scorer: always_small}"), TDM_OK);
	a.build.embedded = embedded;
	assert_int_equal(tdm_kind_route.create(&a.build, &options, &a.model), TDM_OK);
	assert_string_equal(ask(&a, "12", 1), "l");
	options.weights = "embedded:other";
	assert_int_equal(tdm_kind_route.create(&a.build, &options, &a.model), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "contains no weights embedded:other"));
	asked_done(&a);
}

static void controls(void **state) {
	struct asked a;
	int kept = 0;
	assert_int_equal(make(&a, "{scorer: always_small}"), TDM_OK);
	assert_string_equal(ask(&a, "12", 1), "s");
	asked_done(&a);
	assert_int_equal(make(&a, "{scorer: always_large}"), TDM_OK);
	assert_string_equal(ask(&a, "12", 1), "l");
	asked_done(&a);
	assert_int_equal(make(&a, "{scorer: length, threshold: -4}"), TDM_OK);
	assert_string_equal(ask(&a, "four", 1), "s");
	assert_string_equal(ask(&a, "fives", 1), "l");
	asked_done(&a);
	assert_int_equal(make(&a, "{scorer: random, rate: 0.3}"), TDM_OK);
	for (uint64_t seed = 0; seed < 2000; seed++)
		kept += ask(&a, "x", seed)[0] == 's';
	assert_in_range(kept, 540, 660);
	char first = ask(&a, "x", 5)[0];
	assert_int_equal(ask(&a, "x", 5)[0], first);
	asked_done(&a);
}

// A change of the model within a conversation has a price: what passes the threshold by less stays where the turn
// before went. Every turn is judged again each time, so a conversation needs no memory of ours.
static void demand_42_a_change_has_a_price(void **state) {
	static const struct {
		const char *turns[4];
		char alone, staying;
	} rows[] = {{{"123456"}, 's', 's'},
	            {{"1234567890123"}, 'l', 'l'},
	            {{"123456", "12345678901"}, 'l', 's'},     // -11 is not 4 below -10
	            {{"123456", "123456789012345"}, 'l', 'l'}, // -15 is
	            {{"1234567890123", "12345678"}, 's', 'l'}, // -8 is not 4 above
	            {{"1234567890123", "123456"}, 's', 's'},
	            {{"123456", "12345678901", "123456789012"}, 'l', 's'},
	            {{"123456", "123456789012345", "12345678", "123456789"}, 's', 'l'}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int stays = 0; stays < 2; stays++) {
			struct tdm_message m[7];
			struct tdm_request request;
			struct asked a;
			size_t n = 0;
			for (size_t k = 0; k < 4 && rows[i].turns[k]; k++) {
				if (k)
					m[n++] = (struct tdm_message){.from = TDM_FROM_ASSISTANT, .text = "1234567890123456789", .len = 19};
				m[n++] = (struct tdm_message){
				    .from = TDM_FROM_USER, .text = rows[i].turns[k], .len = strlen(rows[i].turns[k])};
			}
			tdm_request_init(&request);
			request.messages = m;
			request.n_messages = n;
			assert_int_equal(
			    make(&a, stays ? "{scorer: length, threshold: -10, stay: 4}" : "{scorer: length, threshold: -10}"),
			    TDM_OK);
			assert_int_equal(asked_answer(&a, 1, &request)[0], stays ? rows[i].staying : rows[i].alone);
			const struct tdm_decision *d = a.run.record->decisions;
			assert_int_equal(d->detail && !strcmp(d->detail, "stays"), stays && rows[i].staying != rows[i].alone);
			assert_int_equal(a.result.served[0], d->score >= d->threshold ? 's' : 'l');
			asked_done(&a);
		}
}

// --- routers of a file

static struct says between;

static int embed(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, const float **out,
                 int *width) {
	float *x = tdm_arena_array(run->arena, 2, sizeof *x);
	if (len && text[0] == '!')
		return tdm_fail(&run->error, TDM_EUPSTREAM, "no vectors today");
	x[0] = len && text[0] == 'e' ? 1 : 0;
	x[1] = 1 - x[0];
	*out = x;
	*width = 2;
	return TDM_OK;
}

static const struct tdm_model_ops embed_ops = {.embed = embed};
static struct tdm_model embedder = {.ops = &embed_ops, .name = "vectors", .can = TDM_CAN_EMBED};

// Three models; easy questions (e..) are answered by all, others by large alone, the one between by half of them.
static void write_router(const char *path) {
	static float quality[9] = {4, -4, 0, 4, 0, 0, 4, 4, 0}, cost[9] = {0, 0, 1, 0, 0, 2, 0, 0, 10};
	struct tdm_router r = {.scorer = TDM_ROUTER_QUALITY,
	                       .reads = TDM_ROUTER_READS_VECTOR,
	                       .n_models = 3,
	                       .width = 2,
	                       .models = {"a", "b", "c"}};
	struct tdm_bytes out;
	r.quality = quality;
	r.cost = cost;
	for (int q = 0; q < TDM_N_QUANTILES; q++) {
		r.by_score[q] = q / 200.0;
		r.spend[q] = q / 100.0;
		r.by_familiar[q] = q / 100.0;
	}
	tdm_router_learn_words(&r, "easy hard known", 15);
	tdm_bytes_init(&out, 1 << 20);
	tdm_router_write(&r, &out);
	assert_false(out.failed);
	assert_int_equal(tdm_file_write(path, out.data, out.len, NULL), TDM_OK);
	tdm_bytes_release(&out);
}

static int make_three(struct asked *a, const char *options, bool with_embedder) {
	static const char *const roles[] = {"small", "large", "between", "embedder"};
	says_init(&small, "small", "s");
	says_init(&between, "middle", "m");
	says_init(&large, "large", "l");
	write_router("build/router.json");
	return asked_make(a, &tdm_kind_route, options, with_embedder ? 4 : 3,
	                  (struct tdm_model *[]){&small.model, &large.model, &between.model, &embedder}, roles);
}

static void a_router_chooses_among_three(void **state) {
	static const struct {
		const char *options, *easy, *hard;
	} rows[] = {{"{scorer: quality, weights: build/router.json, threshold: 0.45}", "s", "l"},
	            {"{scorer: quality, weights: build/router.json, threshold: 0.2}", "s", "m"},
	            {"{scorer: quality, weights: build/router.json, rate: 0.9}", "s", "m"}, // 0.05: 0.5 - 0.48 is below it
	            {"{scorer: quality, weights: build/router.json, spend: 0.4}", "s", "m"},
	            {"{scorer: quality, weights: build/router.json, willingness_to_pay: 5}", "s", "m"},
	            {"{scorer: quality, weights: build/router.json, willingness_to_pay: 50}", "s", "l"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct asked a;
		assert_int_equal(make_three(&a, rows[i].options, true), TDM_OK);
		assert_string_equal(ask(&a, "easy", 1), rows[i].easy);
		assert_string_equal(a.run.record->decisions->signal, "quality");
		assert_true(fabs(a.run.record->decisions->score - 0.5) < 1e-9);
		assert_string_equal(ask(&a, "hard", 1), rows[i].hard);
		asked_done(&a);
	}
}

// What the fit has not seen is not decided: the strong model answers, and the record says why.
static void the_undecided_go_to_large(void **state) {
	struct asked a;
	assert_int_equal(make_three(&a, "{scorer: quality, weights: build/router.json, threshold: 0, familiar: 0.5}", true),
	                 TDM_OK);
	assert_string_equal(ask(&a, "easy known words", 1), "s");
	assert_string_equal(ask(&a, "easy zxcv qwer", 1), "l");
	assert_non_null(strstr(a.run.record->decisions->detail, "undecided: familiar 0.333 of at least 0.500"));
	assert_string_equal(ask(&a, "!", 1), "l"); // no vector
	assert_int_equal(a.status, TDM_OK);
	assert_non_null(strstr(a.run.record->decisions->detail, "undecided, no vector"));
	asked_done(&a);
	assert_int_equal(
	    make_three(&a, "{scorer: quality, weights: build/router.json, threshold: 0, undecided: 0.3}", true), TDM_OK);
	assert_string_equal(ask(&a, "easy zxcv qwer known", 1), "s");
	assert_string_equal(ask(&a, "easy zxcv qwer uiop", 1), "l");
	asked_done(&a);
}

static void routers_that_do_not_fit_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{scorer: quality}", "scorer quality needs weights: a file of tandem fit-router"},
	    {"{scorer: knn, weights: build/router.json}", "holds scorer quality, not knn"},
	    {"{scorer: quality, weights: build/router.json}", "expects a model in role \"embedder\""},
	    {"{scorer: quality, weights: build/none.json}", "none.json"},
	    {"{scorer: length}", "scorer length knows two models"},
	};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make_three(&a, rows[i][0], false), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, rows[i][1]));
		asked_done(&a);
	}
	assert_int_equal(make(&a, "{scorer: quality, weights: build/router.json}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "was fitted on 3 models (the cheapest first), here are 2"));
	asked_done(&a);
	static const char *const of_files[] = {"spend: 0.5", "willingness_to_pay: 3", "familiar: 0.5", "undecided: 0.1"};
	for (size_t i = 0; i < sizeof of_files / sizeof *of_files; i++) {
		char options[80];
		snprintf(options, sizeof options, "{scorer: length, %s}", of_files[i]);
		assert_int_equal(make(&a, options), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, "are of a router's file; scorer length has none"));
		asked_done(&a);
	}
}

static void tools_go_to_who_can_call_them(void **state) {
	static const struct tdm_tool tool = {.name = "f"};
	static const char *const roles[] = {"small", "large"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
	assert_int_equal(make(&a, "{scorer: always_small}"), TDM_OK);
	asked_answer(&a, 1, &request); // neither can
	assert_int_equal(a.status, TDM_ECAPABILITY);
	assert_string_equal(a.run.error.param, "tools");
	asked_done(&a);
	large.model.can |= TDM_CAN_TOOLS;
	assert_int_equal(asked_make(&a, &tdm_kind_route, "{scorer: always_small}", 2,
	                            (struct tdm_model *[]){&small.model, &large.model}, roles),
	                 TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), "l");
	assert_string_equal(a.run.record->decisions->signal, "tools");
	request.tools.choice = TDM_TOOLS_NONE;
	assert_string_equal(asked_answer(&a, 1, &request), "s");
	small.model.can |= TDM_CAN_TOOLS;
	request.tools.choice = TDM_TOOLS_AUTO;
	assert_string_equal(asked_answer(&a, 1, &request), "s");
	asked_done(&a);
}

static void bad_settings_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{}", "scorer linear needs weights"},
	    {"{scorer: length, rate: 0.5}", "rate needs weights"},
	    {"{weights: nowhere.json}", "nowhere.json"},
	    {"{weights: build/broken.json}", "grams of 4096 numbers"},
	};
	const char broken[] = "{\"version\":1,\"bias\":0,\"features\":{\"length\":0,\"digits\":0},\"grams\":[1,2]}";
	struct asked a;
	assert_int_equal(tdm_file_write("build/broken.json", broken, sizeof broken - 1, NULL), TDM_OK);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i][0]), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, rows[i][1]));
		assert_non_null(strstr(a.error.text, "test: model it"));
		asked_done(&a);
	}
}

int tdm_test_route(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(linear_scores_the_last_user_message), cmocka_unit_test(rate_takes_the_quantile),
	    cmocka_unit_test(embedded_weights_are_read),           cmocka_unit_test(controls),
	    cmocka_unit_test(demand_42_a_change_has_a_price),      cmocka_unit_test(a_router_chooses_among_three),
	    cmocka_unit_test(the_undecided_go_to_large),           cmocka_unit_test(routers_that_do_not_fit_are_refused),
	    cmocka_unit_test(tools_go_to_who_can_call_them),       cmocka_unit_test(bad_settings_are_refused),
	};
	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
