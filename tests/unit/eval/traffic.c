// Decisions written to a ledger and read back, under thresholds whose every figure is known.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "eval/replay.h"
#include "eval/traffic.h"
#include "ledger/store.h"
#include "tests.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT ((size_t)64 << 20)

struct asked {
	double score, threshold, cost, audit_cost; // audit_cost < 0: no audit
	const char *signal, *detail;
	bool agrees;
	enum tdm_state state;
};
static const struct asked all[] = {
    {0.9, 0.5, 1, 10, "linear", NULL, true, TDM_COMPLETE},
    {0.7, 0.5, 1, -1, "linear", NULL, false, TDM_COMPLETE},
    {0.5, 0.5, 1, 30, "linear", NULL, false, TDM_COMPLETE}, // a tie keeps
    {0.3, 0.5, 20, -1, "linear", NULL, false, TDM_COMPLETE},
    {0.8, 0.5, 40, -1, "linear", "undecided: familiar 0.1", false, TDM_COMPLETE},
    {0.9, 0.5, 1, -1, "length", NULL, false, TDM_COMPLETE}, // another scale
    {0.9, 0.5, 1, -1, "linear", NULL, false, TDM_FAILED},
};
enum { N_ASKED = sizeof all / sizeof *all };
static char folder[] = "/tmp/tandem-traffic-XXXXXX", path[64];
static char ids[N_ASKED][TDM_ID_BYTES];

static void write_one(struct tdm_ledger *l, const struct asked *a, char *id) {
	struct tdm_arena arena;
	struct tdm_record r;
	bool is_kept = a->score >= a->threshold && !a->detail;
	tdm_arena_init(&arena, LIMIT);
	tdm_record_init(&r, &arena);
	memcpy(id, r.id, TDM_ID_BYTES);
	r.state = a->state;
	struct tdm_call call = {.model = "m", .purpose = "answer", .status = "ok", .cost = a->cost};
	tdm_record_call(&r, &call);
	struct tdm_decision other = {.by = "else", .kind = "route", .choice = "x", .signal = "linear"};
	other.score = other.threshold = 0.1;
	tdm_record_decision(&r, &other);
	struct tdm_decision d = {.by = "half", .kind = "route", .choice = is_kept ? "small" : "large"};
	d.signal = a->signal;
	d.detail = a->detail;
	d.score = a->score;
	d.threshold = a->threshold;
	tdm_record_decision(&r, &d);
	if (a->audit_cost >= 0) {
		struct tdm_call judge = {.model = "l", .purpose = "judge", .status = "ok", .cost = a->audit_cost};
		struct tdm_decision audit = {.by = "half", .kind = "route", .signal = "audit"};
		audit.choice = a->agrees ? "agrees" : "differs";
		audit.score = a->agrees;
		audit.threshold = (double)NAN;
		tdm_record_call(&r, &judge);
		tdm_record_decision(&r, &audit);
	}
	assert_int_equal(tdm_ledger_write(l, &r, NULL), TDM_OK);
	tdm_arena_release(&arena);
}

static int write_ledger(void **state) {
	struct tdm_ledger *l;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/ledger.db", folder);
	struct tdm_ledger_options o = {.path = path};
	if (tdm_ledger_open(&o, &l, NULL))
		return -1;
	for (int i = 0; i < N_ASKED; i++)
		write_one(l, &all[i], ids[i]);
	tdm_ledger_close(l);
	return 0;
}

static int remove_ledger(void **state) {
	static const char *const names[] = {"", ".lock", "-wal", "-shm"};
	char name[80];
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(name, sizeof name, "%s%s", path, names[i]);
		unlink(name);
	}
	return rmdir(folder);
}

static void read_traffic(struct tdm_arena *arena, const char *signal, struct tdm_traffic *out) {
	struct tdm_traffic_options o = {.ledger = path, .by = "half", .signal = signal};
	struct tdm_error err = {0};
	int status = tdm_traffic_read(&o, arena, out, &err);
	if (status)
		fail_msg("%s", err.text);
}

static void test_reading(void **state) {
	struct tdm_arena arena;
	struct tdm_traffic t;
	tdm_arena_init(&arena, LIMIT);
	read_traffic(&arena, NULL, &t);
	assert_int_equal(t.n, 5);
	assert_int_equal(t.n_kept, 3);
	assert_int_equal(t.n_audited, 2);
	assert_int_equal(t.n_undecided, 1);
	assert_int_equal(t.n_other, 1);
	assert_int_equal(t.n_unfinished, 1);
	assert_string_equal(t.signal, "linear");
	assert_float_equal(t.mean_keep, 1, 1e-12);
	assert_float_equal(t.mean_send, (10 + 30 + 20 + 40) / 4.0, 1e-12);
	read_traffic(&arena, "length", &t);
	assert_int_equal(t.n, 2); // and the one without a score that counts
	struct tdm_traffic_options o = {.ledger = path, .by = "half", .since_s = INT64_MAX / 4};
	assert_int_equal(tdm_traffic_read(&o, &arena, &t, NULL), TDM_EVALUE);
	o.ledger = "/tmp/there/is/none.db";
	assert_int_equal(tdm_traffic_read(&o, &arena, &t, NULL), TDM_ELEDGER);
	tdm_arena_release(&arena);
}

static void test_thresholds(void **state) {
	const struct tdm_traffic_prices means = {(double)NAN, (double)NAN}, given = {3, 50};
	struct tdm_arena arena;
	struct tdm_traffic t;
	struct tdm_traffic_policy p;
	tdm_arena_init(&arena, LIMIT);
	read_traffic(&arena, NULL, &t);
	tdm_traffic_replay(&t, &means, 0.5, &p); // as it was
	assert_float_equal(p.share, 0.6, 1e-12);
	assert_float_equal(p.cost, (1 + 1 + 1 + 20 + 40) / 5.0, 1e-12);
	assert_float_equal(p.estimated, 0, 1e-12);
	assert_true(p.is_audited && p.n_audited == 2 && p.n_differ == 1 && p.low < 0.5 && p.high > 0.5);
	tdm_traffic_replay(&t, &means, 0.8, &p); // 0.7 was not audited: the mean of large answers
	assert_float_equal(p.share, 0.2, 1e-12);
	assert_float_equal(p.cost, (1 + 25 + 30 + 20 + 40) / 5.0, 1e-12);
	assert_float_equal(p.estimated, 25 / 5.0, 1e-12);
	assert_true(p.is_audited && p.n_audited == 1 && p.n_differ == 0);
	tdm_traffic_replay(&t, &given, 0.3, &p); // keeps one that nobody audited
	assert_float_equal(p.cost, (1 + 1 + 1 + 3 + 40) / 5.0, 1e-12);
	assert_true(!p.is_audited && isnan(p.low));
	tdm_traffic_replay(&t, &means, -INFINITY, &p); // what is undecided is kept at no threshold
	assert_float_equal(p.share, 0.8, 1e-12);
	double threshold;
	assert_int_equal(tdm_traffic_threshold(&t, 0.4, &threshold, NULL), TDM_OK);
	assert_float_equal(threshold, 0.7, 1e-12);
	assert_int_equal(tdm_traffic_threshold(&t, 0, &threshold, NULL), TDM_OK);
	assert_true(isinf(threshold) && threshold > 0);
	tdm_arena_release(&arena);
}

static void write_labels(char *file) {
	int fd = mkstemp(file);
	FILE *f = fdopen(fd, "w");
	assert_non_null(f);
	fputs("item,correct:s,correct:l\nstranger,1,1\n", f);
	for (int i = 0; i < 4; i++)
		fprintf(f, "%s,%d,1\n", ids[i], i < 2);
	fclose(f);
}

static void test_labels(void **state) {
	char file[] = "/tmp/tandem-labels-XXXXXX";
	const char *paths[] = {file};
	const struct tdm_traffic_prices means = {(double)NAN, (double)NAN};
	struct tdm_arena arena;
	struct tdm_traffic t;
	struct tdm_outcomes table;
	struct tdm_replay r;
	write_labels(file);
	tdm_arena_init(&arena, LIMIT);
	read_traffic(&arena, NULL, &t);
	assert_int_equal(tdm_outcomes_read(paths, 1, NULL, &table, NULL), TDM_OK);
	assert_int_equal(tdm_traffic_join(&t, &means, &table, 0, 1, NULL), TDM_OK);
	assert_int_equal(table.n_items, 4);
	const size_t small = 0;
	const double thresholds[] = {0.7}, shares[] = {0.5};
	const char *const scores[] = {"score"};
	struct tdm_replay_options o = {.small = &small, .n_small = 1, .large = 1, .scores = scores, .n_scores = 1};
	o.thresholds = thresholds;
	o.shares = shares;
	o.n_thresholds = o.n_shares = 1;
	o.small_price = o.large_price = (double)NAN;
	o.n_random = 1;
	assert_int_equal(tdm_replay_run(&table, &o, &arena, &r, NULL), TDM_OK);
	const struct tdm_replay_policy *p = &r.policies[4]; // behind the fixed ones
	assert_string_equal(p->name, "score keeps from 0.7");
	assert_float_equal(p->share.value, 0.5, 1e-12); // 0.7 itself is kept
	assert_float_equal(p->accuracy.value, 1, 1e-12);
	assert_float_equal(p->price.value, (1 + 1 + 30 + 20) / 4.0, 1e-12);
	double small_cost = 1, large_cost = (10 + 25 + 30 + 20) / 4.0;
	assert_float_equal(p->chance, 0.5 + 0.5 * (p->price.value - small_cost) / (large_cost - small_cost), 1e-12);
	assert_float_equal(r.policies[5].share.value, 0.5, 1e-12);                      // the share, through the same gate
	assert_int_equal(tdm_traffic_join(&t, &means, &table, 0, 1, NULL), TDM_EVALUE); // it has the column already
	table.items[0].id = table.items[1].id = table.items[2].id = table.items[3].id = "none";
	assert_int_equal(tdm_traffic_join(&t, &means, &table, 0, 1, NULL), TDM_EVALUE);
	tdm_outcomes_release(&table);
	tdm_arena_release(&arena);
	unlink(file);
}

int tdm_test_traffic(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reading),
	    cmocka_unit_test(test_thresholds),
	    cmocka_unit_test(test_labels),
	};
	return cmocka_run_group_tests(tests, write_ledger, remove_ledger);
}
