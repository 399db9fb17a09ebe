// What the tests of strategies share: making a kind over given models, asking it once, a model that says what it is
// told. No tree, no settings file: create() is called as the builder would.
#pragma once
#include "base/random.h"
#include "models/collect.h"
#include "models/kind.h"
#include <pthread.h>
#include <stdio.h>
#include <string.h>

struct says { // a text model with one answer, or an answer per draw
	struct tdm_model model;
	const char *answers[8]; // by request.draw modulo n_answers
	int n_answers, status;  // status not 0: fails after the text
	double mean_logprob;
	int calls;
	char last_user[512]; // what it was asked
	float temperature;
};

static inline int says_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                                struct tdm_sink *sink, struct tdm_result *result) {
	struct says *s = (struct says *)m;
	const char *text = s->answers[request->draw % (uint64_t)s->n_answers];
	const struct tdm_message *last = &request->messages[request->n_messages - 1];
	struct tdm_call call = {.model = m->name, .purpose = request->purpose ? request->purpose : "answer"};
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // some kinds ask beside each other
	pthread_mutex_lock(&lock);
	s->calls++;
	s->temperature = request->temperature;
	memcpy(s->last_user, last->text, last->len);
	s->last_user[last->len] = 0;
	pthread_mutex_unlock(&lock);
	call.status = s->status ? "failed" : "ok";
	tdm_record_call(run->record, &call);
	for (const char *at = text; *at; at++) {
		struct tdm_event e = {.text = at, .len = 1, .author = m->name, .token = -1};
		e.logprob = (float)s->mean_logprob;
		int status = sink->put(sink, &e);
		if (status)
			return status < 0 ? status : TDM_OK;
	}
	result->mean_logprob = s->mean_logprob;
	result->completion_tokens = (int64_t)strlen(text);
	return s->status ? tdm_fail(&run->error, s->status, "%s fails as told", m->name) : TDM_OK;
}

static inline void says_init(struct says *s, const char *name, const char *answer) {
	static const struct tdm_model_ops ops = {.generate = says_generate};
	*s = (struct says){.answers = {answer}, .n_answers = 1, .mean_logprob = -0.1};
	s->model = (struct tdm_model){.ops = &ops, .name = name, .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS};
}

struct asked { // one kind over its parts, and one run of it
	struct tdm_arena arena;
	struct tdm_error error;
	struct tdm_build build;
	struct tdm_model *model, *parts[8];
	const char *roles[8];
	struct tdm_run run;
	struct tdm_collect collect;
	struct tdm_result result;
	int status;
};

// The weights of the tagger, as the program holds them; nothing else.
static inline const void *asked_embedded(const char *name, size_t *n) {
	static char weights[2 << 20];
	FILE *f = strcmp(name, "tagger") == 0 ? fopen("weights/tagger/tagger.bin", "rb") : NULL;
	if (!f)
		return NULL;
	*n = fread(weights, 1, sizeof weights, f);
	fclose(f);
	return weights;
}

// roles and parts in the kind's order; options as YAML, such as "{gamma: 3}". Returns the status of create().
static inline int asked_make(struct asked *a, const struct tdm_kind *kind, const char *options, size_t n,
                             struct tdm_model *const *parts, const char *const *roles) {
	struct tdm_value *map = NULL;
	memset(a, 0, sizeof *a);
	tdm_arena_init(&a->arena, (size_t)64 << 20);
	a->build = (struct tdm_build){.arena = &a->arena, .error = &a->error, .name = "it", .where = "test: model it"};
	a->build.folder = ".";
	a->build.embedded = asked_embedded;
	a->build.kind = kind;
	for (size_t i = 0; i < n; i++) {
		a->parts[i] = parts[i];
		a->roles[i] = roles[i];
	}
	a->build.parts = a->parts;
	a->build.part_roles = a->roles;
	a->build.n_parts = n;
	void *read = tdm_arena_alloc(&a->arena, kind->options_bytes);
	int status = tdm_yaml_parse(&a->arena, "test", options, strlen(options), &map, &a->error);
	if (!status)
		status = tdm_options_read(&a->arena, a->build.where, map, kind->options, kind->n_options, NULL, read,
		                          kind->options_bytes, &a->error);
	return status ? status : kind->create(&a->build, read, &a->model);
}

// Asks with `request` (NULL: one user message "ask me"); the answer is in a->collect.text.
static inline const char *asked_answer(struct asked *a, uint64_t seed, const struct tdm_request *request) {
	struct tdm_message message = {.from = TDM_FROM_USER, .text = "ask me", .len = 6};
	struct tdm_request own;
	tdm_request_init(&own);
	own.messages = &message;
	own.n_messages = 1;
	if (request) {
		own = *request;
		own.messages = request->n_messages ? request->messages : &message;
		own.n_messages = request->n_messages ? request->n_messages : 1;
	}
	tdm_collect_release(&a->collect);
	if (tdm_run_init(&a->run, &a->arena, seed))
		return "";
	tdm_collect_init(&a->collect, 1 << 16, NULL, &a->arena);
	a->status = tdm_generate(a->model, &a->run, &own, &a->collect.sink, &a->result);
	return a->collect.text.data ? a->collect.text.data : "";
}

static inline void asked_done(struct asked *a) {
	tdm_collect_release(&a->collect);
	tdm_arena_release(&a->arena);
}
