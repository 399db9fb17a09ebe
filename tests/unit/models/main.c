// Runs every group of tests of models/.
#include "tests.h"
#include "../groups.h"
#include "kinds.h"

void bench_open(struct bench *b, const char *question) {
	memset(b, 0, sizeof *b);
	tdm_arena_init(&b->arena, (size_t)64 << 20);
	assert_int_equal(tdm_run_init(&b->run, &b->arena, 42), TDM_OK);
	b->message = (struct tdm_message){.from = TDM_FROM_USER, .text = question, .len = strlen(question)};
	tdm_request_init(&b->request);
	b->request.messages = &b->message;
	b->request.n_messages = 1;
	tdm_collect_init(&b->collect, (size_t)1 << 20, NULL, &b->arena);
}

void bench_close(struct bench *b) {
	tdm_collect_release(&b->collect);
	tdm_arena_release(&b->arena);
}

int bench_ask(struct bench *b, struct tdm_model *m) {
	tdm_collect_release(&b->collect);
	tdm_collect_init(&b->collect, (size_t)1 << 20, NULL, &b->arena);
	tdm_error_clear(&b->run.error);
	return tdm_generate(m, &b->run, &b->request, &b->collect.sink, &b->result);
}

struct tdm_tree *tree_of(const char *yaml) {
	struct tdm_tree *t = NULL;
	struct tdm_error err = {0};
	if (tdm_tree_load("t.yaml", "tests", yaml, strlen(yaml), test_kinds, NULL, &t, &err))
		fail_msg("%s", err.text);
	return t;
}

int tree_fails(const char *yaml, char text[512]) {
	struct tdm_tree *t = NULL;
	struct tdm_error err = {0};
	int status = tdm_tree_load("t.yaml", "tests", yaml, strlen(yaml), test_kinds, NULL, &t, &err);
	assert_true(status == TDM_OK || t == NULL);
	tdm_tree_close(t);
	memcpy(text, err.text, sizeof err.text);
	return status;
}

GROUPS_MAIN(tdm_test_tree, tdm_test_script, tdm_test_stop, tdm_test_collect, tdm_test_writer, tdm_test_answer,
            tdm_test_linear, tdm_test_router, tdm_test_local, tdm_test_sessions, tdm_test_sse, tdm_test_upstream,
            tdm_test_dialects, tdm_test_calls, tdm_test_toolwords, tdm_test_policies, tdm_test_remote, tdm_test_threads,
            tdm_test_forms, tdm_test_account, tdm_test_probe, tdm_test_align_models, tdm_test_beside,
            tdm_test_relations)
