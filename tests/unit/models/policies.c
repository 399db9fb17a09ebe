// retry, fallback and pool over models that fail as told, and what they are made of: attempts and the breaker.
#include "tests.h"
#include "../fake_kind.h"
#include "base/clock.h"
#include "models/policies/attempt.h"
#include "models/policies/breaker.h"
#include "models/policies/hedge.h"
#include "models/sources.h"
#include <stdio.h>
#include <unistd.h>

struct plan { // a model whose n-th call fails with status[n], after its text or before it; then it answers
	struct tdm_model model;
	int status[8], calls;
	bool after_text;
	int64_t retry_after_ms;
};

static int plan_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_sink *sink, struct tdm_result *result) {
	struct plan *p = (struct plan *)m;
	int status = p->calls < 8 ? p->status[p->calls] : TDM_OK;
	p->calls++;
	tdm_attempt_count();
	if (!status || p->after_text) {
		struct tdm_event e = {.text = m->name, .len = strlen(m->name), .author = m->name, .token = -1, .logprob = NAN};
		int put = sink->put(sink, &e);
		if (put)
			return put < 0 ? put : TDM_OK;
	}
	if (!status)
		return TDM_OK;
	tdm_fail(&run->error, status, "%s fails as told", m->name);
	run->error.retry_after_ms = p->retry_after_ms;
	return status;
}

static int plan_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                      const char *const *texts, size_t n, double *logprobs, int *n_tokens) {
	struct plan *p = (struct plan *)m;
	int status = p->calls < 8 ? p->status[p->calls] : TDM_OK;
	p->calls++;
	for (size_t i = 0; i < n; i++)
		logprobs[i] = -(double)strlen(texts[i]);
	return status ? tdm_fail(&run->error, status, "%s fails as told", m->name) : TDM_OK;
}

static int plan_embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                      const float **out, int *width) {
	struct plan *p = (struct plan *)m;
	int status = p->calls < 8 ? p->status[p->calls] : TDM_OK;
	p->calls++;
	for (size_t i = 0; i < n; i++) {
		float *x = tdm_arena_alloc(run->arena, sizeof *x);
		*x = (float)texts[i].len;
		out[i] = x;
	}
	*width = 1;
	return status ? tdm_fail(&run->error, status, "%s fails as told", m->name) : TDM_OK;
}

static struct plan plans[4];
static struct asked a;
static const char *session; // of the next request; NULL = none

static void open_with(const struct tdm_kind *kind, const char *options, size_t n, bool leaves) {
	static const struct tdm_model_ops ops = {.generate = plan_generate, .score = plan_score, .embed_all = plan_embed};
	static const char *const names[] = {"one", "two", "three", "four"};
	const unsigned can = TDM_CAN_TEXT | TDM_CAN_SCORE | TDM_CAN_EMBED;
	const char *roles[4];
	struct tdm_model *parts[4];
	for (size_t i = 0; i < 4; i++) {
		plans[i] = (struct plan){.model = {.ops = &ops, .name = names[i], .can = can, .leaves = leaves}};
		parts[i] = &plans[i].model;
		roles[i] = kind->roles[0].name;
	}
	for (int i = 0; i < 1000; i++) // so that the budget of all is no limit here
		tdm_attempt_count();
	assert_int_equal(asked_make(&a, kind, options, n, parts, roles), TDM_OK);
}

static void shut(void) {
	if (a.model->ops->destroy)
		a.model->ops->destroy(a.model);
	asked_done(&a);
}

// Of a run of its own, so that thousands need the memory of one.
static const char *ask(uint64_t seed) {
	static struct tdm_arena arena;
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "q", .len = 1};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	tdm_collect_release(&a.collect);
	tdm_arena_release(&arena);
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_run_init(&a.run, &arena, seed), TDM_OK);
	a.run.objective.session = session;
	tdm_collect_init(&a.collect, 1000, NULL, NULL);
	a.status = tdm_generate(a.model, &a.run, &request, &a.collect.sink, &a.result);
	return a.collect.text.data ? a.collect.text.data : "";
}

static void test_retry(void **state) {
	static const int passing[] = {TDM_ERATE, TDM_EUPSTREAM, TDM_ETRUNCATED, TDM_EBADBODY, TDM_EUPTIME},
	                 lasting[] = {TDM_EREJECTED, TDM_ECONTEXT, TDM_EUPAUTH, TDM_EFILTERED, TDM_EPRIVACY, TDM_EGONE};
	for (size_t i = 0; i < TDM_COUNT(passing); i++) {
		open_with(&tdm_kind_retry, "{base_ms: 1}", 1, true);
		plans[0].status[0] = plans[0].status[1] = passing[i];
		assert_string_equal(ask(1), "one");
		assert_true(a.status == TDM_OK && plans[0].calls == 3 && a.run.n_retries == 2);
		assert_int_equal(a.run.error.status, TDM_OK);
		shut();
		open_with(&tdm_kind_retry, "{base_ms: 1, attempts: 9}", 1, true); // a request has no more than two
		plans[0].status[0] = plans[0].status[1] = plans[0].status[2] = passing[i];
		ask(1);
		assert_true(a.status == passing[i] && plans[0].calls == 3);
		shut();
		open_with(&tdm_kind_retry, "{base_ms: 1}", 1, true); // words are never spliced
		plans[0].status[0] = passing[i];
		plans[0].after_text = true;
		assert_string_equal(ask(1), "one");
		assert_true(a.status == passing[i] && plans[0].calls == 1);
		shut();
	}
	for (size_t i = 0; i < TDM_COUNT(lasting); i++) {
		open_with(&tdm_kind_retry, "{base_ms: 1}", 1, true);
		plans[0].status[0] = lasting[i];
		ask(1);
		assert_true(a.status == lasting[i] && plans[0].calls == 1);
		shut();
	}
}

// Vectors and judgements are repeated and replaced like words.
static void test_other_tasks(void **state) {
	static const struct tdm_kind *const kinds[] = {&tdm_kind_retry, &tdm_kind_fallback, &tdm_kind_pool};
	const struct tdm_words words[] = {{"ab", 2}, {"abc", 3}};
	const char *const texts[] = {"ab", "abc"};
	for (size_t i = 0; i < 2 * TDM_COUNT(kinds); i++) {
		const struct tdm_kind *kind = kinds[i / 2];
		bool broken = i % 2;
		const float *x[2] = {NULL};
		double ln[2];
		int width = 0;
		open_with(kind, i / 2 ? "{}" : "{base_ms: 1}", i / 2 ? 2 : 1, true);
		assert_int_equal(a.model->can & (TDM_CAN_TEXT | TDM_CAN_SCORE | TDM_CAN_EMBED),
		                 TDM_CAN_TEXT | TDM_CAN_SCORE | TDM_CAN_EMBED);
		ask(1);
		plans[0].calls = plans[1].calls = 0;
		plans[0].status[0] = broken ? TDM_EREJECTED : TDM_EUPSTREAM;   // a fallback follows both
		plans[1].status[0] = i / 2 == 2 ? plans[0].status[0] : TDM_OK; // a pool may begin with either
		int status = tdm_embed_all(a.model, &a.run, words, 2, x, &width);
		bool well = !broken || kind == &tdm_kind_fallback;
		if (kind != &tdm_kind_pool) {
			assert_int_equal(status, well ? TDM_OK : TDM_EREJECTED);
			assert_true(!well || (width == 1 && x[0][0] == 2 && x[1][0] == 3));
		}
		assert_int_equal(plans[0].calls + plans[1].calls, kind == &tdm_kind_pool ? (broken ? 1 : 2) : well ? 2 : 1);
		tdm_error_clear(&a.run.error);
		plans[0].calls = plans[1].calls = 0;
		status = tdm_score(a.model, &a.run, &(struct tdm_request){0}, texts, 2, ln, NULL);
		if (kind != &tdm_kind_pool) {
			assert_int_equal(status, well ? TDM_OK : TDM_EREJECTED);
			assert_true(!well || (ln[0] == -2 && ln[1] == -3));
		}
		assert_int_equal(plans[0].calls + plans[1].calls, kind == &tdm_kind_pool ? (broken ? 1 : 2) : well ? 2 : 1);
		shut();
	}
}

static void test_retry_waits(void **state) {
	open_with(&tdm_kind_retry, "{base_ms: 1, cap_ms: 100}", 1, true);
	plans[0].status[0] = TDM_ERATE;
	plans[0].retry_after_ms = 30;
	int64_t start_us = tdm_now_us();
	assert_string_equal(ask(1), "one");
	assert_true(tdm_now_us() - start_us >= 30000);
	plans[0].calls = 0;
	plans[0].retry_after_ms = 101; // longer than anybody waits here: the client is told instead
	ask(1);
	assert_true(a.status == TDM_ERATE && plans[0].calls == 1 && a.run.error.retry_after_ms == 101);
	shut();
}

static void test_fallback(void **state) {
	open_with(&tdm_kind_fallback, "{}", 3, true);
	plans[0].status[0] = TDM_EUPSTREAM;
	plans[1].status[0] = TDM_ERATE;
	assert_string_equal(ask(1), "three");
	const struct tdm_decision *d = a.run.record->decisions;
	assert_string_equal(d->choice, "two");
	assert_string_equal(d->detail, "upstream_error after one");
	assert_string_equal(d->next->choice, "three");
	assert_string_equal(ask(1), "one");
	plans[0].calls = plans[1].calls = 0;
	plans[0].status[0] = TDM_EPRIVACY; // a refusal is nobody else's to answer
	ask(1);
	assert_true(a.status == TDM_EPRIVACY && plans[1].calls == 0);
	plans[0].calls = 0;
	plans[0].status[0] = TDM_EUPSTREAM;
	plans[0].after_text = true;
	assert_string_equal(ask(1), "one");
	assert_true(a.status == TDM_EUPSTREAM && plans[1].calls == 0);
	shut();
	open_with(&tdm_kind_fallback, "{}", 4, false); // models of this machine are asked without end
	for (int i = 0; i < 3; i++)
		plans[i].status[0] = TDM_EUPSTREAM;
	assert_string_equal(ask(1), "four");
	assert_int_equal(a.run.n_retries, 0);
	shut();
}

// What a guard refused is content_filter, and a fallback that names it asks the next model; one that does not name it,
// or a refusal for privacy, ends the request.
static void demand_25_a_refusal_that_is_named_may_be_followed(void **state) {
	static const char *const options[] = {"{}", "{on: [content_filter]}", "{on: [content_filter, 5xx]}",
	                                      "{on: [privacy_refused]}"};
	for (int i = 0; i < 4; i++) {
		open_with(&tdm_kind_fallback, options[i], 2, true);
		plans[0].status[0] = TDM_EFILTERED;
		bool follows = i == 1 || i == 2;
		assert_string_equal(ask(1), follows ? "two" : "");
		assert_int_equal(a.status, follows ? TDM_OK : TDM_EFILTERED);
		if (follows)
			assert_string_equal(a.run.record->decisions->detail, "content_filter after one");
		plans[0].status[0] = TDM_EPRIVACY;
		plans[0].calls = plans[1].calls = 0;
		ask(1);
		assert_true(a.status == TDM_EPRIVACY && plans[1].calls == 0);
		shut();
	}
}

static void test_fallback_passes_over_who_cannot(void **state) {
	static const struct tdm_tool tool = {.name = "f"};
	struct tdm_request request;
	static const char *const roles[] = {"models", "models", "models"};
	open_with(&tdm_kind_fallback, "{}", 3, true);
	struct tdm_model *parts[] = {&plans[0].model, &plans[1].model, &plans[2].model};
	asked_done(&a);
	plans[1].model.can |= TDM_CAN_TOOLS;
	assert_int_equal(asked_make(&a, &tdm_kind_fallback, "{}", 3, parts, roles), TDM_OK);
	tdm_request_init(&request);
	request.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
	assert_string_equal(asked_answer(&a, 1, &request), "two");
	plans[1].calls = 0;
	plans[1].status[0] = TDM_EUPSTREAM;
	asked_answer(&a, 1, &request);
	assert_true(a.status == TDM_EUPSTREAM && plans[2].calls == 0);
	shut();
}

static bool may_again(int last) {
	a.run.n_retries = 0;
	a.run.error.status = last;
	return tdm_attempt_again(&a.run, &plans[0].model);
}

static void test_budget_of_all(void **state) {
	int before = 0, granted = 0, more = 0;
	open_with(&tdm_kind_retry, "{}", 1, true);
	ask(1);
	while (may_again(TDM_EUPSTREAM)) // until a tenth of the calls of this minute was repeated
		before++;
	assert_true(before > 0);
	for (int i = 0; i < 1000; i++) {
		tdm_attempt_count();
		granted += may_again(TDM_EUPSTREAM);
	}
	assert_in_range(granted, 100, 101);
	for (int i = 0; i < 100; i++)
		more += may_again(TDM_EUPSTREAM);
	assert_int_equal(more, 0);
	assert_true(may_again(TDM_EEXHAUSTED)); // nobody was asked: that costs nothing
	shut();
}

static void test_pool_spreads(void **state) {
	int first = 0;
	open_with(&tdm_kind_pool, "{by: weights, weights: [3, 1]}", 2, true);
	for (uint64_t seed = 0; seed < 2000; seed++) {
		ask(seed);
		assert_int_equal(a.status, TDM_OK);
		first += !strcmp(a.collect.text.data, "one");
	}
	assert_in_range(first, 1400, 1600); // of 2000; expected 1500, standard deviation 19
	shut();
	open_with(&tdm_kind_pool, "{by: latency}", 3, true);
	for (int i = 0; i < 3; i++)
		ask(1);
	assert_true(plans[0].calls && plans[1].calls && plans[2].calls); // unknown ones are tried first
	shut();
	open_with(&tdm_kind_pool, "{}", 2, true);
	plans[0].status[0] = TDM_EUPSTREAM;
	assert_string_equal(ask(1), "two");
	plans[0].calls = 0;
	plans[0].status[0] = TDM_EREJECTED; // what one upstream refuses, the others refuse too
	ask(1);
	assert_int_equal(a.status, TDM_EREJECTED);
	shut();
}

static const char *ask_in_session(const char *name) {
	session = name;
	const char *text = ask(1);
	session = NULL;
	return text;
}

static void test_pool_keeps_conversations(void **state) {
	int counts[4] = {0};
	char name[16], one[16];
	open_with(&tdm_kind_pool, "{sticky: yes}", 4, true);
	for (int i = 0; i < 200; i++) {
		snprintf(one, sizeof one, "s%d", i);
		snprintf(name, sizeof name, "%s", ask_in_session(one));
		assert_string_equal(ask_in_session(one), name);
		for (int k = 0; k < 4; k++)
			counts[k] += !strcmp(name, plans[k].model.name);
	}
	for (int k = 0; k < 4; k++)
		assert_in_range(counts[k], 25, 80); // expected 50, standard deviation 6
	snprintf(name, sizeof name, "%s", ask_in_session("s0"));
	for (int k = 0; k < 4; k++) {
		plans[k].calls = 0;
		plans[k].status[0] = strcmp(name, plans[k].model.name) ? TDM_OK : TDM_EUPSTREAM;
	}
	assert_string_not_equal(ask_in_session("s0"), name); // it fails: the next in the order
	assert_string_equal(ask_in_session("s0"), name);     // it is back
	shut();
}

static void test_bad_settings(void **state) {
	static const struct {
		const struct tdm_kind *kind;
		const char *options;
	} bad[] = {{&tdm_kind_pool, "{weights: [1]}"},    {&tdm_kind_pool, "{weights: [1, x]}"},
	           {&tdm_kind_pool, "{weights: [1, 0]}"}, {&tdm_kind_pool, "{by: chance}"},
	           {&tdm_kind_retry, "{attempts: 11}"},   {&tdm_kind_fallback, "{first: one}"}};
	for (size_t i = 0; i < TDM_COUNT(bad); i++) {
		struct asked b;
		const char *roles[] = {bad[i].kind->roles[0].name, bad[i].kind->roles[0].name};
		struct tdm_model *parts[] = {&plans[0].model, &plans[1].model};
		assert_int_equal(asked_make(&b, bad[i].kind, bad[i].options, 2, parts, roles), TDM_ECONFIG);
		asked_done(&b);
	}
}

#define S(x) ((int64_t)(x)*1000000)

static void test_breaker(void **state) {
	struct tdm_breaker b;
	tdm_breaker_init(&b);
	for (int i = 0; i < 20; i++) { // one failure every 2.6 s: never 5 in 10 s
		assert_int_equal(tdm_breaker_admit(&b, S(100) + i * 2600000), TDM_BREAKER_CLOSED);
		tdm_breaker_end(&b, S(100) + i * 2600000, TDM_BREAKER_CLOSED, TDM_BREAKER_FAILED);
	}
	tdm_breaker_end(&b, S(200), TDM_BREAKER_CLOSED, TDM_BREAKER_WELL);
	for (int i = 0; i < TDM_BREAKER_FAILURES; i++) {
		assert_int_equal(tdm_breaker_admit(&b, S(201)), TDM_BREAKER_CLOSED);
		tdm_breaker_end(&b, S(201), TDM_BREAKER_CLOSED, TDM_BREAKER_FAILED);
	}
	static const int waits[] = {1, 2, 4, 8, 16, 30, 30};
	int64_t now = S(201);
	for (size_t i = 0; i < TDM_COUNT(waits); i++) {
		assert_int_equal(tdm_breaker_wait_us(&b, now), S(waits[i]));
		assert_int_equal(tdm_breaker_admit(&b, now + S(waits[i]) - 1), TDM_BREAKER_OPEN);
		tdm_breaker_end(&b, now + 1, TDM_BREAKER_CLOSED, TDM_BREAKER_FAILED); // a call from before: tells nothing
		now += S(waits[i]);
		assert_int_equal(tdm_breaker_admit(&b, now), TDM_BREAKER_PROBE);
		assert_int_equal(tdm_breaker_admit(&b, now), TDM_BREAKER_OPEN); // one at a time
		tdm_breaker_end(&b, now, TDM_BREAKER_PROBE, TDM_BREAKER_FAILED);
	}
	assert_int_equal(tdm_breaker_admit(&b, now + S(30)), TDM_BREAKER_PROBE);
	tdm_breaker_end(&b, now + S(30), TDM_BREAKER_PROBE, TDM_BREAKER_NEITHER); // the client left: another may try
	assert_int_equal(tdm_breaker_admit(&b, now + S(30)), TDM_BREAKER_PROBE);
	tdm_breaker_end(&b, now + S(30), TDM_BREAKER_PROBE, TDM_BREAKER_WELL);
	assert_int_equal(tdm_breaker_admit(&b, now + S(30)), TDM_BREAKER_CLOSED);
	assert_int_equal(tdm_breaker_wait_us(&b, now + S(30)), 0);
	tdm_breaker_release(&b);
}

// --- breakers of one upstream

static int64_t wall_us; // stands for every clock

static int64_t wall(void) {
	return wall_us;
}

static enum tdm_breaker_pass call(struct tdm_breaker *b, enum tdm_breaker_end end) {
	int64_t now_us = wall_us - S(1000000); // a monotonic clock begins elsewhere
	enum tdm_breaker_pass pass = tdm_breaker_admit(b, now_us);
	if (pass != TDM_BREAKER_OPEN)
		tdm_breaker_end(b, now_us, pass, end);
	wall_us += 200000;
	return pass;
}

static void share(const char *url, struct tdm_arena *arena, struct tdm_breaker *b, struct tdm_shared **store) {
	struct tdm_shared_options o;
	struct tdm_error err = {0};
	tdm_shared_options_init(&o);
	o.url = url;
	o.now_us = wall;
	if (!*store)
		assert_int_equal(tdm_shared_open(&o, store, &err), TDM_OK);
	tdm_breaker_init(b);
	assert_int_equal(tdm_breaker_share(b, arena, *store, "host:model", wall), TDM_OK);
}

static void test_breakers_share(void **state) {
	static const char *const urls[] = {"memory:", "sqlite:build/breaker.db"};
	for (size_t i = 0; i < TDM_COUNT(urls); i++) {
		struct tdm_shared *store = NULL;
		struct tdm_breaker x, y, late;
		struct tdm_arena arena;
		remove("build/breaker.db");
		tdm_arena_init(&arena, 1 << 16);
		wall_us = S(2000000);
		share(urls[i], &arena, &x, &store);
		share(urls[i], &arena, &y, &store);
		for (int k = 0; k < 3; k++) // failures count together
			assert_int_equal(call(&x, TDM_BREAKER_FAILED), TDM_BREAKER_CLOSED);
		for (int k = 0; k < 2; k++)
			assert_int_equal(call(&y, TDM_BREAKER_FAILED), TDM_BREAKER_CLOSED);
		assert_int_equal(call(&x, TDM_BREAKER_WELL), TDM_BREAKER_OPEN);
		share(urls[i], &arena, &late, &store); // one that comes later, as after a restart
		assert_int_equal(call(&late, TDM_BREAKER_WELL), TDM_BREAKER_OPEN);
		wall_us += S(1);
		assert_int_equal(tdm_breaker_admit(&x, wall_us - S(1000000)), TDM_BREAKER_PROBE);
		assert_int_equal(call(&y, TDM_BREAKER_WELL), TDM_BREAKER_OPEN); // one probe of all
		tdm_breaker_end(&x, wall_us - S(1000000), TDM_BREAKER_PROBE, TDM_BREAKER_FAILED);
		wall_us += 1900000;
		assert_int_equal(call(&y, TDM_BREAKER_WELL), TDM_BREAKER_OPEN); // the wait is twice as long for all
		assert_int_equal(call(&y, TDM_BREAKER_WELL), TDM_BREAKER_PROBE);
		assert_int_equal(call(&x, TDM_BREAKER_WELL), TDM_BREAKER_CLOSED);
		assert_int_equal(call(&late, TDM_BREAKER_WELL), TDM_BREAKER_CLOSED);
		for (int k = 0; k < 4; k++) // a success between makes them void for all
			assert_int_equal(call(&x, TDM_BREAKER_FAILED), TDM_BREAKER_CLOSED);
		assert_int_equal(call(&y, TDM_BREAKER_WELL), TDM_BREAKER_CLOSED);
		assert_int_equal(call(&x, TDM_BREAKER_FAILED), TDM_BREAKER_CLOSED);
		assert_int_equal(call(&x, TDM_BREAKER_WELL), TDM_BREAKER_CLOSED);
		tdm_breaker_release(&x);
		tdm_breaker_release(&y);
		tdm_breaker_release(&late);
		tdm_shared_close(store);
		tdm_arena_release(&arena);
	}
	remove("build/breaker.db");
}

// What is in the store is data: nonsense changes nothing, and times ahead are bounded.
static void test_breaker_distrusts(void **state) {
	static const char *const nonsense[] = {"",         "x",         "2 1 1 1",         "1 1",
	                                       "1 -5 0 0", "1 0 0 0 7", "1 0 0 0 7:x 8:9", "1 0 0 0 ::"};
	struct tdm_shared *store = NULL;
	struct tdm_breaker b;
	struct tdm_arena arena;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 16);
	wall_us = S(2000000);
	share("memory:", &arena, &b, &store);
	for (size_t i = 0; i < TDM_COUNT(nonsense); i++) {
		assert_int_equal(tdm_shared_set(store, "breaker:host:model", nonsense[i], strlen(nonsense[i]), 0, &err),
		                 TDM_OK);
		assert_int_equal(call(&b, TDM_BREAKER_NEITHER), TDM_BREAKER_CLOSED);
	}
	static const char ahead[] = "1 3 99999999999999 99999999999999 99999999999999:1";
	assert_int_equal(tdm_shared_set(store, "breaker:host:model", ahead, sizeof ahead - 1, 0, &err), TDM_OK);
	assert_int_equal(call(&b, TDM_BREAKER_WELL), TDM_BREAKER_OPEN);
	assert_in_range(tdm_breaker_wait_us(&b, wall_us - S(1000000)), 1, S(30));
	tdm_breaker_release(&b);
	tdm_shared_close(store);
	tdm_arena_release(&arena);
}

// --- the sooner of two

struct scan { // counts, and refuses if it is told to; made for one thread
	struct tdm_egress egress;
	int n;
	bool refuses;
};

static int count_scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct scan *s = (struct scan *)self;
	s->n++;
	return s->refuses ? tdm_fail(err, TDM_EEGRESS, "test: not these bytes") : TDM_OK;
}

struct leaver { // sends bytes off the machine, as far as the scans let it; a slow one answers when it is given up
	struct tdm_model model;
	bool is_slow;
};

static int leaver_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                           struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_event e = {.text = m->name, .len = strlen(m->name), .author = m->name, .token = -1, .logprob = NAN};
	for (struct tdm_egress *scan = run->egress; scan; scan = scan->next)
		if (scan->scan(scan, m->name, strlen(m->name), &run->error))
			return run->error.status;
	while (((struct leaver *)m)->is_slow && tdm_run_check(run) == TDM_OK)
		usleep(1000);
	int status = sink->put(sink, &e);
	return status < 0 ? status : TDM_OK;
}

// Whoever is asked, what it sends is scanned, one at a time.
static void test_hedges_are_scanned(void **state) {
	static const struct tdm_model_ops ops = {.generate = leaver_generate};
	struct leaver two[2] = {{.is_slow = true}, {.is_slow = false}};
	for (int i = 0; i < 2; i++)
		two[i].model = (struct tdm_model){.ops = &ops, .name = i ? "second" : "first", .can = TDM_CAN_TEXT};
	for (int refuses = 0; refuses < 2; refuses++) {
		struct tdm_arena arena;
		struct tdm_run run;
		struct tdm_request request;
		struct tdm_collect words;
		struct tdm_result result;
		struct scan scan = {.egress = {.scan = count_scan}, .refuses = refuses};
		struct tdm_hedge h = {.first = &two[0].model, .second = &two[1].model, .after_ms = 1};
		tdm_arena_init(&arena, 1 << 20);
		assert_int_equal(tdm_run_init(&run, &arena, 1), TDM_OK);
		tdm_request_init(&request);
		request.messages = &(struct tdm_message){.from = TDM_FROM_USER, .text = "ask", .len = 3};
		request.n_messages = 1;
		tdm_collect_init(&words, 1000, NULL, &arena);
		run.egress = &scan.egress;
		int status = tdm_hedge(&h, &run, &request, &words.sink, &result);
		assert_ptr_equal(run.egress, &scan.egress);
		assert_int_equal(status, refuses ? TDM_EEGRESS : TDM_OK);
		if (refuses)
			assert_true(scan.n >= 1 && !words.text.len);
		else
			assert_int_equal(scan.n, 2);
		if (!refuses)
			assert_string_equal(words.text.data, "second");
		tdm_collect_release(&words);
		tdm_arena_release(&arena);
	}
}

int tdm_test_policies(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_breakers_share),
	    cmocka_unit_test(test_breaker_distrusts),
	    cmocka_unit_test(test_breaker),
	    cmocka_unit_test(test_retry),
	    cmocka_unit_test(test_other_tasks),
	    cmocka_unit_test(test_retry_waits),
	    cmocka_unit_test(test_fallback),
	    cmocka_unit_test(test_fallback_passes_over_who_cannot),
	    cmocka_unit_test(test_pool_spreads),
	    cmocka_unit_test(test_pool_keeps_conversations),
	    cmocka_unit_test(test_bad_settings),
	    cmocka_unit_test(test_budget_of_all),
	    cmocka_unit_test(test_hedges_are_scanned),
	    cmocka_unit_test(demand_25_a_refusal_that_is_named_may_be_followed),
	};
	return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
