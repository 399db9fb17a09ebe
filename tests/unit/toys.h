// Strategies over real sessions: trees of local models with tiny random weights (models/toy.c), asked with and without
// the strategy.
#pragma once
#include "fake_kind.h"
#include "models/sources.h"
#include "models/toy.h"
#include "models/tree.h"
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct toys {
	char folder[40]; // of this process alone: groups of tests run beside each other
	struct tdm_tree *tree;
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_collect collect;
	struct tdm_result result;
};

static const char *const toys_names[] = {"one", "two", "other"};

static inline int toys_open(struct toys *t, const char *yaml, const struct tdm_kind *const *kinds) {
	struct tdm_error err = {0};
	memset(t, 0, sizeof *t);
	snprintf(t->folder, sizeof t->folder, "build/toys-%d", (int)getpid());
	mkdir(t->folder, 0700);
	for (int i = 0; i < 3; i++) {
		char path[80];
		snprintf(path, sizeof path, "%s/toy-%s.gguf", t->folder, toys_names[i]);
		i == 2 ? toy_write_other(path, 7) : toy_write(path, i == 1 ? 8 : 7);
	}
	tdm_arena_init(&t->arena, (size_t)256 << 20);
	int status = tdm_tree_load("toys.yaml", t->folder, yaml, strlen(yaml), kinds, NULL, &t->tree, &err);
	if (status)
		fprintf(stderr, "%s\n", err.text);
	return status;
}

static inline const char *toys_ask(struct toys *t, const char *model, const char *text,
                                   const struct tdm_request *settings, uint64_t seed) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = strlen(text)};
	struct tdm_request request = *settings;
	request.messages = &message;
	request.n_messages = 1;
	tdm_collect_release(&t->collect);
	tdm_arena_release(&t->arena);
	if (tdm_run_init(&t->run, &t->arena, seed))
		return "no run";
	tdm_collect_init(&t->collect, 1 << 20, NULL, NULL);
	struct tdm_model *m = tdm_tree_model(t->tree, model);
	if (!m || tdm_generate(m, &t->run, &request, &t->collect.sink, &t->result))
		return t->run.error.text;
	return t->collect.text.data ? t->collect.text.data : "";
}

static inline void toys_close(struct toys *t) {
	tdm_collect_release(&t->collect);
	tdm_arena_release(&t->arena);
	tdm_tree_close(t->tree);
	for (int i = 0; i < 3; i++) {
		char path[80];
		snprintf(path, sizeof path, "%s/toy-%s.gguf", t->folder, toys_names[i]);
		remove(path);
	}
	rmdir(t->folder);
}
