// Messages of Anthropic. What differs from a chat: the system text stands apart, turns alternate (neighbours of one
// side are joined), results of tools are blocks of the user's turn, an answer's length must be said, and its blocks
// open and close by number.
#include "models/remote/dialect.h"
#include <string.h>

#define MOST_TOKENS 4096 // when nobody says: the field is not optional here

// --- what is asked

static void write_text_block(struct tdm_bytes *b, const char *text, size_t n, bool *first) {
	if (n == 0) // refused there
		return;
	tdm_bytes_puts(b, *first ? "{\"type\":\"text\",\"text\":" : ",{\"type\":\"text\",\"text\":");
	tdm_bytes_json(b, text, n);
	tdm_bytes_putc(b, '}');
	*first = false;
}

// All that the system says, wherever it stands, so that it keeps its rank.
static void write_system(struct tdm_bytes *b, const struct tdm_request *rq) {
	bool first = true, any = false;
	for (size_t i = 0; i < rq->n_messages; i++)
		any |= rq->messages[i].from == TDM_FROM_SYSTEM && rq->messages[i].len;
	if (!any)
		return;
	tdm_bytes_puts(b, ",\"system\":[");
	for (size_t i = 0; i < rq->n_messages; i++)
		if (rq->messages[i].from == TDM_FROM_SYSTEM)
			write_text_block(b, rq->messages[i].text, rq->messages[i].len, &first);
	tdm_bytes_putc(b, ']');
}

static void write_blocks(struct tdm_bytes *b, const struct tdm_message *m, bool *first) {
	if (m->from == TDM_FROM_TOOL && m->call_id) {
		tdm_write_string(
		    b, *first ? "{\"type\":\"tool_result\",\"tool_use_id\":" : ",{\"type\":\"tool_result\",\"tool_use_id\":",
		    m->call_id);
		tdm_bytes_puts(b, ",\"content\":");
		tdm_bytes_json(b, m->text, m->len);
		tdm_bytes_putc(b, '}');
		*first = false;
		return;
	}
	write_text_block(b, m->text, m->len, first);
	for (size_t i = 0; i < m->n_calls; i++) {
		const struct tdm_tool_call *c = &m->calls[i];
		tdm_write_string(b, *first ? "{\"type\":\"tool_use\",\"id\":" : ",{\"type\":\"tool_use\",\"id\":", c->id);
		tdm_write_string(b, ",\"name\":", c->name);
		tdm_bytes_puts(b, ",\"input\":");
		tdm_write_object(b, c->arguments, c->len);
		tdm_bytes_putc(b, '}');
		*first = false;
	}
}

static bool is_assistant(const struct tdm_message *m) {
	return m->from == TDM_FROM_ASSISTANT;
}

static void write_messages(struct tdm_bytes *b, const struct tdm_request *rq) {
	const struct tdm_message *turn = NULL; // the one that is open
	bool first = true;
	tdm_bytes_puts(b, ",\"messages\":[");
	for (size_t i = 0; i < rq->n_messages; i++) {
		const struct tdm_message *m = &rq->messages[i];
		if (m->from == TDM_FROM_SYSTEM || (!m->len && !m->n_calls && m->from != TDM_FROM_TOOL))
			continue;
		if (!turn || is_assistant(turn) != is_assistant(m)) {
			tdm_bytes_join(b, turn ? "]},{\"role\":\"" : "{\"role\":\"", is_assistant(m) ? "assistant" : "user",
			               "\",\"content\":[");
			first = true;
		}
		turn = m;
		write_blocks(b, m, &first);
	}
	tdm_bytes_puts(b, turn ? "]}]" : "]");
}

static void write_choice(struct tdm_bytes *b, const struct tdm_toolbox *tools) {
	static const char *const types[] = {"auto", "none", "any", "tool"};
	if (tools->choice == TDM_TOOLS_AUTO && !tools->one_call)
		return;
	tdm_bytes_join(b, ",\"tool_choice\":{\"type\":\"", types[tools->choice], "\"");
	if (tools->choice == TDM_TOOLS_ONE)
		tdm_write_string(b, ",\"name\":", tools->chosen);
	tdm_bytes_puts(b,
	               tools->one_call && tools->choice != TDM_TOOLS_NONE ? ",\"disable_parallel_tool_use\":true}" : "}");
}

static void write_tools(struct tdm_bytes *b, const struct tdm_toolbox *tools) {
	if (!tools->n)
		return;
	for (size_t i = 0; i < tools->n; i++) {
		const struct tdm_tool *t = &tools->items[i];
		tdm_write_string(b, i ? ",{\"name\":" : ",\"tools\":[{\"name\":", t->name);
		if (t->description)
			tdm_write_string(b, ",\"description\":", t->description);
		tdm_bytes_puts(b, ",\"input_schema\":");
		if (t->parameters)
			tdm_bytes_add(b, t->parameters, t->len);
		else
			tdm_bytes_puts(b, "{\"type\":\"object\"}");
		tdm_bytes_puts(b, t->strict ? ",\"strict\":true}" : "}");
	}
	tdm_bytes_putc(b, ']');
	write_choice(b, tools);
}

static void write_settings(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                           const struct tdm_request *rq) {
	double temperature = tdm_temperature(a, rq);
	if (temperature > 1) { // its scale ends there
		tdm_record_warn(run->record, "parameter_clipped", "temperature", "the upstream takes 0 to 1");
		tdm_bytes_puts(b, ",\"temperature\":1");
	} else if (temperature >= 0) {
		tdm_write_float(b, "temperature", (float)temperature);
	}
	if (rq->top_p >= 0)
		tdm_write_float(b, "top_p", rq->top_p);
	if (rq->top_k > 0)
		tdm_bytes_named(b, ",\"top_k\":", rq->top_k);
	tdm_write_stop(b, "stop_sequences", rq);
}

static int write_request(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                         const struct tdm_request *rq) {
	int64_t most = tdm_most_tokens(a, rq);
	if (rq->form && rq->form->kind != TDM_GRAMMAR_SCHEMA)
		return tdm_cannot(run, TDM_FORM_FIELD, "the upstream keeps answers to a json_schema only");
	tdm_write_string(b, "{\"model\":", a->model);
	tdm_bytes_named(b, ",\"max_tokens\":", most > 0 ? most : MOST_TOKENS);
	write_system(b, rq);
	write_messages(b, rq);
	write_tools(b, &rq->tools);
	write_settings(b, a, run, rq);
	if (rq->form) {
		tdm_bytes_puts(b, ",\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":");
		tdm_bytes_add(b, rq->form->text, rq->form->len);
		tdm_bytes_puts(b, "}}");
	}
	tdm_bytes_puts(b, ",\"stream\":true}");
	return TDM_OK;
}

// --- what is answered

// prompt = what was read anew + what came from the upstream's cache + what was put into it.
static void read_usage(struct tdm_upstream *u, const struct tdm_value *usage) {
	double input = tdm_get_number(usage, "input_tokens", -1),
	       cached = tdm_get_number(usage, "cache_read_input_tokens", 0),
	       put = tdm_get_number(usage, "cache_creation_input_tokens", 0);
	if (!usage)
		return;
	bool has = input >= 0 && cached >= 0 && put >= 0;
	tdm_upstream_usage(u, has ? input + cached + put : -1, tdm_get_number(usage, "output_tokens", -1),
	                   has ? cached : -1);
}

static int64_t index_of(const struct tdm_value *event) {
	return (int64_t)fmin(tdm_get_number(event, "index", 0), 1e9);
}

static int read_start(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *message = tdm_get(event, "message");
	tdm_upstream_model(u, tdm_get_string(message, "model"));
	read_usage(u, tdm_get(message, "usage"));
	return TDM_OK;
}

static int read_text(struct tdm_upstream *u, const struct tdm_value *map, const char *key) {
	const struct tdm_value *text = tdm_get(map, key);
	return text && text->type == TDM_STRING ? tdm_upstream_text(u, text->text, text->len) : TDM_OK;
}

static int read_thought(struct tdm_upstream *u, const struct tdm_value *map) {
	const struct tdm_value *text = tdm_get(map, "thinking");
	return text && text->type == TDM_STRING ? tdm_upstream_thought(u, text->text, text->len) : TDM_OK;
}

// A block may begin with words of its own; a call's input is {} until its deltas, or whole where there are none.
static int read_block(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *block = tdm_get(event, "content_block"), *input = tdm_get(block, "input");
	const char *type = tdm_get_string(block, "type");
	if (!type)
		return TDM_OK;
	if (!strcmp(type, "text"))
		return read_text(u, block, "text");
	if (!strcmp(type, "thinking"))
		return read_thought(u, block);
	if (strcmp(type, "tool_use") != 0)
		return TDM_OK;
	return tdm_upstream_call(u, index_of(event), tdm_get_string(block, "id"), tdm_get_string(block, "name"),
	                         input && input->type == TDM_MAP && input->n ? input : NULL);
}

static int read_delta(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *delta = tdm_get(event, "delta");
	const char *type = tdm_get_string(delta, "type");
	if (!type)
		return TDM_OK;
	if (!strcmp(type, "text_delta"))
		return read_text(u, delta, "text");
	if (!strcmp(type, "thinking_delta"))
		return read_thought(u, delta);
	if (!strcmp(type, "input_json_delta"))
		return tdm_upstream_call(u, index_of(event), NULL, NULL, tdm_get(delta, "partial_json"));
	return TDM_OK; // a signature is for who sends the thought back, which nobody does
}

static int read_end(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	static const struct tdm_reason reasons[] = {
	    {"end_turn", TDM_FINISH_STOP},     {"stop_sequence", TDM_FINISH_STOP},
	    {"tool_use", TDM_FINISH_STOP},     {"pause_turn", TDM_FINISH_LENGTH},
	    {"max_tokens", TDM_FINISH_LENGTH}, {"model_context_window_exceeded", TDM_FINISH_LENGTH},
	    {"refusal", TDM_FINISH_FILTER},    {NULL, 0}};
	const struct tdm_value *delta = tdm_get(event, "delta");
	const char *reason = tdm_get_string(delta, "stop_reason");
	read_usage(u, tdm_get(event, "usage"));
	if (!reason || u->finished)
		return TDM_OK;
	tdm_upstream_stopped_by(u, tdm_get_string(delta, "stop_sequence"));
	return tdm_upstream_finish(u, reasons, reason);
}

static int read_stop(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	u->done = true;
	return TDM_OK;
}

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	static const struct {
		const char *type;
		int (*read)(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event);
		bool is_content;
	} types[] = {{"message_start", read_start, false},
	             {"content_block_start", read_block, true},
	             {"content_block_delta", read_delta, true},
	             {"message_delta", read_end, false},
	             {"message_stop", read_stop, false}};
	const char *type = tdm_get_string(event, "type");
	for (size_t i = 0; type && i < sizeof types / sizeof types[0]; i++) {
		if (strcmp(types[i].type, type) != 0)
			continue;
		u->n_dropped += types[i].is_content && u->finished;
		return types[i].is_content && u->finished ? TDM_OK : types[i].read(u, arena, event);
	}
	return type ? TDM_OK : tdm_upstream_bad(u, "an event without a type"); // ping, and what may come in time
}

const struct tdm_dialect tdm_dialect_anthropic = {
    .name = "anthropic",
    .path = "/messages",
    .key_header = "x-api-key",
    .key_prefix = "",
    .header = "anthropic-version: 2023-06-01",
    .can = TDM_CAN_TEXT | TDM_CAN_FORM | TDM_CAN_TOOLS,
    .knows = TDM_KNOWS_STOP | TDM_KNOWS_TOP_K,
    .write = write_request,
    .read = read_event,
};
