// Pool: every part runs once, jobs follow each other, callers take turns, sleeping threads wake.
#include "tests.h"
#include "base/clock.h"
#include "base/pool.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct job {
	int runs[64]; // plain: two threads on one part would be a race that the sanitizer reports
	int n_parts;
	atomic_int total;
};

static void run_part(void *arg, int part, int n_parts) {
	struct job *job = arg;
	job->runs[part]++;
	job->n_parts = n_parts == job->n_parts ? n_parts : -1;
	atomic_fetch_add(&job->total, 1);
}

static void count_part(void *arg, int part, int n_parts) {
	struct job *job = arg;
	job->runs[part]++;
	atomic_fetch_add(&job->total, 1);
}

static void test_every_part_once(void **state) {
	for (int n_threads = 1; n_threads <= 5; n_threads++) {
		struct tdm_pool *pool = tdm_pool_new(n_threads);
		assert_non_null(pool);
		assert_int_equal(tdm_pool_size(pool), n_threads);
		for (int round = 0; round < 500; round++) {
			struct job job = {0};
			int n_parts = round % 64 + 1;
			tdm_pool_run(pool, count_part, &job, n_parts);
			assert_int_equal(atomic_load(&job.total), n_parts);
			for (int i = 0; i < 64; i++)
				assert_int_equal(job.runs[i], i < n_parts);
		}
		tdm_pool_free(pool);
	}
}

static void test_edges(void **state) {
	struct tdm_pool *pool = tdm_pool_new(0);
	struct job job = {.n_parts = 3};
	assert_int_equal(tdm_pool_size(pool), 1);
	tdm_pool_run(pool, run_part, &job, 0);
	assert_int_equal(atomic_load(&job.total), 0);
	tdm_pool_run(pool, run_part, &job, 3);
	assert_int_equal(job.n_parts, 3);
	assert_int_equal(atomic_load(&job.total), 3);
	tdm_pool_free(pool);
	tdm_pool_free(NULL);
	pool = tdm_pool_new(3); // freed without a job, its threads perhaps still spinning
	tdm_pool_free(pool);
}

static void test_wakes_from_sleep(void **state) {
	struct tdm_pool *pool = tdm_pool_new(3);
	for (int round = 0; round < 5; round++) {
		struct job job = {0};
		usleep(20000); // far longer than the threads spin
		tdm_pool_run(pool, count_part, &job, 8);
		assert_int_equal(atomic_load(&job.total), 8);
	}
	tdm_pool_free(pool);
}

struct caller {
	struct tdm_pool *pool;
	int n_good;
};

static void *call_often(void *arg) {
	struct caller *caller = arg;
	for (int round = 0; round < 300; round++) {
		struct job job = {0};
		tdm_pool_run(caller->pool, count_part, &job, 7);
		caller->n_good += atomic_load(&job.total) == 7;
	}
	return NULL;
}

static void test_callers_take_turns(void **state) {
	pthread_t threads[3];
	struct caller callers[3];
	struct tdm_pool *pool = tdm_pool_new(2);
	for (int i = 0; i < 3; i++) {
		callers[i] = (struct caller){pool, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(callers[i].n_good, 300);
	}
	tdm_pool_free(pool);
}

// A part that waits for its neighbour ends only if two threads really work at the same time.
static void meet(void *arg, int part, int n_parts) {
	atomic_int *n_here = arg;
	atomic_fetch_add(n_here, 1);
	while (atomic_load(n_here) < n_parts)
		usleep(100);
}

static void test_parts_run_together(void **state) {
	atomic_int n_here = 0;
	struct tdm_pool *pool = tdm_pool_new(4);
	alarm(600);
	tdm_pool_run(pool, meet, &n_here, 4);
	alarm(0);
	assert_int_equal(atomic_load(&n_here), 4);
	tdm_pool_free(pool);
}

struct contended {
	pthread_t caller;
	atomic_int n_begun, n_elsewhere;
	int stall_us; // of the parts that do not run on the caller's thread
};

static void run_contended(void *arg, int part, int n_parts) {
	struct contended *c = arg;
	atomic_fetch_add(&c->n_begun, 1);
	if (!pthread_equal(pthread_self(), c->caller)) {
		atomic_fetch_add(&c->n_elsewhere, 1);
		usleep((useconds_t)c->stall_us);
	}
	int64_t until_us = tdm_now_us() + 1000; // so that the other thread has the time to come
	while (c->stall_us && atomic_load(&c->n_begun) < n_parts && tdm_now_us() < until_us)
		;
}

static int elsewhere(struct tdm_pool *pool, int stall_us) {
	struct contended c = {.caller = pthread_self(), .stall_us = stall_us};
	tdm_pool_run(pool, run_contended, &c, 2);
	return atomic_load(&c.n_elsewhere);
}

// A thread that comes back late is left alone for a while, and asked again after it.
static void test_alone_after_a_stall(void **state) {
	struct tdm_pool *pool = tdm_pool_new(2);
	int n_alone = 0, n_stalls = 0, n_after = 0;
	for (int attempt = 0; attempt < 20000 && !n_alone; attempt++) { // again where this thread has lost its core too
		n_stalls = elsewhere(pool, 60000);
		int64_t until_us = tdm_now_us() + 150000; // of at least 200 ms
		for (int i = 0; n_stalls && i < 100; i++) {
			int n = elsewhere(pool, 0);
			if (tdm_now_us() > until_us)
				break;
			assert_int_equal(n, 0);
			n_alone++;
		}
	}
	assert_true(n_stalls == 1 && n_alone > 0);
	for (int attempt = 0; attempt < 20000 && !n_after; attempt++)
		n_after = elsewhere(pool, 1);
	assert_int_equal(n_after, 1);
	tdm_pool_free(pool);
}

int tdm_test_pool(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_every_part_once),    cmocka_unit_test(test_edges),
	    cmocka_unit_test(test_wakes_from_sleep),   cmocka_unit_test(test_callers_take_turns),
	    cmocka_unit_test(test_parts_run_together), cmocka_unit_test(test_alone_after_a_stall),
	};
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
