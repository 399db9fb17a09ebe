// Groups of the unit tests of models/, and what they share.
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "models/collect.h"
#include "models/tree.h"
#include <string.h>

int tdm_test_tree(void);
int tdm_test_script(void);
int tdm_test_stop(void);
int tdm_test_collect(void);
int tdm_test_writer(void);
int tdm_test_linear(void);
int tdm_test_relations(void);
int tdm_test_router(void);
int tdm_test_answer(void);
int tdm_test_local(void);
int tdm_test_sessions(void);
int tdm_test_sse(void);
int tdm_test_dialects(void);
int tdm_test_upstream(void);
int tdm_test_calls(void);
int tdm_test_toolwords(void);
int tdm_test_policies(void);
int tdm_test_remote(void);
int tdm_test_threads(void);
int tdm_test_forms(void);
int tdm_test_account(void);
int tdm_test_align_models(void);

struct bench { // a run, a request with one user message, and a sink that collects
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_message message;
	struct tdm_request request;
	struct tdm_collect collect;
	struct tdm_result result;
};
void bench_open(struct bench *b, const char *question);
void bench_close(struct bench *b);
int bench_ask(struct bench *b, struct tdm_model *m); // tdm_generate into a cleared collect, error cleared
// A tree of the kinds of this test binary; the test fails when it is refused.
struct tdm_tree *tree_of(const char *yaml);
int tree_fails(const char *yaml, char text[512]); // the status and the sentence
int tdm_test_probe(void);
int tdm_test_beside(void);
