// limit and budget over models that do as told: who waits and who is refused, how places come back after a failure,
// what answers when the budget is spent, and whose spending counts together.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../fake_kind.h"
#include "base/clock.h"
#include "cost/kinds.h"
#include "ledger/shared.h"
#include "tests.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct tdm_shared *shared;
static struct tdm_kind source = {.name = "says", .family = TDM_SOURCE};

struct slow { // a source that takes its time
	struct tdm_model model;
	int wait_us, status, now, most;
	pthread_mutex_t lock;
};

static int slow_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_sink *sink, struct tdm_result *result) {
	struct slow *s = (struct slow *)m;
	pthread_mutex_lock(&s->lock);
	s->now++;
	s->most = s->now > s->most ? s->now : s->most;
	pthread_mutex_unlock(&s->lock);
	usleep((useconds_t)s->wait_us);
	pthread_mutex_lock(&s->lock);
	s->now--;
	pthread_mutex_unlock(&s->lock);
	tdm_record_call(run->record,
	                &(struct tdm_call){
	                    .model = m->name, .prompt_tokens = 2, .completion_tokens = 3, .cost = 3 * m->price.out / 1e6});
	return s->status ? tdm_fail(&run->error, s->status, "it fails as told") : TDM_OK;
}

static struct slow *slow_init(struct slow *s, int wait_us) {
	static const struct tdm_model_ops ops = {.generate = slow_generate};
	*s = (struct slow){.wait_us = wait_us};
	s->model = (struct tdm_model){.ops = &ops, .name = "slow", .can = TDM_CAN_TEXT, .kind = &source};
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

// The kind over inner and then (NULL = none), with a shared state of its own.
static int make(struct asked *a, const struct tdm_kind *kind, const char *options, struct tdm_model *inner,
                struct tdm_model *then) {
	struct tdm_value *map = NULL;
	memset(a, 0, sizeof *a);
	tdm_arena_init(&a->arena, (size_t)64 << 20);
	a->parts[0] = inner;
	a->parts[1] = then;
	a->roles[0] = "inner";
	a->roles[1] = "then";
	a->build = (struct tdm_build){.arena = &a->arena, .error = &a->error, .name = "it", .where = "test: model it"};
	a->build.kind = kind;
	a->build.parts = a->parts;
	a->build.part_roles = a->roles;
	a->build.n_parts = then ? 2 : 1;
	a->build.state = shared;
	void *read = tdm_arena_alloc(&a->arena, kind->options_bytes);
	assert_int_equal(tdm_yaml_parse(&a->arena, "test", options, strlen(options), &map, &a->error), TDM_OK);
	assert_int_equal(tdm_options_read(&a->arena, "test", map, kind->options, kind->n_options, NULL, read,
	                                  kind->options_bytes, &a->error),
	                 TDM_OK);
	return kind->create(&a->build, read, &a->model);
}

struct one { // a request of its own
	struct asked *a;
	const char *tenant;
	int status;
	struct tdm_error error;
	char text[64];
};

static void *ask(void *arg) {
	struct one *o = arg;
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request request;
	struct tdm_result result;
	struct tdm_collect words;
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "q", .len = 1};
	tdm_arena_init(&arena, 1 << 20);
	assert_int_equal(tdm_run_init(&run, &arena, 1), TDM_OK);
	run.tenant = o->tenant;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	request.max_tokens = 10;
	tdm_collect_init(&words, 1000, NULL, NULL);
	o->status = tdm_generate(o->a->model, &run, &request, &words.sink, &result);
	o->error = run.error;
	snprintf(o->text, sizeof o->text, "%s", words.text.data ? words.text.data : "");
	tdm_collect_release(&words);
	tdm_arena_release(&arena);
	return NULL;
}

static int ask_once(struct asked *a, const char *tenant) {
	struct one o = {.a = a, .tenant = tenant};
	ask(&o);
	return o.status;
}

static int ask_at_once(struct asked *a, int n) {
	struct one all[16];
	pthread_t threads[16];
	int good = 0;
	for (int i = 0; i < n; i++) {
		all[i] = (struct one){.a = a};
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &all[i]), 0);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		good += all[i].status == TDM_OK;
	}
	return good;
}

static int open_shared(void **state) {
	struct tdm_shared_options o;
	tdm_shared_options_init(&o);
	return tdm_shared_open(&o, &shared, NULL);
}

static int close_shared(void **state) {
	tdm_shared_close(shared);
	return 0;
}

// --- the tests

static void places_are_never_more_and_those_who_wait_get_one(void **state) {
	struct asked a;
	struct slow s;
	assert_int_equal(make(&a, &tdm_kind_limit, "{concurrency: 3, wait_ms: 10000}", &slow_init(&s, 20000)->model, NULL),
	                 TDM_OK);
	assert_int_equal(ask_at_once(&a, 12), 12);
	assert_int_equal(s.most, 3);
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_limit, "{concurrency: 2}", &slow_init(&s, 100000)->model, NULL), TDM_OK);
	assert_in_range(ask_at_once(&a, 8), 2, 6);
	assert_in_range(s.most, 1, 2);
	tdm_arena_release(&a.arena);
}

static void after_a_failure_places_come_back_evenly(void **state) {
	struct asked a;
	struct slow s;
	assert_int_equal(make(&a, &tdm_kind_limit, "{concurrency: 8, wait_ms: 10000, ramp_ms: 60000}",
	                      &slow_init(&s, 5000)->model, NULL),
	                 TDM_OK);
	s.status = TDM_EUPSTREAM;
	assert_int_equal(ask_once(&a, NULL), TDM_EUPSTREAM);
	s.status = TDM_OK;
	s.most = 0;
	assert_int_equal(ask_at_once(&a, 8), 8);
	assert_int_equal(s.most, 1);
	tdm_arena_release(&a.arena);
}

static void a_rate_is_of_all_or_of_each_tenant(void **state) {
	struct asked a;
	struct slow s;
	assert_int_equal(make(&a, &tdm_kind_limit, "{requests_per_minute: 2}", &slow_init(&s, 0)->model, NULL), TDM_OK);
	assert_int_equal(ask_once(&a, "one"), TDM_OK);
	assert_int_equal(ask_once(&a, "two"), TDM_OK);
	struct one o = {.a = &a, .tenant = "three"};
	ask(&o);
	assert_int_equal(o.status, TDM_ERATE);
	assert_in_range(o.error.retry_after_ms, 28000, 30001);
	assert_non_null(strstr(o.error.text, "model it: more than 2 requests in 60 s"));
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_limit, "{requests_per_minute: 1, per: tenant}", &slow_init(&s, 0)->model, NULL),
	                 TDM_OK);
	assert_int_equal(ask_once(&a, "one"), TDM_OK);
	assert_int_equal(ask_once(&a, "two"), TDM_OK);
	assert_int_equal(ask_once(&a, "one"), TDM_ERATE);
	tdm_arena_release(&a.arena);
}

static void what_is_spent_is_refused_or_answered_by_another(void **state) {
	struct asked a;
	struct slow s;
	struct says other;
	says_init(&other, "other", "instead");
	assert_int_equal(make(&a, &tdm_kind_budget, "{calls: 2, window: total}", &slow_init(&s, 0)->model, NULL), TDM_OK);
	assert_int_equal(ask_once(&a, NULL), TDM_OK);
	assert_int_equal(ask_once(&a, NULL), TDM_OK);
	assert_int_equal(ask_once(&a, NULL), TDM_EQUOTA);
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_budget, "{calls: 2, window: total}", &s.model, &other.model), TDM_OK);
	struct one o = {.a = &a};
	ask(&o);
	assert_int_equal(o.status, TDM_OK);
	assert_string_equal(o.text, "instead");
	s.status = TDM_EUPSTREAM; // a failure is no budget that is spent
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_budget, "{tokens: 1000, window: total}", &s.model, &other.model), TDM_OK);
	assert_int_equal(ask_once(&a, NULL), TDM_EUPSTREAM);
	tdm_arena_release(&a.arena);
}

static void many_at_once_spend_no_more_than_there_is(void **state) {
	struct asked a;
	struct slow s;
	slow_init(&s, 1000);
	s.model.price.out = 1e6; // 1 for a token: 10 may come, 3 do
	assert_int_equal(make(&a, &tdm_kind_budget, "{money: 33, window: total}", &s.model, NULL), TDM_OK);
	int good = 0, more = 0;
	good = ask_at_once(&a, 16);
	while (more < 100 && ask_once(&a, NULL) == TDM_OK)
		more++;
	assert_in_range(good, 3, 8);
	assert_in_range(good + more, 3, 11);
	tdm_arena_release(&a.arena);
}

static void bad_settings_are_told(void **state) {
	struct asked a;
	struct slow s;
	slow_init(&s, 0);
	s.model.leaves = true;
	assert_int_equal(make(&a, &tdm_kind_budget, "{money: 1}", &s.model, NULL), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "no price"));
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_budget, "{window: day}", &s.model, NULL), TDM_ECONFIG);
	tdm_arena_release(&a.arena);
	assert_int_equal(make(&a, &tdm_kind_limit, "{wait_ms: 5}", &s.model, NULL), TDM_ECONFIG);
	tdm_arena_release(&a.arena);
}

int tdm_test_bounds(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(places_are_never_more_and_those_who_wait_get_one, open_shared, close_shared),
	    cmocka_unit_test_setup_teardown(after_a_failure_places_come_back_evenly, open_shared, close_shared),
	    cmocka_unit_test_setup_teardown(a_rate_is_of_all_or_of_each_tenant, open_shared, close_shared),
	    cmocka_unit_test_setup_teardown(what_is_spent_is_refused_or_answered_by_another, open_shared, close_shared),
	    cmocka_unit_test_setup_teardown(many_at_once_spend_no_more_than_there_is, open_shared, close_shared),
	    cmocka_unit_test_setup_teardown(bad_settings_are_told, open_shared, close_shared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
