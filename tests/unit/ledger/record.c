// The record: order of rows, counts, warnings once, and what happens without memory.
#include "tests.h"
#include "ledger/record.h"
#include <math.h>
#include <string.h>

static void test_rows(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	tdm_arena_init(&arena, 1 << 16);
	tdm_record_init(&r, &arena);
	assert_memory_equal(r.id, "rcp_", 4);
	assert_int_equal(strlen(r.id), 28);
	assert_true(isnan(r.objective.quality) && r.state == TDM_RUNNING && r.created_wall_us > 0);
	assert_string_equal(r.left.method, "none");
	struct tdm_call *first = tdm_record_call(&r, &(struct tdm_call){.model = "a", .cost = 0.5});
	struct tdm_call *second = tdm_record_call(&r, &(struct tdm_call){.model = "b", .cost = 0.25, .next = first});
	assert_ptr_equal(r.calls, first);
	assert_ptr_equal(first->next, second);
	assert_null(second->next);
	second->cost = 1;
	assert_true(tdm_record_cost(&r) == 1.5);
	assert_non_null(tdm_record_decision(&r, &(struct tdm_decision){.by = "c"}));
	assert_string_equal(r.decisions->by, "c");
	assert_non_null(tdm_record_verdict(&r, &(struct tdm_verdict){.by = "g", .score = 2}));
	assert_true(r.verdicts->score == 2);
	tdm_arena_release(&arena);
}

static void test_counts_and_warnings(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	char name[] = "EMAIL";
	tdm_arena_init(&arena, 1 << 16);
	tdm_record_init(&r, &arena);
	tdm_record_count(&r, &r.left.entities, name, 2);
	tdm_record_count(&r, &r.left.entities, "PHONE", 1);
	name[0] = 'X'; // names are copied
	tdm_record_count(&r, &r.left.entities, "EMAIL", 3);
	assert_string_equal(r.left.entities->name, "EMAIL");
	assert_int_equal(r.left.entities->n, 5);
	assert_int_equal(r.left.entities->next->n, 1);
	assert_null(r.left.entities->next->next);
	tdm_record_warn(&r, "parameter_ignored", "seed", "first");
	tdm_record_warn(&r, "parameter_ignored", "seed", "second");
	tdm_record_warn(&r, "parameter_ignored", NULL, "third");
	assert_string_equal(r.warnings->message, "first");
	assert_string_equal(r.warnings->next->message, "third");
	assert_null(r.warnings->next->next);
	tdm_arena_release(&arena);
}

static void test_without_memory(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	tdm_arena_init(&arena, 1);
	tdm_record_init(&r, &arena);
	assert_null(tdm_record_call(&r, &(struct tdm_call){.model = "a"}));
	tdm_record_warn(&r, "c", "p", "m");
	tdm_record_count(&r, &r.left.to, "h", 1);
	assert_true(!r.calls && !r.warnings && !r.left.to);
	tdm_arena_release(&arena);
}

// Rows in order, counts added, a warning once; what is appended later goes behind all.
static void test_parts_are_joined(void **state) {
	struct tdm_arena arenas[2];
	struct tdm_record r, part, none;
	for (int i = 0; i < 2; i++)
		tdm_arena_init(&arenas[i], 1 << 16);
	tdm_record_init(&r, &arenas[0]);
	tdm_record_init(&part, &arenas[1]);
	tdm_record_init(&none, &arenas[1]);
	tdm_record_join(&r, &none);
	assert_true(!r.calls && r.last_call == &r.calls);
	tdm_record_call(&r, &(struct tdm_call){.model = "a", .cost = 1});
	tdm_record_call(&part, &(struct tdm_call){.model = "b", .cost = 2});
	tdm_record_call(&part, &(struct tdm_call){.model = "c", .cost = 4});
	tdm_record_decision(&part, &(struct tdm_decision){.by = "d"});
	tdm_record_warn(&r, "w", NULL, "told");
	tdm_record_warn(&part, "w", NULL, "told");
	tdm_record_warn(&part, "w", "other", "told");
	tdm_record_count(&r, &r.left.to, "h", 1);
	tdm_record_count(&part, &part.left.to, "h", 2);
	tdm_record_count(&part, &part.left.entities, "e", 5);
	part.left.requests = 3;
	part.left.method = "mask";
	part.left.level = 2;
	r.model_us = 10;
	part.model_us = 30;
	tdm_record_join(&r, &part);
	tdm_record_join(&r, &none);
	tdm_record_call(&r, &(struct tdm_call){.model = "z"});
	const char *names[] = {"a", "b", "c", "z"};
	const struct tdm_call *call = r.calls;
	for (int i = 0; i < 4; i++, call = call->next)
		assert_string_equal(call->model, names[i]);
	assert_null(call);
	assert_string_equal(r.decisions->by, "d");
	assert_true(r.warnings->next && !r.warnings->next->next);
	assert_true(r.left.to->n == 3 && !r.left.to->next && r.left.entities->n == 5 && r.left.requests == 3);
	assert_int_equal(r.left.level, 2);
	none.left = (struct tdm_left){.method = "mask", .level = 1};
	tdm_record_join(&r, &none);
	assert_int_equal(r.left.level, 1);
	assert_true(tdm_record_cost(&r) == 7 && r.model_us == 30);
	for (int i = 0; i < 2; i++)
		tdm_arena_release(&arenas[i]);
}

static void test_states(void **state) {
	assert_string_equal(tdm_state_name(TDM_RUNNING), "running");
	assert_string_equal(tdm_state_name(TDM_CANCELLED), "cancelled");
}

int tdm_test_record(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),           cmocka_unit_test(test_counts_and_warnings),
	    cmocka_unit_test(test_without_memory), cmocka_unit_test(test_parts_are_joined),
	    cmocka_unit_test(test_states),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
