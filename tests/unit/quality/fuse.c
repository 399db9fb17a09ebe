// Rows of every rule against the formulas, equal members against the member alone, and the session that a fusion is.
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include "../fake_kind.h"
#include "../fake_step.h"
#include "models/local/joint.h"
#include "quality/kinds.h"
#include "tests.h"

enum { V = 20, ROWS = 31 };

static float tables[3][ROWS * V];
static struct fake members[3];
static const char *const roles[] = {"members", "members", "members"};

static void start(int n_equal) {
	static const char *const names[] = {"one", "two", "three"};
	struct tdm_rng rng;
	tdm_rng_init(&rng, 17);
	for (int m = 0; m < 3; m++) {
		for (int i = 0; i < ROWS * V; i++)
			tables[m][i] = (float)(tdm_rng_normal(&rng) * 3);
		fake_init(&members[m], names[m], m < n_equal ? tables[0] : tables[m], ROWS, V);
		members[m].by_history = true;
		members[m].prompt_tokens = 3 + m;
		members[m].end = 19;
	}
}

static int make(struct asked *a, size_t n, const char *options) {
	struct tdm_model *parts[] = {&members[0].model, &members[1].model, &members[2].model};
	return asked_make(a, &tdm_kind_fuse, options, n, parts, roles);
}

// The first member alone, decoded by the same loop under the same name and seed.
static const char *alone(struct asked *a, uint64_t seed, const struct tdm_request *request) {
	static char out[256];
	struct tdm_session *s = NULL;
	struct tdm_collect collect;
	struct tdm_result result;
	assert_int_equal(tdm_run_init(&a->run, &a->arena, seed), TDM_OK);
	assert_int_equal(fake_open(&members[0].model, &a->run, &s), TDM_OK);
	tdm_collect_init(&collect, 1000, NULL, NULL);
	assert_int_equal(tdm_joint_decode(&a->run, request, s, "it", &collect.sink, &result), TDM_OK);
	memcpy(out, collect.text.data, collect.text.len + 1);
	s->ops->close(s);
	tdm_collect_release(&collect);
	return out;
}

static void equal_members_are_the_member(void **state) {
	static const char *const options[] = {"{}", "{space: log}", "{weights: [3, 1, 0.5]}", "{weights: [0, 1, 2]}"};
	struct asked a;
	struct tdm_request request;
	start(3);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(make(&a, 3, options[i % 4]), TDM_OK);
		tdm_request_init(&request);
		request.max_tokens = 30;
		request.temperature = i < 4 ? 0 : 0.9f;
		const char *want = alone(&a, (uint64_t)i, &request);
		assert_string_equal(asked_answer(&a, (uint64_t)i, &request), want);
		assert_true(strlen(want) > 0);
		asked_done(&a);
	}
}

static void check_row(const char *options, double (*want)(const float *, const float *, int)) {
	struct asked a;
	struct tdm_session *s = NULL;
	struct tdm_request request;
	assert_int_equal(make(&a, 2, options), TDM_OK);
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	assert_int_equal(a.model->ops->open(a.model, &a.run, &s), TDM_OK);
	tdm_request_init(&request);
	assert_int_equal(s->ops->prompt(s, &a.run, &request, NULL), TDM_OK);
	const float *row = s->ops->logits(s, 0);
	int32_t none[3] = {0};
	struct fake_session probe = {.fake = &members[0], .tokens = none, .first_row = 3, .session = {.prompt_tokens = 3}};
	const float *z1 = fake_logits(&probe.session, 0);
	probe.fake = &members[1];
	const float *z2 = fake_logits(&probe.session, 0);
	for (int v = 0; v < V; v++) {
		double expected = want(z1, z2, v), lead = want(z1, z2, 0);
		if (isinf(expected))
			assert_true(isinf(row[v]) && row[v] < 0);
		else if (isfinite(lead)) // up to a constant
			assert_true(fabs((double)row[v] - (double)row[0] - (expected - lead)) < 1e-4);
	}
	s->ops->close(s);
	assert_int_equal(members[0].open_sessions + members[1].open_sessions, 0);
	asked_done(&a);
}

static double probability(const float *z, int v) {
	double sum = 0;
	for (int i = 0; i < V; i++)
		sum += exp((double)z[i]);
	return exp((double)z[v]) / sum;
}

static double average(const float *z1, const float *z2, int v) {
	return log(0.75 * probability(z1, v) + 0.25 * probability(z2, v));
}

static double average_log(const float *z1, const float *z2, int v) {
	return ((double)z1[v] + (double)z2[v]) / 2;
}

static double head(const float *z, int v, double share) {
	double best = 0;
	for (int i = 0; i < V; i++)
		best = fmax(best, probability(z, i));
	return probability(z, v) >= share * best ? 0 : -INFINITY;
}

static double contrast(const float *z1, const float *z2, int v) {
	return head(z1, v, 0.01) + 1.5 * (double)z1[v] - 0.5 * (double)z2[v];
}

static double expert_head(const float *z1, const float *z2, int v) {
	return head(z1, v, 0.1) + (double)z1[v];
}

static void rows_follow_the_formulas(void **state) {
	start(1);
	check_row("{weights: [3, 1]}", average);
	check_row("{space: log}", average_log);
	check_row("{rule: contrast, plausibility: 0.01}", contrast);
	check_row("{rule: contrast, beta: 0}", expert_head);
}

static void beta_zero_is_the_expert(void **state) {
	struct asked a;
	struct tdm_request request;
	start(1);
	tdm_request_init(&request);
	request.max_tokens = 30;
	assert_int_equal(make(&a, 2, "{rule: contrast, beta: 0}"), TDM_OK);
	const char *want = alone(&a, 1, &request);
	assert_string_equal(asked_answer(&a, 1, &request), want);
	asked_done(&a);
}

static void order_does_not_matter_for_equal_weights(void **state) {
	struct asked a;
	struct tdm_request request;
	char first[64];
	start(1);
	for (int m = 0; m < 3; m++)
		members[m].end = -1;
	tdm_request_init(&request);
	request.max_tokens = 30;
	assert_int_equal(make(&a, 3, "{}"), TDM_OK);
	memcpy(first, asked_answer(&a, 1, &request), 31);
	asked_done(&a);
	struct tdm_model *parts[] = {&members[2].model, &members[0].model, &members[1].model};
	assert_int_equal(asked_make(&a, &tdm_kind_fuse, "{}", 3, parts, roles), TDM_OK);
	assert_string_equal(asked_answer(&a, 1, &request), first);
	asked_done(&a);
}

// A fusion is a session: several tokens in one pass, rewind, and a copy give the rows that one token at a time gives.
static void session_rewinds_and_forks(void **state) {
	const int32_t tokens[] = {4, 9, 2, 7};
	float rows[4][V];
	struct asked a;
	struct tdm_session *s = NULL, *copy = NULL;
	struct tdm_request request;
	start(1);
	assert_int_equal(make(&a, 3, "{}"), TDM_OK);
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	assert_int_equal(a.model->ops->open(a.model, &a.run, &s), TDM_OK);
	tdm_request_init(&request);
	assert_int_equal(s->ops->prompt(s, &a.run, &request, NULL), TDM_OK);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(s->ops->eval(s, &a.run, &tokens[i], NULL, 1), TDM_OK);
		memcpy(rows[i], s->ops->logits(s, 0), sizeof rows[i]);
	}
	assert_int_equal(s->ops->rewind(s, s->prompt_tokens + 1), TDM_OK);
	assert_int_equal(s->ops->length(s), s->prompt_tokens + 1);
	assert_int_equal(s->ops->fork(s, &a.run, &copy), TDM_OK);
	assert_int_equal(s->ops->eval(s, &a.run, tokens + 1, NULL, 3), TDM_OK);
	assert_int_equal(copy->ops->eval(copy, &a.run, tokens + 1, NULL, 2), TDM_OK);
	for (int i = 1; i < 4; i++)
		assert_memory_equal(s->ops->logits(s, i - 1), rows[i], sizeof rows[i]);
	assert_memory_equal(copy->ops->logits(copy, 1), rows[2], sizeof rows[2]);
	int room = s->context - s->ops->length(s);
	assert_int_equal(room, 64 - 5 - 4); // of the member with the longest prompt
	copy->ops->close(copy);
	s->ops->close(s);
	assert_int_equal(members[0].open_sessions + members[1].open_sessions + members[2].open_sessions, 0);
	asked_done(&a);
}

static void record_names_every_member(void **state) {
	struct asked a;
	struct tdm_request request;
	start(2);
	members[0].end = members[1].end = -1;
	tdm_request_init(&request);
	request.max_tokens = 6;
	assert_int_equal(make(&a, 2, "{}"), TDM_OK);
	asked_answer(&a, 1, &request);
	const struct tdm_call *c = a.run.record->calls;
	assert_string_equal(c->model, "one");
	assert_string_equal(c->next->model, "two");
	assert_int_equal(c->passes, 6);
	assert_int_equal(c->next->completion_tokens, 6);
	assert_string_equal(a.run.record->decisions->detail, "largest differs from one 0 of 6, two 0 of 6");
	assert_string_equal(a.result.served, "it");
	asked_done(&a);
}

static void bad_settings_are_refused(void **state) {
	static const char *const rows[][2] = {
	    {"{weights: [1, 2, 3]}", "a list of 2 numbers"},
	    {"{weights: [1, x]}", "weight 2"},
	    {"{weights: [1, -1]}", "weight 2"},
	    {"{weights: [0, 0]}", "at least one weight"},
	    {"{rule: contrast, weights: [1, 1]}", "has no weights"},
	};
	struct asked a;
	start(1);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(make(&a, 2, rows[i][0]), TDM_ECONFIG);
		assert_non_null(strstr(a.error.text, rows[i][1]));
		asked_done(&a);
	}
	assert_int_equal(make(&a, 3, "{rule: contrast}"), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "the expert and the amateur"));
	asked_done(&a);
	members[1].vocab_id = 8;
	assert_int_equal(make(&a, 2, "{}"), TDM_OK);
	asked_answer(&a, 1, NULL);
	assert_int_equal(a.status, TDM_ECONFIG);
	assert_int_equal(members[0].open_sessions + members[1].open_sessions, 0);
	asked_done(&a);
}

int tdm_test_fuse(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(equal_members_are_the_member), cmocka_unit_test(rows_follow_the_formulas),
	    cmocka_unit_test(beta_zero_is_the_expert),      cmocka_unit_test(order_does_not_matter_for_equal_weights),
	    cmocka_unit_test(session_rewinds_and_forks),    cmocka_unit_test(record_names_every_member),
	    cmocka_unit_test(bad_settings_are_refused),
	};
	return cmocka_run_group_tests_name("fuse", tests, NULL, NULL);
}
