// Parts of one request beside each other: what comes of them does not depend on how many run at once.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "models/beside.h"
#include "tests.h"

enum { MOST = 12 };
struct job {
	struct tdm_arena arena;
	struct tdm_run run;
	const char *texts[MOST]; // in the memory of the parts
	size_t taken, ends, fails;
	int scans;
	atomic_int begun, ended, at_once, most_at_once;
	struct tdm_egress egress;
	bool inside;
};

static void begin(struct job *j) {
	memset(j, 0, sizeof *j);
	tdm_arena_init(&j->arena, (size_t)64 << 20);
	assert_int_equal(tdm_run_init(&j->run, &j->arena, 1), TDM_OK);
	j->ends = j->fails = MOST;
}

static int scan(struct tdm_egress *self, const char *bytes, size_t n, struct tdm_error *err) {
	struct job *j = (struct job *)((char *)self - offsetof(struct job, egress));
	assert_false(j->inside); // one at a time
	j->inside = true;
	j->scans++;
	nanosleep(&(struct timespec){0, 100000}, NULL);
	j->inside = false;
	return TDM_OK;
}

static int work(void *arg, size_t i, struct tdm_run *run) {
	struct job *j = arg;
	struct tdm_call call = {.model = "m", .purpose = "answer", .status = "ok", .completion_tokens = (int64_t)i};
	int now = atomic_fetch_add(&j->at_once, 1) + 1, most = atomic_load(&j->most_at_once);
	while (now > most && !atomic_compare_exchange_weak(&j->most_at_once, &most, now)) {
	}
	j->begun++;
	if (run->egress)
		assert_int_equal(run->egress->scan(run->egress, "x", 1, &run->error), TDM_OK);
	int status = TDM_OK;
	for (int k = 0; k < (i > j->ends ? 2000 : 5 - (int)i % 5) && !status; k++) { // later ones may be sooner
		nanosleep(&(struct timespec){0, 300000}, NULL);
		status = tdm_run_check(run);
	}
	j->texts[i] = tdm_arena_printf(run->arena, "part %zu", i);
	run->record->model_us += 1000;
	tdm_record_call(run->record, &call);
	atomic_fetch_sub(&j->at_once, 1);
	j->ended++;
	return i == j->fails ? tdm_fail(&run->error, TDM_EUPSTREAM, "part %zu fails", i) : status;
}

static int take(void *arg, size_t i, int status, struct tdm_run *run) {
	struct job *j = arg;
	assert_int_equal(i, j->taken++);
	assert_ptr_equal(run, &j->run);
	if (status && i == j->fails) {
		assert_string_equal(run->error.text, "part 3 fails");
		tdm_error_clear(&run->error);
		status = TDM_OK;
	}
	return i == j->ends ? TDM_SINK_ENOUGH : status;
}

static int go(struct job *j, size_t n, size_t most) {
	return tdm_beside_run(&(struct tdm_beside){.work = work, .take = take, .arg = j}, &j->run, n, most);
}

static void parts_are_taken_in_their_order(void **state) {
	struct job j;
	for (size_t most = 1; most <= 6; most++) {
		char expected[16];
		begin(&j);
		j.fails = 3;
		j.run.record->model_us = 7;
		assert_int_equal(go(&j, MOST, most), TDM_OK);
		assert_int_equal(j.taken, MOST);
		assert_true(j.most_at_once <= (int)most);
		const struct tdm_call *c = j.run.record->calls;
		for (size_t i = 0; i < MOST; i++, c = c->next) {
			snprintf(expected, sizeof expected, "part %zu", i);
			assert_string_equal(j.texts[i], expected); // their memory lives on
			assert_int_equal(c->completion_tokens, i);
		}
		assert_null(c);
		assert_int_equal(j.run.record->model_us, 1007); // as long as the longest, and what was before
		assert_true(j.arena.used_bytes <= j.arena.limit_bytes);
		tdm_arena_release(&j.arena);
	}
}

static void who_has_enough_ends_them(void **state) {
	struct job j;
	begin(&j);
	j.ends = 1;
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(go(&j, MOST, 4), TDM_SINK_ENOUGH);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_int_equal(j.taken, 2);
	assert_true(j.begun <= 2 + 4 && j.begun == j.ended); // nobody runs on, nobody else begins
	assert_true(to.tv_sec - from.tv_sec < 3);
	tdm_arena_release(&j.arena);
}

static void a_caller_who_gives_up_ends_them_too(void **state) {
	struct job j;
	atomic_bool given_up = true;
	begin(&j);
	j.run.given_up = &given_up;
	assert_int_equal(go(&j, MOST, 2), TDM_EGONE);
	assert_int_equal(j.begun, 0);
	tdm_arena_release(&j.arena);
}

static void bytes_that_leave_are_scanned_one_at_a_time(void **state) {
	struct job j;
	begin(&j);
	j.egress.scan = scan;
	j.run.egress = &j.egress;
	assert_int_equal(go(&j, MOST, 6), TDM_OK);
	assert_int_equal(j.scans, MOST);
	assert_ptr_equal(j.run.egress, &j.egress);
	tdm_arena_release(&j.arena);
}

static void adopted_memory_stays_where_it_is(void **state) {
	struct tdm_arena a, b;
	tdm_arena_init(&a, 100000);
	tdm_arena_init(&b, 100000);
	char *before = tdm_arena_string(&a, "before"), *theirs = tdm_arena_string(&b, "theirs");
	for (int i = 0; i < 20; i++)
		assert_non_null(tdm_arena_alloc(&b, 4000));
	size_t used = a.used_bytes + b.used_bytes;
	tdm_arena_adopt(&a, &b);
	assert_int_equal(a.used_bytes, used);
	assert_int_equal(b.used_bytes, 0);
	assert_null(b.blocks);
	tdm_arena_release(&b);
	assert_string_equal(before, "before");
	assert_string_equal(theirs, "theirs");
	assert_string_equal(tdm_arena_string(&a, "after"), "after");
	for (int i = 0; i < 20; i++)
		tdm_arena_alloc(&b, 4000);
	tdm_arena_adopt(&a, &b); // more than the limit: counted as that
	assert_int_equal(a.used_bytes, a.limit_bytes);
	assert_null(tdm_arena_alloc(&a, 16));
	tdm_arena_adopt(&a, &b); // nothing
	tdm_arena_release(&a);
	tdm_arena_init(&a, 1000);
	tdm_arena_init(&b, 1000);
	assert_non_null(tdm_arena_string(&b, "theirs"));
	tdm_arena_adopt(&a, &b); // into one without a block
	assert_non_null(a.blocks);
	tdm_arena_release(&a);
}

int tdm_test_beside(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parts_are_taken_in_their_order),
	    cmocka_unit_test(who_has_enough_ends_them),
	    cmocka_unit_test(a_caller_who_gives_up_ends_them_too),
	    cmocka_unit_test(bytes_that_leave_are_scanned_one_at_a_time),
	    cmocka_unit_test(adopted_memory_stays_where_it_is),
	};
	return cmocka_run_group_tests_name("beside", tests, NULL, NULL);
}
