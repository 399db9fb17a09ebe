// Accounts with clocks of their own: windows begin when the calendar says so, the most is taken before and the rest
// given back after, a copy of a run pays for itself, and what happens when nobody can be asked.
#include "tests.h"
#include "kinds.h"
#include "models/account.h"

#define DAY_US INT64_C(86400000000)

static int64_t wall_us, clock_us = 1000000;
static int64_t fake_wall(void) {
	return wall_us;
}
static int64_t fake_now(void) {
	return clock_us;
}

static struct tdm_shared *open_shared(const char *url) {
	struct tdm_shared_options o;
	struct tdm_shared *s = NULL;
	tdm_shared_options_init(&o);
	o.url = url;
	o.now_us = fake_now;
	assert_int_equal(tdm_shared_open(&o, &s, NULL), TDM_OK);
	return s;
}

// A source that says 3 tokens at 1000 per million, and one that pays nothing.
static const char tree_text[] = "models:\n"
                                "  paid: {kind: script, answers: [\"one two three\"], price: {in: 0, out: 1000}}\n"
                                "  free: {kind: script, answers: [\"free\"]}\n";

struct ground {
	struct tdm_tree *tree;
	struct tdm_shared *shared;
	struct tdm_account account;
	struct bench b;
};

static void ground_open(struct ground *g, const char *url) {
	memset(g, 0, sizeof *g);
	g->tree = tree_of(tree_text);
	g->shared = open_shared(url);
	g->account =
	    (struct tdm_account){.shared = g->shared, .who = "key test", .answer_tokens = 100, .wall_us = fake_wall};
	bench_open(&g->b, "hi");
	g->b.run.accounts = &g->account;
	g->b.request.max_tokens = 10;
}

static void ground_close(struct ground *g) {
	bench_close(&g->b);
	tdm_shared_close(g->shared);
	tdm_tree_close(g->tree);
}

static void add(struct ground *g, const char *key, enum tdm_unit unit, enum tdm_meter meter, int64_t limit,
                enum tdm_when_down when_down) {
	g->account.quotas[g->account.n++] = (struct tdm_quota){.key = key,
	                                                       .unit = unit,
	                                                       .meter = meter,
	                                                       .window = TDM_WINDOW_DAY,
	                                                       .when_down = when_down,
	                                                       .limit = limit,
	                                                       .period_us = 60000000};
}

static int64_t left(struct ground *g, size_t quota) {
	const struct tdm_quota *q = &g->account.quotas[quota];
	struct tdm_claim c = {.key = q->key, .meter = q->meter, .limit = q->limit, .period_us = q->period_us};
	int64_t out = -1, unused;
	if (q->meter == TDM_METER_WINDOW)
		c.window = tdm_window_number(q->window, wall_us, &unused);
	assert_int_equal(tdm_shared_left(g->shared, &c, &out, NULL), TDM_OK);
	return out;
}

static int ask(struct ground *g, const char *model) {
	return bench_ask(&g->b, tdm_tree_model(g->tree, model));
}

static void windows_begin_with_the_calendar(void **state) {
	static const struct {
		enum tdm_budget_window window;
		const char *before, *after; // the last moment of one, the first of the next
		int64_t before_s, after_s;
	} rows[] = {
	    {TDM_WINDOW_HOUR, "12:59", "13:00", 1700002799, 1700002800},
	    {TDM_WINDOW_DAY, "Tuesday", "Wednesday", 1700006399, 1700006400},
	    {TDM_WINDOW_WEEK, "Sunday", "Monday", 1700438399, 1700438400},
	    {TDM_WINDOW_MONTH, "November", "December", 1701388799, 1701388800},
	    {TDM_WINDOW_MONTH, "December", "January", 1704067199, 1704067200},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		int64_t left_us, next_us;
		int64_t a = tdm_window_number(rows[i].window, rows[i].before_s * 1000000, &left_us);
		int64_t b = tdm_window_number(rows[i].window, rows[i].after_s * 1000000, &next_us);
		assert_int_equal(b, a + 1);
		assert_int_equal(left_us, 1000000);
		assert_true(next_us >= INT64_C(3600000000));
	}
	int64_t left_us = -1;
	assert_int_equal(tdm_window_number(TDM_WINDOW_TOTAL, 5, &left_us),
	                 tdm_window_number(TDM_WINDOW_TOTAL, 5 * DAY_US, &left_us));
	assert_int_equal(left_us, 0);
}

static void money_is_rounded_up_and_bounded(void **state) {
	assert_int_equal(tdm_money(0.05), 50000000);
	assert_int_equal(tdm_money(0.1 + 0.2), 300000000);
	assert_int_equal(tdm_money(1.2e-9), 2);
	assert_int_equal(tdm_money(-1), 0);
	assert_true(tdm_money(1e300) <= INT64_C(1) << 53);
}

static void the_most_is_taken_and_the_rest_given_back(void **state) {
	struct ground g;
	ground_open(&g, "memory:");
	wall_us = 100 * DAY_US;
	add(&g, "money", TDM_UNIT_MONEY, TDM_METER_WINDOW, tdm_money(0.02), TDM_DOWN_CLOSED);
	add(&g, "calls", TDM_UNIT_CALLS, TDM_METER_WINDOW, 100, TDM_DOWN_CLOSED);
	assert_int_equal(ask(&g, "paid"), TDM_OK); // 10 tokens at 0.001 may come, 3 or so do
	double cost = tdm_record_cost(g.b.run.record);
	assert_true(cost > 0 && cost < 0.01);
	assert_int_equal(left(&g, 0), tdm_money(0.02) - tdm_money(cost));
	assert_int_equal(left(&g, 1), 99);
	assert_int_equal(ask(&g, "free"), TDM_OK);
	assert_int_equal(left(&g, 0), tdm_money(0.02) - tdm_money(cost));
	int n = 1;
	while (ask(&g, "paid") == TDM_OK)
		n++;
	assert_int_equal(g.b.run.error.status, TDM_EQUOTA);
	assert_non_null(strstr(g.b.run.error.text, "key test: of a budget of 0.02 for a day"));
	assert_true(atomic_load(&g.account.denied));
	assert_true(n * cost <= 0.02 && left(&g, 0) < tdm_money(0.01));
	assert_int_equal(ask(&g, "free"), TDM_OK); // what costs nothing goes on
	wall_us += DAY_US;
	assert_int_equal(ask(&g, "paid"), TDM_OK);
	ground_close(&g);
}

static void without_a_longest_answer_the_accounts_own_is_reserved(void **state) {
	struct ground g;
	ground_open(&g, "memory:");
	add(&g, "money", TDM_UNIT_MONEY, TDM_METER_WINDOW, tdm_money(0.099), TDM_DOWN_CLOSED);
	g.b.request.max_tokens = 0;
	assert_int_equal(ask(&g, "paid"), TDM_EQUOTA); // 100 tokens
	g.account.answer_tokens = 99;
	assert_int_equal(ask(&g, "paid"), TDM_OK);
	ground_close(&g);
}

static void a_rate_of_tokens_lets_in_and_makes_wait_who_owes(void **state) {
	struct ground g;
	struct tdm_visit visit;
	struct tdm_error err = {0};
	ground_open(&g, "memory:");
	add(&g, "minute", TDM_UNIT_TOKENS, TDM_METER_RATE, 6, TDM_DOWN_LOCAL);
	g.b.request.max_tokens = 0;
	assert_int_equal(tdm_account_enter(&g.account, &visit, &err), TDM_OK);
	int n = 0;
	while (ask(&g, "paid") == TDM_OK && n < 10)
		n++;
	assert_in_range(n, 1, 3);
	assert_int_equal(g.b.run.error.status, TDM_ERATE);
	assert_true(g.b.run.error.retry_after_ms > 0);
	tdm_account_leave(&g.account, &visit);
	ground_close(&g);
}

static void places_are_held_and_left(void **state) {
	struct ground g;
	struct tdm_visit one, two;
	struct tdm_error err = {0};
	ground_open(&g, "memory:");
	add(&g, "places", TDM_UNIT_PLACES, TDM_METER_SLOTS, 1, TDM_DOWN_LOCAL);
	add(&g, "requests", TDM_UNIT_REQUESTS, TDM_METER_RATE, 3, TDM_DOWN_LOCAL);
	assert_int_equal(tdm_account_enter(&g.account, &one, &err), TDM_OK);
	assert_int_equal(tdm_account_enter(&g.account, &two, &err), TDM_ERATE);
	assert_non_null(strstr(err.text, "1 requests are under way"));
	assert_int_equal(err.retry_after_ms, 1000);
	tdm_account_leave(&g.account, &two); // was never in
	tdm_account_leave(&g.account, &one);
	tdm_error_clear(&err);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tdm_account_enter(&g.account, &one, &err), TDM_OK);
		tdm_account_leave(&g.account, &one);
	}
	assert_int_equal(tdm_account_enter(&g.account, &one, &err),
	                 TDM_ERATE); // the one that was refused counts for nothing
	assert_non_null(strstr(err.text, "more than 3 requests in 60 s"));
	assert_in_range(err.retry_after_ms, 19000, 20001);
	clock_us += 21000000;
	tdm_error_clear(&err);
	assert_int_equal(tdm_account_enter(&g.account, &one, &err), TDM_OK);
	tdm_account_leave(&g.account, &one);
	ground_close(&g);
}

static void accounts_nest_and_are_paid_together_or_not_at_all(void **state) {
	struct ground g;
	ground_open(&g, "memory:");
	struct tdm_account outer = g.account;
	add(&g, "inner", TDM_UNIT_CALLS, TDM_METER_WINDOW, 5, TDM_DOWN_CLOSED);
	outer.who = "model outer";
	outer.quotas[outer.n++] = (struct tdm_quota){
	    .key = "outer", .unit = TDM_UNIT_CALLS, .meter = TDM_METER_WINDOW, .window = TDM_WINDOW_TOTAL, .limit = 2};
	g.account.next = &outer;
	assert_int_equal(ask(&g, "free"), TDM_OK);
	assert_int_equal(ask(&g, "free"), TDM_OK);
	assert_int_equal(ask(&g, "free"), TDM_EQUOTA);
	assert_non_null(strstr(g.b.run.error.text, "model outer"));
	assert_true(atomic_load(&outer.denied) && !atomic_load(&g.account.denied));
	assert_int_equal(left(&g, 0), 3);
	ground_close(&g);
}

struct during { // a sink that asks another model in the middle, with a copy of the run
	struct tdm_sink sink;
	struct ground *g;
	int status;
};

static int ask_meanwhile(struct tdm_sink *sink, const struct tdm_event *event) {
	struct during *d = (struct during *)sink;
	struct tdm_run copy = d->g->b.run;
	struct tdm_collect words;
	struct tdm_result result;
	tdm_collect_init(&words, 1000, NULL, NULL);
	d->status = tdm_generate(tdm_tree_model(d->g->tree, "free"), &copy, &d->g->b.request, &words.sink, &result);
	tdm_collect_release(&words);
	return TDM_SINK_ENOUGH;
}

static void a_copy_of_a_run_that_is_being_paid_pays_for_itself(void **state) {
	struct ground g;
	ground_open(&g, "memory:");
	add(&g, "calls", TDM_UNIT_CALLS, TDM_METER_WINDOW, 1, TDM_DOWN_CLOSED);
	struct during d = {.sink = {ask_meanwhile, NULL}, .g = &g};
	tdm_generate(tdm_tree_model(g.tree, "paid"), &g.b.run, &g.b.request, &d.sink, &g.b.result);
	assert_int_equal(d.status, TDM_EQUOTA);
	ground_close(&g);
}

static void a_store_that_is_gone_closes_opens_or_leaves_it_to_this_process(void **state) {
	struct ground g;
	ground_open(&g, "redis://127.0.0.1:1");
	add(&g, "calls", TDM_UNIT_CALLS, TDM_METER_WINDOW, 1, TDM_DOWN_CLOSED);
	assert_int_equal(ask(&g, "free"), TDM_ESTATE);
	g.account.quotas[0].when_down = TDM_DOWN_OPEN;
	assert_int_equal(ask(&g, "free"), TDM_OK);
	assert_int_equal(ask(&g, "free"), TDM_OK);
	g.account.quotas[0].when_down = TDM_DOWN_LOCAL;
	assert_int_equal(ask(&g, "free"), TDM_OK);
	assert_int_equal(ask(&g, "free"), TDM_EQUOTA);
	ground_close(&g);
}

int tdm_test_account(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(windows_begin_with_the_calendar),
	    cmocka_unit_test(money_is_rounded_up_and_bounded),
	    cmocka_unit_test(the_most_is_taken_and_the_rest_given_back),
	    cmocka_unit_test(without_a_longest_answer_the_accounts_own_is_reserved),
	    cmocka_unit_test(a_rate_of_tokens_lets_in_and_makes_wait_who_owes),
	    cmocka_unit_test(places_are_held_and_left),
	    cmocka_unit_test(accounts_nest_and_are_paid_together_or_not_at_all),
	    cmocka_unit_test(a_copy_of_a_run_that_is_being_paid_pays_for_itself),
	    cmocka_unit_test(a_store_that_is_gone_closes_opens_or_leaves_it_to_this_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
