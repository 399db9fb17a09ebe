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

static void test_states(void **state) {
	assert_string_equal(tdm_state_name(TDM_RUNNING), "running");
	assert_string_equal(tdm_state_name(TDM_CANCELLED), "cancelled");
}

int tdm_test_record(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_counts_and_warnings),
	    cmocka_unit_test(test_without_memory),
	    cmocka_unit_test(test_states),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
