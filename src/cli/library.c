// Library: the embedding interface (include/tandem.h) over the same settings, kinds and runs that the commands use.
#include "tandem.h"
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

static int failed(const struct tdm_error *err, int status, char *error, size_t error_bytes) {
	if (status && error && error_bytes)
		snprintf(error, error_bytes, "%s", err->text);
	return status;
}

int tandem_open(const char *settings_path, struct tandem **out, char *error, size_t error_bytes) {
	struct tdm_error err = {0};
	struct tandem *t = calloc(1, sizeof *t);
	if (!t)
		return failed(&err, tdm_fail(&err, TDM_ENOMEM, "out of memory"), error, error_bytes);
	tdm_arena_init(&t->arena, SETTINGS_ARENA_BYTES);
	int status = tdm_app_open(&t->arena, settings_path, &t->app, &err);
	if (status) {
		tdm_arena_release(&t->arena);
		free(t);
		return failed(&err, status, error, error_bytes);
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

static int forward_piece(struct tdm_sink *sink, const struct tdm_event *event) {
	struct forward *f = (struct forward *)sink;
	f->shown = true;
	return f->piece && f->piece(f->context, event->text, event->len, event->author) ? TDM_SINK_ENOUGH : TDM_OK;
}

static int read_role(const char *role, enum tdm_author *out, struct tdm_error *err) {
	static const char *const names[] = {"system", "user", "assistant"};
	for (int i = 0; i < 3; i++) {
		if (role && !strcmp(role, names[i])) {
			*out = (enum tdm_author)i;
			return TDM_OK;
		}
	}
	return tdm_fail(err, TDM_EVALUE, "role: expected system, user or assistant, got \"%s\"", role ? role : "");
}

static int read_messages(struct tdm_arena *arena, const struct tandem_message *messages, size_t n,
                         struct tdm_request *out, struct tdm_error *err) {
	struct tdm_message *copy = tdm_arena_array(arena, n + 1, sizeof *copy);
	if (!n)
		return tdm_fail(err, TDM_EMISSING, "messages: expected at least one");
	if (!copy)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %zu messages", n);
	for (size_t i = 0; i < n; i++) {
		int status = read_role(messages[i].role, &copy[i].from, err);
		if (status)
			return status;
		copy[i].text = messages[i].text ? messages[i].text : "";
		copy[i].len = strlen(copy[i].text);
	}
	out->messages = copy;
	out->n_messages = n;
	return TDM_OK;
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

static uint64_t seed_of(const struct tandem_wishes *wishes) {
	uint64_t seed = wishes ? wishes->seed : 0;
	if (!seed)
		tdm_system_random(&seed, sizeof seed);
	return seed;
}

int tandem_ask_receipt(struct tandem *t, const char *model, const struct tandem_message *messages, size_t n,
                       const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char **receipt,
                       char *error, size_t error_bytes) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request request;
	struct forward forward = {.sink.put = forward_piece, .piece = piece, .context = context};
	tdm_arena_init(&arena, RUN_ARENA_BYTES);
	int status = tdm_run_init(&run, &arena, seed_of(wishes));
	if (!status) {
		tdm_request_init(&request);
		request.max_tokens = wishes ? wishes->max_tokens : 0;
		request.temperature = wishes ? wishes->temperature : -1;
		run.objective.privacy = wishes ? wishes->privacy : 0;
		run.record->objective = run.objective;
		status = read_messages(&arena, messages, n, &request, &run.error);
		if (!status)
			status = ask(t, model, &run, &request, &forward);
		if (receipt)
			*receipt = write_receipt(run.record);
		failed(&run.error, status, error, error_bytes);
	}
	tdm_arena_release(&arena);
	return status;
}

int tandem_ask(struct tandem *t, const char *model, const struct tandem_message *messages, size_t n,
               const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char *error,
               size_t error_bytes) {
	return tandem_ask_receipt(t, model, messages, n, wishes, piece, context, NULL, error, error_bytes);
}
