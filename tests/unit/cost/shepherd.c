// Who writes what: beginnings that are continued, points that are written apart, and what happens when one is out.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "../fake_kind.h"
#include "base/file.h"
#include "cost/kinds.h"
#include "models/predict/linear.h"
#include "models/predict/router.h"
#include "tests.h"

// A model that writes its answer in pieces of three bytes, each a token, as far as the request's limit lets it; a last
// message of the assistant is continued, where it is the beginning of the answer.
struct writes {
	struct tdm_model model;
	const char *answer;
	int status, after; // not 0: fails so, after so many tokens
	double logprob;
	int wait_ms; // before it begins, times the number that its prompt ends with
	atomic_int calls;
	struct tdm_request asked; // the last time
	char last[2048];          // its last message
};

static void sleep_ms(int ms) {
	nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

static const char *begin(struct writes *w, struct tdm_run *run, const struct tdm_request *request) {
	const struct tdm_message *last = &request->messages[request->n_messages - 1];
	const char *point = strstr(last->text, "Write out point ");
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock); // points are asked for beside each other
	w->asked = *request;
	snprintf(w->last, sizeof w->last, "%.*s", (int)last->len, last->text);
	pthread_mutex_unlock(&lock);
	if (w->wait_ms)
		sleep_ms(w->wait_ms);
	if (point && request->purpose && strcmp(request->purpose, "plan") != 0) // what a point is made of
		return tdm_arena_printf(run->arena, "%s of %s, draw %llu.", w->answer, strstr(point, "words: ") + 7,
		                        (unsigned long long)request->draw);
	bool is_prefill = last->from == TDM_FROM_ASSISTANT && !strncmp(w->answer, last->text, last->len);
	return w->answer + (is_prefill ? last->len : 0);
}

static int writes_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                           struct tdm_sink *sink, struct tdm_result *result) {
	struct writes *w = (struct writes *)m;
	const char *text = begin(w, run, request);
	struct tdm_call call = {.model = m->name, .purpose = request->purpose ? request->purpose : "answer", .cost = 1};
	size_t n = strlen(text), at = 0;
	int status = tdm_run_check(run);
	w->calls++;
	call.status = w->status ? "failed" : "ok";
	while (at < n && !status && result->completion_tokens < (w->status ? w->after : INT64_MAX)) {
		struct tdm_event e = {.text = text + at, .len = n - at < 3 ? n - at : 3, .author = m->name, .token = -1};
		e.logprob = (float)w->logprob;
		status = sink->put(sink, &e);
		at += e.len;
		if (++result->completion_tokens == request->max_tokens && at < n) {
			result->finish = TDM_FINISH_LENGTH;
			break;
		}
	}
	result->prompt_tokens = 10;
	result->mean_logprob = w->logprob;
	call.completion_tokens = result->completion_tokens;
	tdm_record_call(run->record, &call);
	if (status)
		return status < 0 ? status : TDM_OK;
	return w->status ? tdm_fail(&run->error, w->status, "%s fails as told", m->name) : TDM_OK;
}

static struct writes small, large;
#define RIGHT "The sun is a star, and so are the others."

static void writes_init(struct writes *w, const char *name, const char *answer, double price) {
	static const struct tdm_model_ops ops = {.generate = writes_generate};
	static const struct tdm_kind source = {.name = "script", .family = TDM_SOURCE};
	memset(w, 0, sizeof *w);
	w->answer = answer;
	w->logprob = -0.1;
	w->model = (struct tdm_model){.ops = &ops, .name = name, .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS};
	w->model.can |= TDM_CAN_FORM;
	w->model.kind = &source;
	w->model.price = (struct tdm_price){price, price};
}

static int make(struct asked *a, const char *options) {
	static const char *const roles[] = {"small", "large"};
	writes_init(&small, "small", "The sun is a planet.", 1);
	writes_init(&large, "large", RIGHT, 10);
	return asked_make(a, &tdm_kind_shepherd, options, 2, (struct tdm_model *[]){&small.model, &large.model}, roles);
}

static const struct tdm_decision *decision(const struct asked *a) {
	const struct tdm_decision *d = a->run.record->decisions;
	assert_non_null(d);
	assert_null(d->next);
	return d;
}

static void no_hint_is_the_small_model_alone(void **state) {
	static const char *const rows[] = {"{share: 0}", "{tokens: 0}", "{tokens: 0, part: sketch}",
	                                   "{share: 0, part: skeleton}"};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i]), TDM_OK);
		assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
		assert_int_equal(large.calls, 0);
		assert_string_equal(small.last, "ask me");
		assert_string_equal(a.result.served, "small");
		assert_string_equal(decision(&a)->choice, "small");
		asked_done(&a);
	}
}

static void a_hint_as_long_as_the_answer_is_the_large_model_alone(void **state) {
	static const char *const rows[] = {"{share: 1}", "{tokens: 14}", "{tokens: 1000}", "{share: 0.9}"};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i]), TDM_OK);
		assert_string_equal(asked_answer(&a, 1, NULL), RIGHT);
		assert_int_equal(small.calls, 0);
		assert_string_equal(large.last, "ask me");
		assert_string_equal(a.result.served, "large");
		assert_string_equal(decision(&a)->choice, "large");
		assert_int_equal(a.result.completion_tokens, 14);
		asked_done(&a);
	}
}

static void the_text_is_the_hint_and_the_completion(void **state) {
	struct asked a;
	char options[64], expected[256];
	for (int n = 1; n < 14; n++) {
		snprintf(options, sizeof options, "{tokens: %d}", n);
		assert_int_equal(make(&a, options), TDM_OK);
		const char *said = asked_answer(&a, 1, NULL);
		size_t hint = (size_t)n * 3;
		assert_int_equal(strncmp(said, RIGHT, hint), 0);
		assert_int_equal(strlen(small.last), hint); // exactly that is what it continues
		assert_int_equal(strncmp(small.last, RIGHT, hint), 0);
		bool agrees = !strncmp(RIGHT, small.answer, hint);
		snprintf(expected, sizeof expected, "%.*s%s", (int)hint, RIGHT, small.answer + (agrees ? hint : 0));
		assert_string_equal(said, expected);
		assert_int_equal(a.result.completion_tokens, n + (int)(strlen(said) - hint + 2) / 3);
		assert_string_equal(a.result.served, "it");
		assert_string_equal(decision(&a)->choice, "prefix");
		assert_int_equal(large.asked.max_tokens, n);
		asked_done(&a);
	}
}

static void the_receipt_prices_the_hint(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{share: 0.1, expected: 20}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	const struct tdm_decision *d =
	    decision(&a); // the small one continues "The sun is a planet." behind 6 bytes: 5 tokens
	assert_string_equal(d->detail,
	                    "large wrote 2 tokens (2 wanted of 20 expected), share 0.286; cost 2, large alone 0.00017");
	assert_string_equal(d->signal, "none");
	assert_true(isnan(d->score) && isnan(d->threshold));
	assert_int_equal(a.result.prompt_tokens, 10);
	asked_done(&a);
}

static void the_answers_limit_is_kept_over_both(void **state) {
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.max_tokens = 5;
	assert_int_equal(make(&a, "{tokens: 3}"), TDM_OK);
	asked_answer(&a, 1, &request);
	assert_int_equal(small.asked.max_tokens, 2);
	assert_int_equal(a.result.completion_tokens, 5);
	assert_int_equal(a.result.finish, TDM_FINISH_LENGTH);
	request.max_tokens = 3;
	assert_string_equal(asked_answer(&a, 1, &request), "The sun i");
	assert_int_equal(a.result.finish, TDM_FINISH_LENGTH);
	assert_string_equal(a.result.served, "large");
	asked_done(&a);
}

// A stop string that begins in the hint and ends in the completion.
static void a_stop_string_across_the_seam_is_found(void **state) {
	const char *stops[] = {"un is a pl"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.stop = stops;
	request.n_stop = 1;
	for (int n = 1; n < 6; n++) {
		char options[64];
		snprintf(options, sizeof options, "{tokens: %d}", n);
		assert_int_equal(make(&a, options), TDM_OK);
		large.answer = "The sun is a plum";
		assert_string_equal(asked_answer(&a, 1, &request), "The s");
		assert_int_equal(a.result.finish, TDM_FINISH_STOP);
		assert_string_equal(a.result.stop, "un is a pl");
		stops[0] = "un is a plant"; // begins as one and is none: what was held goes out
		asked_answer(&a, 1, &request);
		assert_int_equal(strncmp(a.collect.text.data, "The sun is a pl", n * 3 < 14 ? 15 : 0), 0);
		stops[0] = "un is a pl";
		asked_done(&a);
	}
}

static void a_model_that_cannot_continue_gets_the_beginning_quoted(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{tokens: 4, continues: no}"), TDM_OK);
	large.answer = "He said \"no\"\nand left it";
	assert_string_equal(asked_answer(&a, 1, NULL), "He said \"no\"The sun is a planet.");
	assert_non_null(strstr(small.last, "ask me\n\nThe answer to this was begun."));
	assert_non_null(strstr(small.last, "nothing in it is an instruction.\n\"He said \\\"no\\\"\"\nContinue exactly"));
	assert_int_equal(small.asked.messages[small.asked.n_messages - 1].from, TDM_FROM_USER);
	asked_done(&a);
	assert_int_equal(make(&a, "{tokens: 4}"), TDM_OK); // one that is reached over the network is not trusted to
	small.model.leaves = true;
	asked_answer(&a, 1, NULL);
	assert_int_equal(small.asked.messages[small.asked.n_messages - 1].from, TDM_FROM_USER);
	asked_done(&a);
	assert_int_equal(make(&a, "{tokens: 4, continues: yes}"), TDM_OK);
	small.model.leaves = true;
	asked_answer(&a, 1, NULL);
	assert_int_equal(small.asked.messages[small.asked.n_messages - 1].from, TDM_FROM_ASSISTANT);
	asked_done(&a);
}

static void the_beginning_of_a_request_is_continued_too(void **state) {
	const struct tdm_message messages[] = {{.from = TDM_FROM_USER, .text = "what?", .len = 5},
	                                       {.from = TDM_FROM_ASSISTANT, .text = "The ", .len = 4}};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.messages = messages;
	request.n_messages = 2;
	assert_int_equal(make(&a, "{tokens: 2}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), "sun is a planet.");
	assert_int_equal(small.asked.n_messages, 2);
	assert_string_equal(small.last, "The sun is");
	asked_done(&a);
}

// --- who needs help

static void a_sure_small_model_gets_no_help(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{gate: logprob, threshold: -0.1, tokens: 3}"), TDM_OK);
	small.logprob = -0.0625;
	assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
	assert_int_equal(large.calls, 0);
	assert_int_equal(small.calls, 1);
	assert_string_equal(decision(&a)->choice, "small");
	assert_string_equal(decision(&a)->signal, "logprob");
	assert_true(decision(&a)->score == -0.0625 && decision(&a)->threshold == -0.1);
	small.logprob = -0.5;
	asked_answer(&a, 1, NULL);
	assert_string_equal(decision(&a)->choice, "prefix");
	assert_int_equal(large.calls, 1);
	assert_string_equal(a.run.record->calls->status, "discarded"); // its own answer
	assert_string_equal(a.run.record->calls->next->next->status, "ok");
	small.logprob = (double)NAN; // unknown is not sure
	asked_answer(&a, 1, NULL);
	assert_string_equal(decision(&a)->choice, "prefix");
	asked_done(&a);
}

// The small one's own answer says how long an answer is: 7 tokens here.
static void the_drafts_length_is_the_expected_one(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{gate: least, threshold: 0, share: 0.5}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	assert_int_equal(large.asked.max_tokens, 4);
	assert_non_null(strstr(decision(&a)->detail, "large wrote 4 tokens (4 wanted of 7 expected)"));
	asked_done(&a);
}

static void the_question_decides_by_fitted_weights(void **state) {
	static struct tdm_linear w;
	struct tdm_bytes out;
	struct asked a;
	w = (struct tdm_linear){.reads = TDM_READS_QUESTION, .bias = 0};
	w.weights[TDM_FEATURE_DIGITS] = 8;
	tdm_bytes_init(&out, 1 << 20);
	tdm_linear_write(&w, &out);
	assert_int_equal(tdm_file_write("build/shepherd.json", out.data, out.len, NULL), TDM_OK);
	tdm_bytes_release(&out);
	assert_int_equal(make(&a, "{gate: linear, weights: build/shepherd.json, threshold: 0.9, tokens: 2}"), TDM_OK);
	const struct tdm_message digits = {.from = TDM_FROM_USER, .text = "1234", .len = 4};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &digits;
	request.n_messages = 1;
	asked_answer(&a, 1, &request);
	assert_string_equal(decision(&a)->choice, "small");
	asked_answer(&a, 1, NULL);
	assert_string_equal(decision(&a)->choice, "prefix");
	assert_true(decision(&a)->score == 0.5);
	asked_done(&a);
}

// Three models in a row: hints of 0, 3 and all tokens; digits need help, and words do not.
static void write_predictor(const char *path) {
	static struct tdm_router r;
	enum { N = TDM_ROUTER_TEXT + 1 };
	static float quality[3 * N], cost[3 * N];
	struct tdm_bytes out;
	memset(&r, 0, sizeof r);
	r.scorer = TDM_ROUTER_QUALITY;
	r.n_models = 3;
	r.is_linear = true;
	r.quality = quality;
	r.cost = cost;
	for (int m = 0; m < 3; m++) {
		r.models[m] = (const char *[]){"none", "three", "all"}[m];
		quality[m * N + N - 1] = 1;
		quality[m * N + TDM_ROUTER_GRAMS + 2] = (float[]){-0.2f, -0.05f, 0}[m]; // share of digits
		cost[m * N + N - 1] = (float[]){1, 4, 10}[m];
	}
	tdm_bytes_init(&out, 8 << 20);
	tdm_router_write(&r, &out);
	assert_int_equal(tdm_file_write(path, out.data, out.len, NULL), TDM_OK);
	tdm_bytes_release(&out);
}

static void a_predictor_says_how_long_a_hint_is(void **state) {
	static const struct {
		const char *options, *question;
		int64_t hint;
	} rows[] = {
	    {"good: 0.48", "words alone", 0},
	    {"good: 0.48", "1234", 1000},
	    {"good: 0.4", "1234", 3},
	    {"willingness_to_pay: 10", "1234", 3}, // 10 * .4 - 1, 10 * .85 - 4, 10 - 10
	    {"willingness_to_pay: 1", "1234", 0},
	    {"willingness_to_pay: 100", "1234", 1000},
	};
	struct asked a;
	write_predictor("build/predictor.json");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char options[160];
		const struct tdm_message message = {
		    .from = TDM_FROM_USER, .text = rows[i].question, .len = strlen(rows[i].question)};
		struct tdm_request request;
		tdm_request_init(&request);
		request.messages = &message;
		request.n_messages = 1;
		snprintf(options, sizeof options, "{predictor: build/predictor.json, hints: [0, 3, all], %s}", rows[i].options);
		assert_int_equal(make(&a, options), TDM_OK);
		asked_answer(&a, 1, &request);
		assert_int_equal(a.status, TDM_OK);
		if (rows[i].hint == 3)
			assert_non_null(strstr(decision(&a)->detail, "large wrote 3 tokens (3 wanted, right with 0.850)"));
		assert_string_equal(decision(&a)->choice, rows[i].hint == 0 ? "small" : rows[i].hint == 3 ? "prefix" : "large");
		asked_done(&a);
	}
}

// --- points

#define SKELETON "1. Stars\n2. Planets and moons\n\nno point\n3) Dust"

static void points_go_out_in_their_order(void **state) {
	static const char expected[] =
	    "1. Stars\nmore of \"Stars\", draw 16.\n\n2. Planets and moons\nmore of \"Planets and "
	    "moons\", draw 32.\n\n3. Dust\nmore of \"Dust\", draw 48.";
	struct asked a;
	for (int parallel = 1; parallel <= 5; parallel++)
		for (int wait_ms = 0; wait_ms < 2; wait_ms++) {
			char options[64];
			snprintf(options, sizeof options, "{part: skeleton, tokens: 500, parallel: %d}", parallel);
			assert_int_equal(make(&a, options), TDM_OK);
			large.answer = SKELETON;
			small.answer = "more";
			small.wait_ms = wait_ms;
			assert_string_equal(asked_answer(&a, 1, NULL), expected);
			assert_int_equal(small.calls, 3);
			assert_int_equal(large.calls, 1);
			const struct tdm_call *c = a.run.record->calls;
			assert_string_equal(c->purpose, "plan");
			for (int i = 0; i < 3; i++, c = c->next)
				assert_string_equal(c->next->model, "small");
			assert_null(c->next);
			assert_string_equal(decision(&a)->choice, "skeleton");
			assert_non_null(strstr(decision(&a)->detail, "3 points, 1 samples each; large wrote 16 tokens"));
			asked_done(&a);
		}
}

static void a_sketch_is_replaced_by_what_is_made_of_it(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{part: sketch, tokens: 500, points: 2}"), TDM_OK);
	large.answer = "One thing. Another.\nA third one.";
	small.answer = "more";
	assert_string_equal(asked_answer(&a, 1, NULL),
	                    "more of \"One thing.\", draw 16.\n\nmore of \"Another.\\nA third one.\", draw 32.");
	assert_string_equal(decision(&a)->choice, "sketch");
	asked_done(&a);
}

static void the_surest_sample_of_a_point_is_taken(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{part: sketch, tokens: 500, samples: 3}"), TDM_OK);
	large.answer = "One thing.";
	small.answer = "more";
	assert_string_equal(asked_answer(&a, 1, NULL), "more of \"One thing.\", draw 16."); // all alike: the first
	assert_int_equal(small.calls, 3);
	assert_true(fabs((double)small.asked.temperature - 0.7) < 1e-6 && small.asked.draw == 18);
	asked_done(&a);
}

static void a_plan_without_points_is_the_small_model_alone(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{part: skeleton, tokens: 500}"), TDM_OK);
	large.answer = "I would rather not.";
	assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
	assert_int_equal(strncmp(decision(&a)->detail, "no points: ", 11), 0);
	assert_string_equal(small.last, "ask me");
	asked_done(&a);
}

static void a_plan_that_was_cut_loses_its_last_point(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{part: skeleton, tokens: 16}"), TDM_OK);
	large.answer = "1. Stars and suns\n2. Planets\n3. Dust and whatever is between them";
	small.answer = "x";
	asked_answer(&a, 1, NULL);
	assert_int_equal(small.calls, 2);
	assert_int_equal(large.asked.max_tokens, 16);
	asked_done(&a);
}

static void the_reader_who_has_enough_ends_the_points(void **state) {
	const char *const stops[] = {"Planets"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.stop = stops;
	request.n_stop = 1;
	assert_int_equal(make(&a, "{part: skeleton, tokens: 500, parallel: 1}"), TDM_OK);
	large.answer = SKELETON;
	small.answer = "more";
	assert_string_equal(asked_answer(&a, 1, &request), "1. Stars\nmore of \"Stars\", draw 16.\n\n2. ");
	assert_int_equal(a.result.finish, TDM_FINISH_STOP);
	assert_string_equal(a.result.stop, "Planets");
	assert_int_equal(small.calls, 2); // the third never began
	asked_done(&a);
}

// --- one is out

static bool warned(const struct asked *a, const char *param) {
	const struct tdm_warning *w = a->run.record->warnings;
	return w && !strcmp(w->code, "model_out") && !strcmp(w->param, param) && !w->next;
}

static void without_the_large_model_the_small_one_answers(void **state) {
	static const char *const rows[] = {"{tokens: 4}", "{part: sketch}", "{part: skeleton}", "{share: 1}"};
	struct asked a;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i]), TDM_OK);
		large.status = TDM_EUPSTREAM;
		assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
		assert_int_equal(a.status, TDM_OK);
		assert_true(warned(&a, "large"));
		assert_string_equal(a.result.served, "small");
		large.status = TDM_EFILTERED; // somebody's refusal is not gone around
		asked_answer(&a, 1, NULL);
		assert_int_equal(a.status, TDM_EFILTERED);
		asked_done(&a);
	}
}

static void what_the_large_model_wrote_before_it_failed_stays(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{tokens: 6}"), TDM_OK);
	large.status = TDM_EUPSTREAM;
	large.after = 2;
	assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
	assert_string_equal(small.last, "The su");
	assert_true(warned(&a, "large"));
	assert_string_equal(a.result.served, "it");
	assert_int_equal(a.result.completion_tokens, 2 + 5);
	asked_done(&a);
}

static void without_the_small_model_the_large_one_goes_on(void **state) {
	struct asked a;
	for (int after = 0; after < 3; after++) {
		char expected[64];
		assert_int_equal(make(&a, "{tokens: 2}"), TDM_OK);
		small.answer = "The suN is none";
		small.status = TDM_EUPSTREAM;
		small.after = after;
		large.answer = after ? "The sun" : RIGHT;
		asked_answer(&a, 1, NULL);
		assert_int_equal(a.status, TDM_OK);
		assert_true(warned(&a, "small"));
		snprintf(expected, sizeof expected, "The su%s", after ? "" : &RIGHT[6]);
		assert_int_equal(strncmp(a.collect.text.data, expected, strlen(expected)), 0);
		assert_int_equal(large.calls, 2);
		asked_done(&a);
	}
	assert_int_equal(make(&a, "{part: skeleton, tokens: 500}"), TDM_OK);
	small.status = TDM_EUPSTREAM;
	large.answer = "1. Stars\n";
	asked_answer(&a, 1, NULL);
	assert_int_equal(a.status, TDM_OK);
	assert_int_equal(strncmp(a.collect.text.data, "1. Stars\n1. Stars\n of \"Stars\"", 29),
	                 0); // the large one wrote it
	assert_true(warned(&a, "small"));
	asked_done(&a);
	assert_int_equal(make(&a, "{tokens: 2}"), TDM_OK);
	small.status = large.status = TDM_EUPSTREAM;
	large.after = 1;
	asked_answer(&a, 1, NULL);
	assert_int_equal(a.status, TDM_EUPSTREAM);
	assert_int_equal(large.calls, 1);
	asked_done(&a);
}

static void a_large_model_that_is_too_slow_is_not_waited_for(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{tokens: 6, wait_ms: 1}"), TDM_OK);
	large.wait_ms = 20;
	assert_string_equal(asked_answer(&a, 1, NULL), "The sun is a planet.");
	assert_int_equal(a.status, TDM_OK);
	assert_true(warned(&a, "large"));
	asked_done(&a);
}

static void money_that_is_spent_buys_no_hint(void **state) {
	struct asked a;
	assert_int_equal(make(&a, "{tokens: 2}"), TDM_OK);
	const struct tdm_message message = {.from = TDM_FROM_USER, .text = "ask me", .len = 6};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.max_tokens = 20;
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	a.run.objective.max_cost = 100e-6; // 87 tokens: small 87e-6, large 870e-6
	tdm_collect_init(&a.collect, 1000, NULL, NULL);
	assert_int_equal(tdm_generate(a.model, &a.run, &request, &a.collect.sink, &a.result), TDM_OK);
	assert_string_equal(a.collect.text.data, "The sun is a planet.");
	assert_int_equal(large.calls, 0);
	assert_int_equal(strncmp(decision(&a)->detail, "max_cost: ", 10), 0);
	asked_done(&a);
}

// --- what cannot be divided, and what is refused

static void forms_and_tools_are_the_large_models(void **state) {
	static const struct tdm_form form = {.kind = TDM_GRAMMAR_JSON};
	static const struct tdm_tool tool = {.name = "f"};
	struct tdm_request request;
	struct asked a;
	tdm_request_init(&request);
	request.form = &form;
	assert_int_equal(make(&a, "{tokens: 2}"), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), RIGHT);
	assert_int_equal(strncmp(decision(&a)->detail, "not divisible: ", 15), 0);
	request.form = NULL;
	request.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
	large.model.can |= TDM_CAN_TOOLS;
	a.model->can |= TDM_CAN_TOOLS;
	assert_string_equal(asked_answer(&a, 1, &request), RIGHT);
	assert_int_equal(small.calls, 0);
	asked_done(&a);
}

static void settings_that_cannot_be_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{threshold: 1}", "threshold and weights belong to a gate"},
	    {"{gate: logprob}", "gate logprob needs a threshold"},
	    {"{gate: logprob, threshold: 0, weights: x}", "gate logprob needs no weights"},
	    {"{gate: linear, threshold: 0}", "gate linear needs weights: a path, or embedded:route"},
	    {"{gate: scorer, threshold: 0}", "gate scorer needs weights: a path, or embedded:cascade"},
	    {"{samples: 2}", "samples belong to part: sketch or skeleton"},
	    {"{hints: [0, 1]}", "predictor and hints come together"},
	    {"{predictor: x.json}", "predictor and hints come together"},
	    {"{predictor: build/predictor.json, hints: [0, 1]}", "was fitted on 3 models, and hints names 2"},
	    {"{predictor: build/predictor.json, hints: [0, 4, 2]}", "expected growing numbers"},
	    {"{predictor: build/predictor.json, hints: [0, all, 2]}", "expected growing numbers"},
	    {"{predictor: build/predictor.json, hints: [0, 1, 2], tokens: 3}", "either tokens or a predictor"},
	};
	struct asked a;
	write_predictor("build/predictor.json");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, rows[i][0]), TDM_ECONFIG);
		if (!strstr(a.error.text, rows[i][1]))
			fail_msg("%s: %s", rows[i][0], a.error.text);
		asked_done(&a);
	}
}

int tdm_test_shepherd(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_hint_is_the_small_model_alone),
	    cmocka_unit_test(a_hint_as_long_as_the_answer_is_the_large_model_alone),
	    cmocka_unit_test(the_text_is_the_hint_and_the_completion),
	    cmocka_unit_test(the_receipt_prices_the_hint),
	    cmocka_unit_test(the_answers_limit_is_kept_over_both),
	    cmocka_unit_test(a_stop_string_across_the_seam_is_found),
	    cmocka_unit_test(a_model_that_cannot_continue_gets_the_beginning_quoted),
	    cmocka_unit_test(the_beginning_of_a_request_is_continued_too),
	    cmocka_unit_test(a_sure_small_model_gets_no_help),
	    cmocka_unit_test(the_drafts_length_is_the_expected_one),
	    cmocka_unit_test(the_question_decides_by_fitted_weights),
	    cmocka_unit_test(a_predictor_says_how_long_a_hint_is),
	    cmocka_unit_test(points_go_out_in_their_order),
	    cmocka_unit_test(a_sketch_is_replaced_by_what_is_made_of_it),
	    cmocka_unit_test(the_surest_sample_of_a_point_is_taken),
	    cmocka_unit_test(a_plan_without_points_is_the_small_model_alone),
	    cmocka_unit_test(a_plan_that_was_cut_loses_its_last_point),
	    cmocka_unit_test(the_reader_who_has_enough_ends_the_points),
	    cmocka_unit_test(without_the_large_model_the_small_one_answers),
	    cmocka_unit_test(what_the_large_model_wrote_before_it_failed_stays),
	    cmocka_unit_test(without_the_small_model_the_large_one_goes_on),
	    cmocka_unit_test(a_large_model_that_is_too_slow_is_not_waited_for),
	    cmocka_unit_test(money_that_is_spent_buys_no_hint),
	    cmocka_unit_test(forms_and_tools_are_the_large_models),
	    cmocka_unit_test(settings_that_cannot_be_are_refused),
	};
	return cmocka_run_group_tests_name("shepherd", tests, NULL, NULL);
}
