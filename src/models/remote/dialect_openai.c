// Chat completions of OpenAI, which nearly every server speaks, each in its own way: what is read here is everything
// that the api sheet's tables call wrong, and repaired.
#include "models/remote/dialect.h"
#include <string.h>

// --- what is asked

static void write_calls(struct tdm_bytes *b, const struct tdm_message *m) {
	for (size_t i = 0; i < m->n_calls; i++) {
		tdm_write_string(b, i ? "},{\"id\":" : ",\"tool_calls\":[{\"id\":", m->calls[i].id);
		tdm_write_string(b, ",\"type\":\"function\",\"function\":{\"name\":", m->calls[i].name);
		tdm_bytes_puts(b, ",\"arguments\":");
		tdm_bytes_json(b, m->calls[i].arguments, m->calls[i].len);
		tdm_bytes_putc(b, '}');
	}
	if (m->n_calls)
		tdm_bytes_puts(b, "}]");
}

void tdm_write_messages(struct tdm_bytes *b, const struct tdm_request *rq) {
	static const char *const roles[] = {"system", "user", "assistant", "tool"};
	tdm_bytes_puts(b, ",\"messages\":[");
	for (size_t i = 0; i < rq->n_messages; i++) {
		const struct tdm_message *m = &rq->messages[i];
		// What a tool says without a word about the call that it answers goes as the user's.
		bool is_loose = m->from == TDM_FROM_TOOL && !m->call_id;
		tdm_bytes_join(b, i ? ",{\"role\":\"" : "{\"role\":\"", roles[is_loose ? TDM_FROM_USER : m->from],
		               "\",\"content\":");
		if (m->n_calls && !m->len)
			tdm_bytes_puts(b, "null");
		else
			tdm_bytes_json(b, m->text, m->len);
		write_calls(b, m);
		if (m->from == TDM_FROM_TOOL && m->call_id)
			tdm_write_string(b, ",\"tool_call_id\":", m->call_id);
		tdm_bytes_putc(b, '}');
	}
	tdm_bytes_putc(b, ']');
}

static void write_tool(struct tdm_bytes *b, const struct tdm_tool *t) {
	tdm_write_string(b, "{\"type\":\"function\",\"function\":{\"name\":", t->name);
	if (t->description)
		tdm_write_string(b, ",\"description\":", t->description);
	if (t->parameters) {
		tdm_bytes_puts(b, ",\"parameters\":");
		tdm_bytes_add(b, t->parameters, t->len);
	}
	tdm_bytes_puts(b, t->strict ? ",\"strict\":true}}" : "}}");
}

static void write_tools(struct tdm_bytes *b, const struct tdm_toolbox *tools) {
	if (!tools->n)
		return;
	tdm_bytes_puts(b, ",\"tools\":[");
	for (size_t i = 0; i < tools->n; i++) {
		if (i)
			tdm_bytes_putc(b, ',');
		write_tool(b, &tools->items[i]);
	}
	tdm_bytes_putc(b, ']');
	tdm_write_choice(b, tools, ",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":", "}}");
}

static void write_form(struct tdm_bytes *b, const struct tdm_form *form) {
	if (form->kind == TDM_GRAMMAR_JSON) {
		tdm_bytes_puts(b, ",\"response_format\":{\"type\":\"json_object\"}");
		return;
	}
	tdm_write_string(b, ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":",
	                 form->name ? form->name : "answer");
	tdm_bytes_puts(b, form->strict ? ",\"strict\":true,\"schema\":" : ",\"schema\":");
	tdm_bytes_add(b, form->text, form->len);
	tdm_bytes_puts(b, "}}");
}

static void write_settings(struct tdm_bytes *b, const struct tdm_asking *a, const struct tdm_request *rq) {
	int64_t max_tokens = tdm_most_tokens(a, rq);
	if (max_tokens > 0)
		tdm_bytes_named(b, ",\"max_tokens\":", max_tokens);
	tdm_write_sampling(b, a, rq);
	tdm_write_stop(b, "stop", rq);
	if (rq->logprobs)
		tdm_bytes_named(b, ",\"logprobs\":true,\"top_logprobs\":", rq->top_logprobs);
}

static int write_request(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                         const struct tdm_request *rq) {
	tdm_write_string(b, "{\"model\":", a->model);
	tdm_write_messages(b, rq);
	write_tools(b, &rq->tools);
	write_settings(b, a, rq);
	tdm_write_forwarded(b, a, rq);
	if (rq->wants_seed)
		tdm_bytes_named(b, ",\"seed\":", tdm_seed_of(run, rq));
	if (rq->form)
		write_form(b, rq->form);
	tdm_bytes_puts(b, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	return TDM_OK;
}

// --- what is answered

// A refusal is words: many clients show nothing of it where it is something else.
static int read_content(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choice) {
	static const char *const names[] = {"content", "refusal"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct tdm_value *words = tdm_get(tdm_get(choice, "delta"), names[i]);
		if (words && words->type == TDM_STRING && words->len)
			return tdm_upstream_tokens(u, arena, words, tdm_get(tdm_get(choice, "logprobs"), names[i]));
	}
	return TDM_OK;
}

static int read_thought(struct tdm_upstream *u, const struct tdm_value *delta) {
	static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const struct tdm_value *thought = tdm_get(delta, names[i]);
		if (thought && thought->type == TDM_STRING && thought->len)
			return tdm_upstream_thought(u, thought->text, thought->len);
	}
	return TDM_OK;
}

// The calls of a delta; an older shape has one, without an id.
static int read_calls(struct tdm_upstream *u, const struct tdm_value *delta) {
	const struct tdm_value *calls = tdm_get(delta, "tool_calls"), *old = tdm_get(delta, "function_call");
	if (calls)
		return tdm_upstream_calls(u, calls);
	return old ? tdm_upstream_call(u, -1, NULL, tdm_get_string(old, "name"), tdm_get(old, "arguments")) : TDM_OK;
}

static int read_delta(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choice) {
	const struct tdm_value *delta = tdm_get(choice, "delta");
	int status = read_thought(u, delta);
	if (!status)
		status = read_content(u, arena, choice);
	return status ? status : read_calls(u, delta);
}

static int read_choices(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choices) {
	static const struct tdm_reason reasons[] = {{"stop", TDM_FINISH_STOP},
	                                            {"length", TDM_FINISH_LENGTH},
	                                            {"content_filter", TDM_FINISH_FILTER},
	                                            {"tool_calls", TDM_FINISH_STOP},
	                                            {"function_call", TDM_FINISH_STOP},
	                                            {"eos", TDM_FINISH_STOP},
	                                            {"end_turn", TDM_FINISH_STOP},
	                                            {NULL, 0}};
	if (choices->type != TDM_LIST || choices->n > TDM_CHOICES_LIMIT)
		return tdm_upstream_bad(u, "choices that are no list of at most 128");
	for (size_t i = 0; i < choices->n; i++) {
		const struct tdm_value *choice = &choices->items[i];
		double index = tdm_get_number(choice, "index", 0);
		if (index < 0 || index >= TDM_CHOICES_LIMIT)
			return tdm_upstream_bad(u, "a choice whose number is beyond 127");
		u->n_dropped += u->finished;
		if (index != 0 || u->finished)
			continue; // one choice was asked for, and nothing belongs to it after its end
		int status = read_delta(u, arena, choice);
		const char *reason = tdm_get_string(choice, "finish_reason");
		if (!status && reason)
			status = tdm_upstream_finish(u, reasons, reason);
		if (status)
			return status;
	}
	return TDM_OK;
}

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *choices = tdm_get(event, "choices");
	tdm_read_usage(u, event);
	return choices ? read_choices(u, arena, choices) : TDM_OK;
}

const struct tdm_dialect tdm_dialect_openai = {
    .name = "openai",
    .path = "/chat/completions",
    .key_header = "Authorization",
    .key_prefix = "Bearer ",
    .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_FORM | TDM_CAN_TOOLS,
    .knows = TDM_KNOWS_STOP | TDM_KNOWS_SEED | TDM_KNOWS_LOGPROBS,
    .write = write_request,
    .read = read_event,
};
