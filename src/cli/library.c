// Library: the embedding interface (include/tandem.h) over the same settings, kinds and runs that the commands use.
#include "tandem.h"
#include "base/clock.h"
#include "base/random.h"
#include "cli/app.h"
#include "ledger/receipt.h"
#include "models/promise.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_ARENA_BYTES ((size_t)64 << 20)
#define RUN_ARENA_BYTES ((size_t)256 << 20)
#define RECEIPT_LIMIT_BYTES ((size_t)4 << 20)

struct tandem {
	struct tdm_arena arena;
	struct tdm_app app;
};

struct forward { // events to the caller's function
	struct tdm_sink sink;
	bool shown;
	tandem_piece *piece;
	void *context;
};

int tandem_open(const char *settings, struct tandem **out, struct tdm_error *err) {
	struct tandem *t = calloc(1, sizeof *t);
	if (!t)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	tdm_arena_init(&t->arena, SETTINGS_ARENA_BYTES);
	int status = tdm_app_open(&t->arena, settings, &t->app, err);
	if (status) {
		tdm_arena_release(&t->arena);
		free(t);
		return status;
	}
	*out = t;
	return TDM_OK;
}

void tandem_close(struct tandem *t) {
	if (!t)
		return;
	tdm_app_close(&t->app);
	tdm_arena_release(&t->arena);
	free(t);
}

const char *tandem_model(const struct tandem *t, size_t i) {
	struct tdm_model *const *models;
	return i < tdm_tree_models(t->app.tree, &models) ? models[i]->name : NULL;
}

static int forward_piece(struct tdm_sink *sink, const struct tdm_event *event) {
	struct forward *f = (struct forward *)sink;
	f->shown = true;
	return f->piece && f->piece(f->context, event->text, event->len, event->author) ? TDM_SINK_ENOUGH : TDM_OK;
}

static char *write_receipt(const struct tdm_record *r) {
	struct tdm_bytes b;
	tdm_bytes_init(&b, RECEIPT_LIMIT_BYTES);
	tdm_receipt_write(&b, r);
	char *copy = strdup(b.data ? b.data : "{}");
	tdm_bytes_release(&b);
	return copy;
}

static int ask(struct tandem *t, const char *name, struct tdm_run *run, struct tdm_request *request,
               struct forward *forward) {
	struct tdm_model *model;
	struct tdm_result result = {0};
	int status = tdm_app_model(&t->app, name, &model, &run->error);
	if (!status)
		status = tdm_check_objective(model, request, run);
	if (!status)
		status = tdm_generate(model, run, request, &forward->sink, &result);
	run->record->requested = name;
	run->record->served = result.served;
	run->record->config_hash = tdm_tree_hash(t->app.tree);
	struct tdm_run_end end = {
	    status,        result.finish, result.prompt_tokens, result.completion_tokens, tdm_tree_dearest(t->app.tree),
	    forward->shown};
	tdm_run_close(run, &end);
	return status;
}

static int check_messages(const struct tdm_message *messages, size_t n, struct tdm_error *err) {
	if (!n)
		return tdm_fail(err, TDM_EMISSING, "messages: expected at least one");
	for (size_t i = 0; i < n; i++)
		if (messages[i].from > TDM_FROM_TOOL || (!messages[i].text && messages[i].len))
			return tdm_fail(err, TDM_EVALUE, "messages[%zu]: expected an author and a text", i);
	return TDM_OK;
}

static void set_wishes(const struct tandem_wishes *wishes, struct tdm_run *run, struct tdm_request *request) {
	tdm_request_init(request);
	run->record->objective = run->objective;
	if (!wishes)
		return;
	request->max_tokens = wishes->max_tokens;
	request->temperature = wishes->temperature;
	run->cancelled = wishes->cancelled;
	run->deadline_us = wishes->timeout_ms > 0 ? tdm_now_us() + (int64_t)wishes->timeout_ms * 1000 : 0;
	run->objective.privacy = wishes->privacy;
	run->record->objective = run->objective;
}

static uint64_t seed_of(const struct tandem_wishes *wishes) {
	uint64_t seed = wishes ? wishes->seed : 0;
	if (!seed)
		tdm_system_random(&seed, sizeof seed);
	return seed;
}

int tandem_ask(struct tandem *t, const char *model, const struct tdm_message *messages, size_t n,
               const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char **receipt,
               struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request request;
	struct forward forward = {.sink.put = forward_piece, .piece = piece, .context = context};
	if (receipt)
		*receipt = NULL;
	tdm_arena_init(&arena, RUN_ARENA_BYTES);
	int status = tdm_run_init(&run, &arena, seed_of(wishes));
	if (!status) {
		set_wishes(wishes, &run, &request);
		request.messages = messages;
		request.n_messages = n;
		status = check_messages(messages, n, &run.error);
		if (!status)
			status = ask(t, model, &run, &request, &forward);
		if (receipt)
			*receipt = write_receipt(run.record);
	}
	if (status)
		tdm_fail(err, status, "%s", run.error.text);
	tdm_arena_release(&arena);
	return status;
}
