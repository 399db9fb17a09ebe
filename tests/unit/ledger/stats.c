// Stats: windows add up to what the ledger holds, each row once, also over many rows, many names and a new start.
#include "tests.h"
#include "base/value.h"
#include "ledger/stats.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NOW_S 1700000430
#define HOUR_S 3600

static struct tdm_ledger *ledger;
static struct tdm_arena arena;

static int set_up(void **state) {
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 64 << 20);
	return tdm_ledger_open(&(struct tdm_ledger_options){.path = ":memory:"}, &ledger, &err);
}

static int tear_down(void **state) {
	tdm_ledger_close(ledger);
	tdm_arena_release(&arena);
	return 0;
}

struct planted {
	int64_t at_s, us;
	enum tdm_state state;
	const char *tenant, *requested, *error;
	double cost, baseline;
	int emails;
};

static void plant(const struct planted *p) {
	struct tdm_record r;
	struct tdm_error err = {0};
	tdm_record_init(&r, &arena);
	r.created_wall_us = p->at_s * 1000000;
	r.total_us = p->us;
	r.state = p->state;
	r.tenant = p->tenant;
	r.requested = p->requested;
	r.error_code = p->error;
	r.baseline_cost = p->baseline;
	r.currency = "EUR";
	if (p->cost > 0)
		tdm_record_call(&r, &(struct tdm_call){.model = "large",
		                                       .purpose = "answer",
		                                       .status = "ok",
		                                       .prompt_tokens = 7,
		                                       .completion_tokens = 3,
		                                       .cost = p->cost,
		                                       .us = p->us});
	if (p->emails)
		tdm_record_count(&r, &r.left.entities, "EMAIL", p->emails);
	if (p->error && !strcmp(p->error, "content_filter"))
		tdm_record_verdict(&r, &(struct tdm_verdict){.by = "g", .stage = "input", .verdict = "block", .score = 1});
	assert_int_equal(tdm_ledger_write(ledger, &r, &err), TDM_OK);
}

static const struct tdm_value *stats_of(struct tdm_stats *s, enum tdm_window window, int64_t now_s) {
	struct tdm_bytes b;
	struct tdm_error err = {0};
	struct tdm_value *v = NULL;
	tdm_bytes_init(&b, 16 << 20);
	tdm_bytes_putc(&b, '{');
	assert_int_equal(tdm_ledger_stats(ledger, s, window, now_s, &b, &err), TDM_OK);
	tdm_bytes_putc(&b, '}');
	assert_int_equal(tdm_json_parse(&arena, b.data, b.len, &v, &err), TDM_OK);
	tdm_bytes_release(&b);
	return v;
}

static const struct tdm_value *row(const struct tdm_value *stats, const char *list, const char *name) {
	const struct tdm_value *v = tdm_get(stats, list);
	for (size_t i = 0; v && i < v->n; i++)
		if (!strcmp(tdm_get_string(&v->items[i], "name"), name))
			return &v->items[i];
	fail_msg("%s has no row \"%s\"", list, name);
	return NULL;
}

static void assert_near(double value, double expected) {
	if (!(fabs(value - expected) <= 1e-9 * fabs(expected)))
		fail_msg("%g, expected %g", value, expected);
}

static const struct planted rows[] = {
    {NOW_S - 5, 1000, TDM_COMPLETE, "anna", "cascade", NULL, 0.25, 1, 2},
    {NOW_S - 9, 1000, TDM_COMPLETE, "bert", "cascade", NULL, 0.5, 0.25, 0},
    {NOW_S - 8, 80000, TDM_REFUSED, "anna", "masked", "egress_blocked", 0, 0, 0},
    {NOW_S - 30 * 60, 1000, TDM_REFUSED, "anna", "cascade", "content_filter", 0, 3, 0},
    {NOW_S - 2 * HOUR_S, 2000, TDM_COMPLETE, NULL, "small", NULL, 2, 2, 1},
    {NOW_S - 48 * HOUR_S, 2000, TDM_COMPLETE, NULL, "small", NULL, 99, 99, 9},
};

static void test_windows(void **state) {
	struct tdm_stats *s = tdm_stats_new();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		plant(&rows[i]);
	const struct tdm_value *hour = stats_of(s, TDM_LAST_HOUR, NOW_S), *whole = row(hour, "totals", "");
	assert_near(tdm_get_number(whole, "requests", 0), 4);
	assert_near(tdm_get_number(whole, "failed", 0), 2);
	assert_near(tdm_get_number(whole, "cost", 0), 0.75);
	assert_near(tdm_get_number(whole, "saved", 0), 0.5); // of answers: 0.75 saved, 0.25 more than the dearest
	assert_near(tdm_get_number(whole, "completion_tokens", 0), 6);
	assert_string_equal(tdm_get_string(hour, "currency"), "EUR");
	assert_near(tdm_get_number(tdm_get(hour, "entities"), "EMAIL", 0), 2);
	assert_near(tdm_get_number(tdm_get(hour, "counters"), "egress_blocked", 0), 1);
	assert_near(tdm_get_number(tdm_get(hour, "counters"), "guard_blocks", 0), 1);
	assert_near(tdm_get_number(row(hour, "keys", "anna"), "requests", 0), 3);
	assert_near(tdm_get_number(row(hour, "requested", "cascade"), "requests", 0), 3);
	assert_near(tdm_get_number(row(hour, "models", "large"), "cost", 0), 0.75);
	const struct tdm_value *times = tdm_get(hour, "times"), *last = &times->items[times->n - 1];
	assert_int_equal(times->n, 60);
	assert_true(tdm_get_number(last, "at", 0) <= NOW_S && tdm_get_number(last, "at", 0) > NOW_S - 60);
	assert_near(tdm_get_number(last, "requests", 0), 3);
	assert_near(tdm_get_number(last, "entities", 0), 2);
	assert_string_equal(tdm_get_string(&tdm_get(hour, "recent")->items[0], "requested"), "small"); // written last
	const struct tdm_value *day = stats_of(s, TDM_LAST_DAY, NOW_S);
	assert_near(tdm_get_number(row(day, "totals", ""), "requests", 0), 5);
	assert_near(tdm_get_number(row(day, "keys", "(no name)"), "cost", 0), 2);
	tdm_stats_free(s);
}

static void test_each_row_once(void **state) {
	struct tdm_stats *s = tdm_stats_new();
	for (int i = 0; i < 700; i++) // several batches, and more names than are kept
		plant(&(struct planted){.at_s = NOW_S - i % 60,
		                        .us = 100 * (i + 1),
		                        .state = TDM_COMPLETE,
		                        .tenant = tdm_arena_printf(&arena, "key%d", i),
		                        .requested = "small",
		                        .cost = 1});
	for (int again = 0; again < 2; again++) {
		const struct tdm_value *hour = stats_of(s, TDM_LAST_HOUR, NOW_S), *whole = row(hour, "totals", "");
		assert_near(tdm_get_number(whole, "requests", 0), 700);
		double p50 = tdm_get_number(whole, "p50_ms", 0), p99 = tdm_get_number(whole, "p99_ms", 0);
		assert_true(fabs(p50 / 35 - 1) < 0.05 && fabs(p99 / 69.3 - 1) < 0.05);
		assert_true(tdm_get_number(row(hour, "keys", "other"), "requests", 0) > 400);
		assert_int_equal(tdm_get(hour, "recent")->n, 24);
	}
	plant(&(struct planted){.at_s = NOW_S, .us = 5, .state = TDM_COMPLETE, .requested = "small", .cost = 1});
	assert_near(tdm_get_number(row(stats_of(s, TDM_LAST_HOUR, NOW_S), "totals", ""), "requests", 0), 701);
	// An hour later nothing of it is left in the hour, and all of it in the day.
	assert_int_equal(tdm_get(stats_of(s, TDM_LAST_HOUR, NOW_S + 2 * HOUR_S), "totals")->n, 0);
	assert_near(tdm_get_number(row(stats_of(s, TDM_LAST_DAY, NOW_S + 2 * HOUR_S), "totals", ""), "requests", 0), 701);
	tdm_stats_free(s);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int tdm_test_stats(void) {
	const struct CMUnitTest tests[] = {CASE(test_windows), CASE(test_each_row_once)};
	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
