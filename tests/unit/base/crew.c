// Crew: every task runs once, here or on another thread; tasks that start tasks and many callers at once do not hang.
#include "tests.h"
#include "base/crew.h"
#include <pthread.h>
#include <stdatomic.h>

enum { N_TASKS = 40, ROUNDS = 300 };

static void count(void *arg) {
	++*(int *)arg; // plain: two threads on one task would be a race that the sanitizer reports
}

static void test_each_runs_once(void **state) {
	for (int round = 0; round < ROUNDS; round++) {
		int runs[N_TASKS] = {0};
		struct tdm_task tasks[N_TASKS];
		for (int i = 0; i < N_TASKS; i++) {
			tasks[i] = (struct tdm_task){.fn = count, .arg = &runs[i]};
			tdm_task_start(&tasks[i]);
		}
		for (int i = 0; i < N_TASKS; i++)
			tdm_task_finish(&tasks[(i * 7 + round) % N_TASKS]);
		for (int i = 0; i < N_TASKS; i++)
			assert_int_equal(runs[i], 1);
	}
}

static void nest(void *arg) {
	int depth = *(int *)arg - 1;
	struct tdm_task below[2] = {{.fn = nest, .arg = &(int){depth}}, {.fn = nest, .arg = &(int){depth}}};
	*(int *)arg = 1;
	if (depth == 0)
		return;
	for (int i = 0; i < 2; i++)
		tdm_task_start(&below[i]);
	for (int i = 0; i < 2; i++) {
		tdm_task_finish(&below[i]);
		*(int *)arg += *(int *)below[i].arg;
	}
}

// Many more tasks that wait for others than there are threads.
static void test_tasks_of_tasks(void **state) {
	int n = 8;
	struct tdm_task top = {.fn = nest, .arg = &n};
	tdm_task_start(&top);
	tdm_task_finish(&top);
	assert_int_equal(n, 255);
}

static void *caller(void *arg) {
	for (int round = 0; round < ROUNDS; round++) {
		int a = 0, b = 0;
		struct tdm_task first = {.fn = count, .arg = &a}, second = {.fn = count, .arg = &b};
		tdm_task_start(&first);
		tdm_task_start(&second);
		tdm_task_finish(&first);
		tdm_task_finish(&second);
		atomic_fetch_add((atomic_int *)arg, a + b);
	}
	return NULL;
}

static void test_many_callers(void **state) {
	pthread_t threads[6];
	atomic_int total = 0;
	for (int i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, caller, &total), 0);
	for (int i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&total), 6 * ROUNDS * 2);
}

int tdm_test_crew(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_runs_once),
	    cmocka_unit_test(test_tasks_of_tasks),
	    cmocka_unit_test(test_many_callers),
	};
	return cmocka_run_group_tests_name("crew", tests, NULL, NULL);
}
