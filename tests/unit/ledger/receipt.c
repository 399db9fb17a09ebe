// The receipt: every field reads back as what was recorded; the inline form keeps its limit.
#include "tests.h"
#include "base/value.h"
#include "ledger/receipt.h"
#include <math.h>
#include <string.h>

static struct tdm_value *written(struct tdm_arena *arena, const struct tdm_record *r, size_t limit) {
	struct tdm_bytes b;
	struct tdm_value *v = NULL;
	struct tdm_error err = {0};
	tdm_bytes_init(&b, 1 << 20);
	if (limit)
		tdm_receipt_write_inline(&b, r, limit);
	else
		tdm_receipt_write(&b, r);
	assert_int_equal(tdm_json_parse(arena, b.data, b.len, &v, &err), TDM_OK);
	if (limit)
		assert_true(b.len <= limit);
	tdm_bytes_release(&b);
	return v;
}

static void fill(struct tdm_record *r) {
	r->state = TDM_COMPLETE;
	r->requested = "assistant";
	r->served = "small";
	r->seed = 42;
	r->objective.max_cost = 0.01;
	r->objective.quality = NAN;
	r->baseline_cost = 0.5;
	tdm_record_call(r, &(struct tdm_call){.model = "small",
	                                      .purpose = "answer",
	                                      .status = "ok",
	                                      .prompt_tokens = 31,
	                                      .completion_tokens = 12,
	                                      .cost = 0.125,
	                                      .us = 8210,
	                                      .attempt = 1});
	tdm_record_decision(r, &(struct tdm_decision){.by = "assistant",
	                                              .kind = "cascade",
	                                              .choice = "keep",
	                                              .signal = "agreement",
	                                              .score = 0.83,
	                                              .threshold = NAN,
	                                              .detail = "3/3"});
	tdm_record_verdict(r, &(struct tdm_verdict){.by = "careful", .stage = "input", .verdict = "pass", .score = 0.02});
	tdm_record_count(r, &r->left.entities, "EMAIL", 2);
	tdm_record_count(r, &r->left.entities, "EMAIL", 1);
	tdm_record_warn(r, "parameter_ignored", "logit_bias", "no effect");
	tdm_record_warn(r, "parameter_ignored", "logit_bias", "no effect");
}

// Any of several promises may be wrong: what they are wrong by together is the sum.
static void n17_deltas_of_several_certificates_add_up(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	tdm_arena_init(&arena, 1 << 20);
	tdm_record_init(&r, &arena);
	fill(&r);
	tdm_record_certificate(&r, &(struct tdm_under){"crt_a", "0.01", "0.05", true, NULL});
	struct tdm_value *v = written(&arena, &r, 0);
	assert_true(tdm_get(v, "delta") == NULL && tdm_get(v, "certificates") == NULL);
	tdm_record_certificate(&r, &(struct tdm_under){"crt_b", "0.02", "0.1", true, NULL});
	tdm_record_certificate(&r, &(struct tdm_under){"crt_b", "0.02", "0.1", true, NULL}); // once
	v = written(&arena, &r, 0);
	assert_int_equal(tdm_get(v, "certificates")->n, 2);
	assert_true(tdm_get_number(v, "delta", 0) == 0.15);
	assert_true(tdm_get_number(tdm_get(v, "certificate"), "delta", 0) == 0.05);
	tdm_arena_release(&arena);
}

static void test_fields(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	(void)state;
	tdm_arena_init(&arena, 1 << 20);
	tdm_record_init(&r, &arena);
	fill(&r);
	const struct tdm_value *v = written(&arena, &r, 0);
	assert_string_equal(tdm_get_string(v, "receipt"), r.id);
	assert_string_equal(tdm_get_string(v, "state"), "complete");
	assert_string_equal(tdm_get_string(v, "served"), "small");
	assert_true(tdm_get_number(v, "seed", 0) == 42);
	const struct tdm_value *calls = tdm_get(v, "calls"), *decisions = tdm_get(v, "decisions");
	assert_int_equal(calls->n, 1);
	assert_true(tdm_get_number(&calls->items[0], "prompt_tokens", 0) == 31);
	assert_true(tdm_get_number(&calls->items[0], "cost", 0) == 0.125);
	assert_string_equal(tdm_get_string(&decisions->items[0], "choice"), "keep");
	assert_null(tdm_get(&decisions->items[0], "threshold")); // NaN is null
	assert_true(tdm_get_number(tdm_get(tdm_get(v, "left"), "entities"), "EMAIL", 0) == 3);
	assert_int_equal(tdm_get(v, "warnings")->n, 1); // once per code and parameter
	assert_true(tdm_get_number(tdm_get(v, "cost"), "total", 0) == 0.125);
	assert_true(tdm_get_number(tdm_get(v, "cost"), "saved", 0) == 0.375);
	assert_null(tdm_get(tdm_get(v, "objective"), "quality"));
	tdm_arena_release(&arena);
}

static void test_inline_limit(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	(void)state;
	tdm_arena_init(&arena, 4 << 20);
	tdm_record_init(&r, &arena);
	fill(&r);
	for (int i = 0; i < 200; i++)
		tdm_record_call(&r, &(struct tdm_call){.model = "small", .purpose = "sample", .status = "ok"});
	const struct tdm_value *v = written(&arena, &r, 4096);
	assert_int_equal(tdm_get(v, "calls")->n, 0);
	assert_int_equal(tdm_get(v, "decisions")->n, 1);
	assert_true(tdm_get_bool(v, "truncated", false));
	v = written(&arena, &r, 100); // not even the rest fits: the id is left
	assert_string_equal(tdm_get_string(v, "receipt"), r.id);
	assert_int_equal(tdm_get(written(&arena, &r, 0), "calls")->n, 201);
	tdm_arena_release(&arena);
}

int tdm_test_receipt(void) {
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields), cmocka_unit_test(test_inline_limit),
	                                   cmocka_unit_test(n17_deltas_of_several_certificates_add_up)};
	return cmocka_run_group_tests_name("receipt", tests, NULL, NULL);
}
