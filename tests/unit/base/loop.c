// Loop: calls that wait for a socket leave their threads to others, a blocked one stops nobody, and a wait ends in
// time.
#include "tests.h"
#include "base/clock.h"
#include "base/fiber.h"
#include "base/loop.h"
#include <dirent.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { N_CALLS = 300, ROUNDS = 5, BLOCKS = N_CALLS, LATE };

struct bench {
	struct tdm_loop *loop;
	int doors[N_CALLS + 2]; // eventfds, each of which begins a call
	int pairs[N_CALLS][2];
	atomic_int n_waiting, n_done, n_wrong;
	atomic_bool may_end, says_so; // says_so: each call tells that it may block
	atomic_llong waited_us;
};

static void answer_rounds(struct bench *b, int which, struct tdm_line *line) {
	char byte = 0;
	for (int round = 0; round < ROUNDS; round++) {
		while (recv(b->pairs[which][0], &byte, 1, MSG_DONTWAIT) != 1)
			tdm_line_wait(line, false, 10000);
		atomic_fetch_add(&b->n_wrong, byte != (char)(which + round));
		if (send(b->pairs[which][0], &byte, 1, MSG_NOSIGNAL) != 1)
			atomic_fetch_add(&b->n_wrong, 1);
	}
}

static void call(struct bench *b, int which) {
	if (atomic_load(&b->says_so))
		tdm_loop_blocks();
	struct tdm_line *line = tdm_line_open(b->pairs[which][0]);
	assert_true(tdm_line_is_here(line));
	atomic_fetch_add(&b->n_waiting, 1);
	answer_rounds(b, which, line);
	tdm_line_close(line);
	atomic_fetch_add(&b->n_done, 1);
}

static void on_event(void *context, uint64_t name, uint32_t events) {
	struct bench *b = context;
	eventfd_t value;
	if (eventfd_read(b->doors[name], &value))
		return; // of the door's opening
	if (name < N_CALLS) {
		call(b, (int)name);
	} else if (name == BLOCKS) {
		atomic_fetch_add(&b->n_waiting, 1);
		while (!atomic_load(&b->may_end))
			usleep(1000);
		atomic_fetch_add(&b->n_done, 1);
	} else {
		int64_t from_us = tdm_now_us();
		struct tdm_line *line = tdm_line_open(b->pairs[0][0]);
		tdm_line_wait(line, false, 20);
		atomic_store(&b->waited_us, tdm_now_us() - from_us);
		tdm_line_close(line);
		atomic_fetch_add(&b->n_done, 1);
	}
}

static void open_bench(struct bench *b) {
	struct tdm_loop_options o = {.context = b, .event = on_event};
	assert_int_equal(tdm_loop_open(&o, &b->loop, NULL), TDM_OK);
	for (int i = 0; i < N_CALLS + 2; i++) {
		struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = (uint64_t)i};
		b->doors[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		assert_int_equal(epoll_ctl(tdm_loop_epoll(b->loop), EPOLL_CTL_ADD, b->doors[i], &event), 0);
	}
	for (int i = 0; i < N_CALLS; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b->pairs[i]), 0);
	assert_int_equal(tdm_loop_start(b->loop, NULL), TDM_OK);
}

static void close_bench(struct bench *b) {
	tdm_loop_close(b->loop);
	for (int i = 0; i < N_CALLS + 2; i++)
		close(b->doors[i]);
	for (int i = 0; i < N_CALLS; i++)
		for (int k = 0; k < 2; k++)
			close(b->pairs[i][k]);
}

static void wait_for(atomic_int *count, int n) {
	for (int i = 0; i < 20000 && atomic_load(count) < n; i++)
		usleep(1000);
	assert_int_equal(atomic_load(count), n);
}

static int count_threads(void) {
	int n = 0;
	DIR *threads = opendir("/proc/self/task");
	assert_non_null(threads);
	while (readdir(threads))
		n++;
	closedir(threads);
	return n - 2; // . and ..
}

// Threads that only wait for events are not taken for blocked ones, whose places others would take: here once one has
// been blocked, and others go on with what was left by those who waited.
static void stays_quiet(struct bench *b) {
	eventfd_write(b->doors[BLOCKS], 1);
	usleep(100000);
	atomic_store(&b->may_end, true);
	wait_for(&b->n_done, N_CALLS + 1);
	int n = count_threads();
	usleep(200000);
	assert_in_range(count_threads(), 1, n + 3);
}

static void many_wait(bool says_so) {
	static struct bench b;
	b = (struct bench){.says_so = says_so};
	open_bench(&b);
	for (int i = 0; i < N_CALLS; i++)
		eventfd_write(b.doors[i], 1);
	wait_for(&b.n_waiting, N_CALLS); // all at once, on a few threads
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < N_CALLS; i++) {
			char byte = (char)(i + round), back = 0;
			assert_int_equal(send(b.pairs[i][1], &byte, 1, 0), 1);
			if (i % 3 == 0) { // some answer before the next one begins, others in between
				assert_int_equal(recv(b.pairs[i][1], &back, 1, 0), 1);
				assert_int_equal(back, byte);
			}
		}
	wait_for(&b.n_done, N_CALLS);
	assert_int_equal(atomic_load(&b.n_wrong), 0);
	assert_in_range(count_threads(), 1, N_CALLS / 2);
	if (!says_so)
		stays_quiet(&b);
	close_bench(&b);
}

static void test_many_wait_and_all_go_on(void **state) {
	many_wait(false);
}

static void test_who_only_says_so_costs_few_threads(void **state) {
	many_wait(true);
}

static void test_who_blocks_stops_nobody(void **state) {
	static struct bench b;
	open_bench(&b);
	for (int i = 0; i < 8; i++) { // more often than there are threads: each takes one
		eventfd_write(b.doors[BLOCKS], 1);
		wait_for(&b.n_waiting, i + 1);
	}
	eventfd_write(b.doors[1], 1);
	for (int round = 0; round < ROUNDS; round++) {
		char byte = (char)(1 + round);
		assert_int_equal(send(b.pairs[1][1], &byte, 1, 0), 1);
	}
	while (!atomic_load(&b.n_done))
		usleep(1000);
	atomic_store(&b.may_end, true);
	wait_for(&b.n_done, 9);
	close_bench(&b);
}

static void test_a_wait_ends_in_time(void **state) {
	static struct bench b;
	open_bench(&b);
	eventfd_write(b.doors[LATE], 1);
	wait_for(&b.n_done, 1);
	assert_in_range(atomic_load(&b.waited_us), 10000, 2000000);
	close_bench(&b);
}

static void test_outside_of_a_loop(void **state) {
	assert_null(tdm_line_open(0));
	assert_false(tdm_line_is_here(NULL));
	tdm_line_close(NULL);
	tdm_loop_blocks();
}

// --- fibers alone

static struct tdm_fiber thread_fiber, *other;
static int steps;

static void count_steps(void *arg) {
	for (volatile int *mine = arg;; ++*mine, ++steps)
		tdm_fiber_switch(other, &thread_fiber);
}

static void test_a_fiber_keeps_its_place(void **state) {
	int mine = 0;
	other = tdm_fiber_new(count_steps, &mine);
	assert_non_null(other);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(steps, i ? i - 1 : 0);
		tdm_fiber_switch(&thread_fiber, other);
	}
	assert_int_equal(mine, 99);
	tdm_fiber_free(other);
}

int tdm_test_loop(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_fiber_keeps_its_place),
	    cmocka_unit_test(test_many_wait_and_all_go_on),
	    cmocka_unit_test(test_who_only_says_so_costs_few_threads),
	    cmocka_unit_test(test_who_blocks_stops_nobody),
	    cmocka_unit_test(test_a_wait_ends_in_time),
	    cmocka_unit_test(test_outside_of_a_loop),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
