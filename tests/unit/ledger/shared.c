// Shared: what every store promises, shown for each of them: a claim is whole or nothing, no more is given than there
// is, also when many ask at once; what was not used goes back; values live as long as they were given.
#include "tests.h"
#include "ledger/shared.h"
#include "base/clock.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int64_t clock_us = 1000000000;
static int64_t fake_now_us(void) {
	return atomic_load(&clock_us);
}
static void pass_s(double s) {
	atomic_fetch_add(&clock_us, (int64_t)(s * 1e6));
}

static char folder[] = "/tmp/tandem-shared-XXXXXX", url[128] = "memory:";
static int n_opened; // every test has keys of its own

static struct tdm_shared *open_store(int64_t max_bytes) {
	struct tdm_shared_options o;
	struct tdm_shared *s = NULL;
	struct tdm_error err = {0};
	char prefix[32];
	tdm_shared_options_init(&o);
	snprintf(prefix, sizeof prefix, "test%d:", n_opened++);
	o.prefix = prefix;
	o.timeout_ms = 2000;
	o.url = url;
	if (max_bytes)
		o.max_bytes = max_bytes;
	if (!strncmp(url, "sqlite:", 7))
		snprintf(url, sizeof url, "sqlite:%s/%d.db", folder, n_opened);
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_OK);
	return s;
}

static struct tdm_shared *open_memory(int64_t max_bytes) {
	struct tdm_shared_options o;
	struct tdm_shared *s = NULL;
	struct tdm_error err = {0};
	tdm_shared_options_init(&o);
	o.now_us = fake_now_us;
	if (max_bytes)
		o.max_bytes = max_bytes;
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_OK);
	return s;
}

static struct tdm_claim rate(int64_t limit, int64_t amount) {
	return (struct tdm_claim){
	    .key = "r", .meter = TDM_METER_RATE, .limit = limit, .amount = amount, .period_us = 60000000};
}
static struct tdm_claim window(int64_t limit, int64_t amount, int64_t number) {
	return (struct tdm_claim){.key = "w",
	                          .meter = TDM_METER_WINDOW,
	                          .limit = limit,
	                          .amount = amount,
	                          .period_us = 3600000000,
	                          .window = number};
}
static struct tdm_claim slot(int64_t limit) {
	return (struct tdm_claim){.key = "s", .meter = TDM_METER_SLOTS, .limit = limit, .amount = 1, .period_us = 60000000};
}

static int take(struct tdm_shared *s, struct tdm_claim *c, size_t n, struct tdm_denial *denial) {
	struct tdm_error err = {0};
	return tdm_shared_claim(s, c, n, denial, &err);
}

// --- the tests

static void a_rate_lets_its_limit_through_and_then_as_much_as_grows_back(void **state) {
	struct tdm_shared *s = open_memory(0);
	struct tdm_denial d;
	for (int i = 0; i < 6; i++) {
		struct tdm_claim c = rate(6, 1);
		assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	}
	struct tdm_claim c = rate(6, 1);
	assert_int_equal(take(s, &c, 1, &d), TDM_ERATE);
	assert_in_range(d.wait_us, 9990000, 10000001); // one of six in a minute
	assert_int_equal(d.left, 0);
	pass_s(9.9);
	assert_int_equal(take(s, &c, 1, &d), TDM_ERATE);
	pass_s(0.2);
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	assert_int_equal(take(s, &c, 1, &d), TDM_ERATE);
	pass_s(3600);
	for (int i = 0; i < 6; i++) // never more than the limit at once
		assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	assert_int_equal(take(s, &c, 1, &d), TDM_ERATE);
	tdm_shared_close(s);
}

static void a_claim_above_a_rate_takes_all_of_it_and_the_next_ones_wait(void **state) {
	struct tdm_shared *s = open_memory(0);
	struct tdm_denial d;
	struct tdm_claim big = rate(60, 120), one = rate(60, 1);
	assert_int_equal(take(s, &big, 1, &d), TDM_OK);
	assert_int_equal(take(s, &one, 1, &d), TDM_ERATE);
	assert_in_range(d.wait_us, 60900000, 61000001); // 60 below nothing, and one
	tdm_shared_close(s);
}

static void what_was_not_used_goes_back_and_what_was_used_beyond_is_owed(void **state) {
	struct tdm_shared *s = open_memory(0);
	struct tdm_denial d;
	struct tdm_error err = {0};
	struct tdm_claim c = rate(60, 60);
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	assert_int_equal(tdm_shared_settle(s, &c, 1, &(int64_t){20}, &err), TDM_OK);
	int64_t left = 0;
	assert_int_equal(tdm_shared_left(s, &c, &left, &err), TDM_OK);
	assert_int_equal(left, 40);
	c.amount = 10;
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	assert_int_equal(tdm_shared_settle(s, &c, 1, &(int64_t){70}, &err), TDM_OK);
	c.amount = 1;
	assert_int_equal(take(s, &c, 1, &d), TDM_ERATE);
	assert_in_range(d.wait_us, 30900000, 31000001);
	tdm_shared_close(s);
}

static void a_window_ends_and_what_it_reserved_does_not_reach_the_next(void **state) {
	struct tdm_shared *s = open_store(0);
	struct tdm_denial d;
	struct tdm_error err = {0};
	struct tdm_claim c = window(100, 80, 7);
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	struct tdm_claim too_much = window(100, 21, 7), rest = window(100, 20, 7);
	assert_int_equal(take(s, &too_much, 1, &d), TDM_ERATE);
	assert_int_equal(d.left, 20);
	assert_int_equal(d.wait_us, 3600000000);
	assert_int_equal(take(s, &rest, 1, &d), TDM_OK);
	struct tdm_claim next = window(100, 90, 8);
	assert_int_equal(take(s, &next, 1, &d), TDM_OK);
	assert_int_equal(tdm_shared_settle(s, &c, 1, &(int64_t){0}, &err), TDM_OK); // of window 7
	int64_t left = 0;
	tdm_shared_left(s, &next, &left, &err);
	assert_int_equal(left, 10);
	struct tdm_claim back = window(100, 11, 7); // a clock that went back opens no old window
	assert_int_equal(take(s, &back, 1, &d), TDM_ERATE);
	back.amount = 10;
	assert_int_equal(take(s, &back, 1, &d), TDM_OK);
	assert_int_equal(back.window, 8);
	tdm_shared_close(s);
}

static void all_claims_of_a_call_are_taken_or_none(void **state) {
	struct tdm_shared *s = open_store(0);
	struct tdm_denial d;
	struct tdm_error err = {0};
	struct tdm_claim full[] = {rate(10, 4), slot(1), window(100, 101, 1)};
	assert_int_equal(take(s, full, 3, &d), TDM_ERATE);
	assert_int_equal(d.claim, 2);
	int64_t left = 0;
	tdm_shared_left(s, &full[0], &left, &err);
	assert_int_equal(left, 10);
	full[2].amount = 100;
	assert_int_equal(take(s, full, 3, &d), TDM_OK);
	struct tdm_claim again[] = {rate(10, 4), slot(1)};
	assert_int_equal(take(s, again, 2, &d), TDM_ERATE);
	assert_int_equal(d.claim, 1);
	assert_int_equal(tdm_shared_settle(s, full, 3, (int64_t[]){4, 0, 100}, &err), TDM_OK);
	assert_int_equal(take(s, again, 2, &d), TDM_OK); // the place is free again
	tdm_shared_close(s);
}

struct crowd {
	struct tdm_shared *s;
	atomic_int taken, most, now;
};

static void *ask_often(void *arg) {
	struct crowd *crowd = arg;
	for (int i = 0; i < 200; i++) {
		struct tdm_claim c[] = {window(1000, 3, 1), slot(4)};
		struct tdm_denial d;
		struct tdm_error err = {0};
		if (tdm_shared_claim(crowd->s, c, 2, &d, &err))
			continue;
		int now = atomic_fetch_add(&crowd->now, 1) + 1, most = atomic_load(&crowd->most);
		while (now > most && !atomic_compare_exchange_weak(&crowd->most, &most, now))
			;
		atomic_fetch_add(&crowd->taken, 2);
		atomic_fetch_sub(&crowd->now, 1);
		assert_int_equal(tdm_shared_settle(crowd->s, c, 2, (int64_t[]){2, 0}, &err), TDM_OK);
	}
	return NULL;
}

static void many_at_once_get_no_more_than_there_is(void **state) {
	struct crowd crowd = {.s = open_store(0)};
	pthread_t threads[8];
	struct tdm_error err = {0};
	for (int i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &crowd), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	struct tdm_claim c = window(1000, 0, 1);
	int64_t left = 0;
	tdm_shared_left(crowd.s, &c, &left, &err);
	assert_int_equal(left, 1000 - atomic_load(&crowd.taken));
	assert_in_range(atomic_load(&crowd.taken), 2, 1000);
	assert_in_range(atomic_load(&crowd.most), 1, 4);
	tdm_shared_close(crowd.s);
}

static void holds(struct tdm_shared *s, const char *key, const char *expected) {
	struct tdm_bytes out;
	struct tdm_error err = {0};
	bool found;
	tdm_bytes_init(&out, 1 << 20);
	assert_int_equal(tdm_shared_get(s, key, &out, &found, &err), TDM_OK);
	assert_int_equal(found, expected != NULL);
	if (expected)
		assert_string_equal(out.data ? out.data : "", expected);
	tdm_bytes_release(&out);
}

static void put(struct tdm_shared *s, const char *key, const char *value, double life_s) {
	struct tdm_error err = {0};
	assert_int_equal(tdm_shared_set(s, key, value, strlen(value), (int64_t)(life_s * 1e6), &err), TDM_OK);
}

static void a_value_lives_as_long_as_it_was_given(void **state) {
	struct tdm_shared *s = open_memory(0);
	struct tdm_error err = {0};
	put(s, "a", "one", 10);
	put(s, "b", "two", 0);
	put(s, "b", "three", 0);
	holds(s, "a", "one");
	holds(s, "b", "three");
	holds(s, "c", NULL);
	pass_s(10.1);
	holds(s, "a", NULL);
	holds(s, "b", "three");
	assert_int_equal(tdm_shared_drop(s, "b", &err), TDM_OK);
	assert_int_equal(tdm_shared_drop(s, "b", &err), TDM_OK);
	holds(s, "b", NULL);
	struct tdm_shared_stats stats = tdm_shared_stats(s);
	assert_int_equal(stats.n_values, 0);
	assert_int_equal(stats.bytes, 0);
	tdm_shared_close(s);
}

static void values_make_room_the_one_unused_longest_first(void **state) {
	struct tdm_shared *s = open_memory(100000);
	char big[30001], key[16];
	memset(big, 'x', 30000);
	big[30000] = 0;
	for (int i = 0; i < 3; i++) {
		snprintf(key, sizeof key, "k%d", i);
		put(s, key, big, 0);
	}
	holds(s, "k0", big);
	put(s, "k3", big, 0);
	holds(s, "k1", NULL);
	holds(s, "k0", big);
	struct tdm_shared_stats stats = tdm_shared_stats(s);
	assert_int_equal(stats.n_values, 3);
	assert_int_equal(stats.evicted, 1);
	assert_in_range(stats.bytes, 90000, 100000);
	for (int i = 0; i < 300; i++) { // the table grows
		snprintf(key, sizeof key, "s%d", i);
		put(s, key, "v", 0);
	}
	holds(s, "s299", "v");
	holds(s, "s100", "v");
	tdm_shared_close(s);
}

static void an_unknown_store_is_refused(void **state) {
	struct tdm_shared_options o;
	struct tdm_shared *s = NULL;
	struct tdm_error err = {0};
	tdm_shared_options_init(&o);
	o.url = "postgres://x";
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_ECONFIG);
	assert_non_null(strstr(err.text, "state.url"));
	assert_null(s);
}

static void a_value_of_any_store_is_what_was_set(void **state) {
	struct tdm_shared *s = open_store(0);
	struct tdm_error err = {0};
	holds(s, "a", NULL);
	put(s, "a", "one", 0);
	put(s, "a", "two", 100);
	put(s, "empty", "", 0);
	put(s, "brief", "soon gone", 0.02);
	holds(s, "a", "two");
	holds(s, "empty", "");
	usleep(60000);
	holds(s, "brief", NULL);
	assert_int_equal(tdm_shared_drop(s, "a", &err), TDM_OK);
	assert_int_equal(tdm_shared_drop(s, "a", &err), TDM_OK);
	holds(s, "a", NULL);
	tdm_shared_close(s);
}

static void a_rate_of_any_store_refuses_tells_the_wait_and_takes_back(void **state) {
	struct tdm_shared *s = open_store(0);
	struct tdm_denial d;
	struct tdm_error err = {0};
	struct tdm_claim all = rate(60, 60), one = rate(60, 1);
	assert_int_equal(take(s, &all, 1, &d), TDM_OK);
	assert_int_equal(all.left, 0);
	assert_int_equal(take(s, &one, 1, &d), TDM_ERATE);
	assert_in_range(d.wait_us, 500000, 1000001);
	assert_int_equal(tdm_shared_settle(s, &all, 1, &(int64_t){40}, &err), TDM_OK);
	assert_int_equal(take(s, &one, 1, &d), TDM_OK);
	assert_in_range(one.left, 19, 20);
	assert_int_equal(tdm_shared_settle(s, &one, 1, &(int64_t){100}, &err), TDM_OK); // owed
	assert_int_equal(take(s, &one, 1, &d), TDM_ERATE);
	assert_in_range(d.wait_us, 75000000, 82000000);
	tdm_shared_close(s);
}

static void a_place_whose_holder_died_comes_back(void **state) {
	struct tdm_shared *s = open_store(0);
	struct tdm_denial d;
	struct tdm_claim c = slot(1), again = slot(1);
	c.period_us = again.period_us = 50000;
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	assert_int_equal(take(s, &again, 1, &d), TDM_ERATE);
	usleep(80000);
	assert_int_equal(take(s, &again, 1, &d), TDM_OK);
	tdm_shared_close(s);
}

static void a_file_remembers_what_was_spent(void **state) {
	struct tdm_shared_options o;
	struct tdm_shared *s;
	struct tdm_error err = {0};
	struct tdm_denial d;
	struct tdm_claim c = window(100, 60, 3), rest = window(100, 41, 3);
	tdm_shared_options_init(&o);
	o.url = "sqlite:kept.db";
	o.folder = folder;
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_OK);
	assert_int_equal(take(s, &c, 1, &d), TDM_OK);
	put(s, "k", "v", 0);
	tdm_shared_close(s);
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_OK);
	assert_int_equal(take(s, &rest, 1, &d), TDM_ERATE);
	assert_int_equal(d.left, 40);
	holds(s, "k", "v");
	assert_int_equal(tdm_shared_settle(s, &c, 1, &(int64_t){10}, &err), TDM_OK); // a reservation of the one before
	assert_int_equal(take(s, &rest, 1, &d), TDM_OK);
	tdm_shared_close(s);
}

// --- with a real server

static pid_t server;

static int start_server(void **state) {
	char socket_path[96];
	if (!mkdtemp(folder))
		return -1;
	snprintf(socket_path, sizeof socket_path, "%s/socket", folder);
	snprintf(url, sizeof url, "unix:%s", socket_path);
	server = fork();
	if (server == 0) {
		int null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path, "--dir", folder, "--save",
		       "", NULL);
		_exit(127);
	}
	for (int i = 0; i < 500 && access(socket_path, F_OK); i++)
		usleep(10000);
	return access(socket_path, F_OK);
}

static int stop_server(void **state) {
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return 0;
}

static void a_server_that_is_gone_is_told_at_once_and_asked_again_later(void **state) {
	struct tdm_shared_options o;
	struct tdm_shared *s;
	struct tdm_error err = {0};
	struct tdm_denial d;
	tdm_shared_options_init(&o);
	o.url = "redis://127.0.0.1:1/0";
	assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_OK); // it may come
	struct tdm_claim c = window(100, 60, 3);
	assert_int_equal(take(s, &c, 1, &d), TDM_ESTATE);
	int64_t before_us = tdm_now_us();
	for (int i = 0; i < 1000; i++)
		assert_int_equal(take(s, &c, 1, &d), TDM_ESTATE);
	assert_in_range(tdm_now_us() - before_us, 0, 900000);
	struct tdm_shared_stats stats = tdm_shared_stats(s);
	assert_true(stats.down);
	assert_in_range(stats.failures, 1, 2); // the others did not try
	assert_int_equal(tdm_shared_claim_local(s, &c, 1, &d), TDM_OK);
	assert_true(c.local);
	assert_int_equal(tdm_shared_settle(s, &c, 1, &(int64_t){1}, &err), TDM_OK);
	tdm_shared_close(s);
}

static void an_address_that_cannot_be_read_is_refused(void **state) {
	static const char *const bad[] = {"redis://",         "redis://:secret@h", "redis://u:p@h", "redis://h:x",
	                                  "redis://h:70000/", "redis://h/one",     "redis://:1/0"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct tdm_shared_options o;
		struct tdm_shared *s = NULL;
		struct tdm_error err = {0};
		tdm_shared_options_init(&o);
		o.url = bad[i];
		assert_int_equal(tdm_shared_open(&o, &s, &err), TDM_ECONFIG);
		assert_null(strstr(err.text, "secret"));
	}
}

static int test_each(const char *store) {
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_ends_and_what_it_reserved_does_not_reach_the_next),
	    cmocka_unit_test(all_claims_of_a_call_are_taken_or_none),
	    cmocka_unit_test(many_at_once_get_no_more_than_there_is),
	    cmocka_unit_test(a_value_of_any_store_is_what_was_set),
	    cmocka_unit_test(a_rate_of_any_store_refuses_tells_the_wait_and_takes_back),
	};
	snprintf(url, sizeof url, "%s", store);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

static int test_server(void) {
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_window_ends_and_what_it_reserved_does_not_reach_the_next),
	    cmocka_unit_test(all_claims_of_a_call_are_taken_or_none),
	    cmocka_unit_test(many_at_once_get_no_more_than_there_is),
	    cmocka_unit_test(a_value_of_any_store_is_what_was_set),
	    cmocka_unit_test(a_rate_of_any_store_refuses_tells_the_wait_and_takes_back),
	    cmocka_unit_test(a_place_whose_holder_died_comes_back),
	    cmocka_unit_test(a_file_remembers_what_was_spent),
	    cmocka_unit_test(a_server_that_is_gone_is_told_at_once_and_asked_again_later),
	    cmocka_unit_test(an_address_that_cannot_be_read_is_refused),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}

static int test_memory(void) {
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_rate_lets_its_limit_through_and_then_as_much_as_grows_back),
	    cmocka_unit_test(a_claim_above_a_rate_takes_all_of_it_and_the_next_ones_wait),
	    cmocka_unit_test(what_was_not_used_goes_back_and_what_was_used_beyond_is_owed),
	    cmocka_unit_test(a_window_ends_and_what_it_reserved_does_not_reach_the_next),
	    cmocka_unit_test(all_claims_of_a_call_are_taken_or_none),
	    cmocka_unit_test(many_at_once_get_no_more_than_there_is),
	    cmocka_unit_test(a_value_lives_as_long_as_it_was_given),
	    cmocka_unit_test(values_make_room_the_one_unused_longest_first),
	    cmocka_unit_test(an_unknown_store_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int tdm_test_shared(void) {
	int failed = test_memory() + test_server() + test_each("sqlite:");
	char command[96];
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return failed + (system(command) != 0);
}
