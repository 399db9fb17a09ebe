// Responses, writing: an answer as a list of items: thoughts, words, calls. A stream says everything twice: each item
// is added, grows by deltas, and is done with all of it again; the last event has the whole answer. Events are numbered
// without gaps. A stream that fails has response.failed, which not every client raises, and then error.
#include "base/clock.h"
#include "base/random.h"
#include "serve/formats/format.h"
#include "serve/formats/responses.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct item {
	enum tdm_piece piece; // words, thoughts, or a call
	const char *id, *call_id, *status;
	const struct tdm_bytes *name, *text, *logprobs;
};

static const char *prefix_of(enum tdm_piece piece) {
	return piece == TDM_PIECE_TEXT ? "msg_" : piece == TDM_PIECE_THOUGHT ? "rs_" : "fc_";
}

// --- parts and items

static void put_logprobs(struct tdm_bytes *out, const struct tdm_bytes *entries) {
	tdm_bytes_join(out, ",\"logprobs\":[", entries && entries->data ? entries->data : "", "]");
}

// text NULL: an empty one, that grows.
static void put_part(struct tdm_bytes *out, enum tdm_piece piece, const struct tdm_bytes *text,
                     const struct tdm_bytes *logprobs) {
	static const struct tdm_bytes nothing;
	bool is_text = piece == TDM_PIECE_TEXT;
	tdm_bytes_join(out, "{\"type\":\"", is_text ? "output_text" : "summary_text", "\"");
	tdm_put_bytes(out, ",\"text\":", text ? text : &nothing);
	if (is_text) {
		tdm_bytes_puts(out, ",\"annotations\":[]");
		put_logprobs(out, logprobs);
	}
	tdm_bytes_putc(out, '}');
}

// An item in progress is empty.
static void put_item(struct tdm_bytes *out, const struct item *item) {
	static const char *const types[] = {"message", "reasoning", "function_call"};
	bool grows = !strcmp(item->status, "in_progress"), is_call = item->piece == TDM_PIECE_CALL;
	tdm_put_string(out, "{\"id\":", item->id);
	tdm_bytes_join(out, ",\"type\":\"", types[item->piece], "\"");
	tdm_bytes_join(out, ",\"status\":\"", item->status, "\"");
	if (is_call) {
		tdm_put_string(out, ",\"call_id\":", item->call_id);
		tdm_put_bytes(out, ",\"name\":", item->name);
		if (grows)
			tdm_bytes_puts(out, ",\"arguments\":\"\"");
		else
			tdm_put_bytes(out, ",\"arguments\":", item->text);
	} else {
		tdm_bytes_puts(out, item->piece == TDM_PIECE_TEXT ? ",\"role\":\"assistant\",\"content\":[" : ",\"summary\":[");
		if (!grows)
			put_part(out, item->piece, item->text, item->logprobs);
		tdm_bytes_putc(out, ']');
	}
	tdm_bytes_putc(out, '}');
}

// --- the whole object

struct state {
	const char *status, *why; // why it is incomplete
	const struct tdm_error *err;
	const struct tdm_chat_usage *usage;
	const char *receipt;
	bool ended;
};

static struct state state_of(const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt) {
	static const char *const why[] = {NULL, "max_output_tokens", "content_filter", NULL};
	const char *reason = why[result->finish];
	return (struct state){reason ? "incomplete" : "completed", reason, NULL, usage, receipt, true};
}

static void put_usage(struct tdm_bytes *out, const struct tdm_chat_usage *u) {
	tdm_bytes_puts(out, ",\"usage\":");
	if (!u || (!u->prompt_tokens && !u->completion_tokens)) {
		tdm_bytes_puts(out, "null");
		return;
	}
	tdm_bytes_named(out, "{\"input_tokens\":", u->prompt_tokens);
	tdm_bytes_named(out, ",\"input_tokens_details\":{\"cached_tokens\":", u->cached_tokens);
	tdm_bytes_named(out, "},\"output_tokens\":", u->completion_tokens);
	tdm_bytes_named(out, ",\"output_tokens_details\":{\"reasoning_tokens\":", u->reasoning_tokens);
	tdm_bytes_named(out, "},\"total_tokens\":", u->prompt_tokens + u->completion_tokens);
	tdm_bytes_putc(out, '}');
}

static void put_head(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct state *s) {
	tdm_put_string(out, "{\"id\":", h->id);
	tdm_bytes_named(out, ",\"object\":\"response\",\"created_at\":", h->created_s);
	tdm_bytes_puts(out, ",\"completed_at\":");
	if (s->ended)
		tdm_bytes_integer(out, tdm_wall_us() / 1000000);
	else
		tdm_bytes_puts(out, "null");
	tdm_bytes_join(out, ",\"status\":\"", s->status, "\"");
	tdm_put_string(out, ",\"model\":", h->model);
	tdm_bytes_puts(out, ",\"output\":[");
}

static void put_tail(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct state *s) {
	tdm_bytes_puts(out, "],\"error\":");
	if (s->err) {
		tdm_put_string(out, "{\"code\":", tdm_status_info(s->err->status)->code);
		tdm_put_string(out, ",\"message\":", s->err->text[0] ? s->err->text : "the request failed");
		tdm_bytes_putc(out, '}');
	} else {
		tdm_bytes_puts(out, "null");
	}
	if (s->why)
		tdm_bytes_join(out, ",\"incomplete_details\":{\"reason\":\"", s->why, "\"},");
	else
		tdm_bytes_puts(out, ",\"incomplete_details\":null,");
	tdm_bytes_puts(out, h->echo ? h->echo : "\"metadata\":{}");
	put_usage(out, s->usage);
	tdm_put_receipt(out, s->receipt);
	tdm_bytes_putc(out, '}');
}

// --- as a stream

static void event(struct tdm_bytes *out, struct tdm_stream *s, const char *name) {
	tdm_bytes_join(out, "event: ", name, "\ndata: {\"type\":\"");
	tdm_bytes_join(out, "", name, "\",\"sequence_number\":");
	tdm_bytes_integer(out, s->n_events++);
}

static void end_event(struct tdm_bytes *out) {
	tdm_bytes_puts(out, "}\n\n");
}

static void response_event(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const char *name,
                           const struct state *state) {
	event(out, s, name);
	tdm_bytes_puts(out, ",\"response\":");
	size_t before = out->len;
	put_head(out, h, state);
	if (s->output.len)
		tdm_bytes_add(out, s->output.data, s->output.len);
	put_tail(out, h, state);
	if (h->store && state->ended && !state->err && !out->failed)
		tdm_bytes_add(&s->kept, out->data + before, out->len - before);
	end_event(out);
}

static void begin(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s) {
	struct state state = {.status = "in_progress"};
	response_event(out, h, s, "response.created", &state);
	response_event(out, h, s, "response.in_progress", &state);
}

static struct item open_item(const struct tdm_stream *s, const char *status) {
	enum tdm_piece piece = s->piece == TDM_PIECE_ARGUMENTS ? TDM_PIECE_CALL : s->piece;
	return (struct item){piece, s->item_id, s->call_id, status, &s->name, &s->text, &s->logprobs};
}

// An event about the open item: `name` begins as its sort of items does, or is the whole name.
static void item_event(struct tdm_bytes *out, struct tdm_stream *s, const char *name) {
	event(out, s, name);
	tdm_put_string(out, ",\"item_id\":", s->item_id);
	tdm_bytes_named(out, ",\"output_index\":", s->n_blocks - 1);
	if (s->piece == TDM_PIECE_TEXT)
		tdm_bytes_puts(out, ",\"content_index\":0");
	else if (s->piece == TDM_PIECE_THOUGHT)
		tdm_bytes_puts(out, ",\"summary_index\":0");
}

static void put_open_item(struct tdm_bytes *out, struct tdm_stream *s, const char *name, const char *status) {
	struct item item = open_item(s, status);
	event(out, s, name);
	tdm_bytes_named(out, ",\"output_index\":", s->n_blocks - 1);
	tdm_bytes_puts(out, ",\"item\":");
	put_item(out, &item);
	end_event(out);
}

static void begin_item(struct tdm_bytes *out, struct tdm_stream *s, enum tdm_piece piece) {
	s->piece = piece;
	s->n_blocks++;
	s->n_logprobs = 0;
	tdm_bytes_clear(&s->text);
	tdm_bytes_clear(&s->logprobs);
	tdm_make_id(s->item_id, prefix_of(piece));
	put_open_item(out, s, "response.output_item.added", "in_progress");
	if (piece == TDM_PIECE_CALL)
		return;
	item_event(out, s,
	           piece == TDM_PIECE_TEXT ? "response.content_part.added" : "response.reasoning_summary_part.added");
	tdm_bytes_puts(out, ",\"part\":");
	put_part(out, piece, NULL, NULL);
	end_event(out);
}

static void end_call(struct tdm_bytes *out, struct tdm_stream *s) {
	item_event(out, s, "response.function_call_arguments.done");
	tdm_put_bytes(out, ",\"name\":", &s->name);
	tdm_put_bytes(out, ",\"arguments\":", &s->text);
	end_event(out);
}

static void end_part(struct tdm_bytes *out, struct tdm_stream *s) {
	bool is_text = s->piece == TDM_PIECE_TEXT;
	item_event(out, s, is_text ? "response.output_text.done" : "response.reasoning_summary_text.done");
	tdm_put_bytes(out, ",\"text\":", &s->text);
	if (is_text)
		put_logprobs(out, &s->logprobs);
	end_event(out);
	item_event(out, s, is_text ? "response.content_part.done" : "response.reasoning_summary_part.done");
	tdm_bytes_puts(out, ",\"part\":");
	put_part(out, s->piece, &s->text, &s->logprobs);
	end_event(out);
}

// The open item goes to what has ended.
static void keep_item(struct tdm_stream *s, const char *status) {
	struct item item = open_item(s, status);
	if (s->output.len)
		tdm_bytes_putc(&s->output, ',');
	put_item(&s->output, &item);
}

static void end_item(struct tdm_bytes *out, struct tdm_stream *s, const char *status) {
	if (!s->n_blocks)
		return;
	if (s->piece == TDM_PIECE_CALL)
		end_call(out, s);
	else
		end_part(out, s);
	put_open_item(out, s, "response.output_item.done", status);
	keep_item(s, status);
}

static void put_delta(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                      const struct tdm_event *e, bool logprobs) {
	static const char *const names[] = {
	    [TDM_PIECE_TEXT] = "response.output_text.delta",
	    [TDM_PIECE_THOUGHT] = "response.reasoning_summary_text.delta",
	    [TDM_PIECE_ARGUMENTS] = "response.function_call_arguments.delta",
	};
	int n = 0;
	item_event(out, s, names[e->piece]);
	tdm_bytes_puts(out, ",\"delta\":");
	tdm_bytes_json(out, e->text, e->len);
	tdm_bytes_add(&s->text, e->text, e->len);
	if (e->piece == TDM_PIECE_TEXT) {
		tdm_bytes_puts(out, ",\"logprobs\":[");
		if (logprobs) {
			tdm_chat_logprob(out, e, &n);
			tdm_chat_logprob(&s->logprobs, e, &s->n_logprobs);
		}
		tdm_bytes_putc(out, ']');
	}
	tdm_chat_put_trace(out, h, ",\"tandem\":", e);
	end_event(out);
}

static void piece(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const struct tdm_event *e,
                  bool logprobs) {
	bool goes_on = s->n_blocks && (e->piece == s->piece || e->piece == TDM_PIECE_ARGUMENTS);
	if (!goes_on || e->piece == TDM_PIECE_CALL) {
		end_item(out, s, "completed");
		if (e->piece == TDM_PIECE_CALL) {
			tdm_bytes_clear(&s->name);
			tdm_bytes_add(&s->name, e->text, e->len);
			snprintf(s->call_id, sizeof s->call_id, "%s", e->call_id);
		}
		begin_item(out, s, e->piece);
	}
	if (e->piece != TDM_PIECE_CALL)
		put_delta(out, h, s, e, logprobs);
}

static void finish(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                   const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt) {
	struct state state = state_of(result, usage, receipt);
	if (!s->n_blocks)
		begin_item(out, s, TDM_PIECE_TEXT); // an empty answer is an item too
	end_item(out, s, state.status);
	response_event(out, h, s, state.why ? "response.incomplete" : "response.completed", &state);
}

static void end(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *usage,
                const char *receipt) {}

static void fail(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                 const struct tdm_error *err, const char *request_id, const char *receipt) {
	struct state state = {.status = "failed", .err = err, .receipt = receipt, .ended = true};
	if (!s->n_events)
		begin(out, h, s);
	if (s->n_blocks)
		keep_item(s, "incomplete");
	response_event(out, h, s, "response.failed", &state);
	event(out, s, "error");
	tdm_put_string(out, ",\"code\":", tdm_status_info(err->status)->code);
	tdm_put_string(out, ",\"message\":", err->text[0] ? err->text : "the request failed");
	tdm_put_string(out, ",\"param\":", err->param[0] ? err->param : NULL);
	end_event(out);
}

// --- whole

static void put_one(struct tdm_bytes *out, const char **comma, struct item *item) {
	char id[TDM_ID_BYTES];
	tdm_make_id(id, prefix_of(item->piece));
	item->id = id;
	tdm_bytes_puts(out, *comma);
	put_item(out, item);
	*comma = ",";
}

// What was cut is the last item.
static void put_items(struct tdm_bytes *out, const struct tdm_chat_choice *c, const char *status) {
	const char *comma = "", *words = c->calls ? "completed" : status;
	if (c->thought.len)
		put_one(out, &comma,
		        &(struct item){TDM_PIECE_THOUGHT, .status = c->text.len ? "completed" : words, .text = &c->thought});
	if (c->text.len || !(c->calls || c->thought.len))
		put_one(out, &comma,
		        &(struct item){TDM_PIECE_TEXT, .status = words, .text = &c->text, .logprobs = &c->logprobs});
	for (const struct tdm_chat_call *call = c->calls; call; call = call->next) {
		struct tdm_bytes name = {.data = call->name, .len = strlen(call->name)};
		put_one(out, &comma,
		        &(struct item){TDM_PIECE_CALL, .call_id = call->id, .status = call->next ? "completed" : status,
		                       .name = &name, .text = &call->arguments});
	}
}

static void whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
                  const struct tdm_chat_usage *usage, const char *receipt) {
	struct state state = state_of(&choices->result, usage, receipt);
	put_head(out, h, &state);
	put_items(out, choices, state.status);
	put_tail(out, h, &state);
}

static void error(struct tdm_bytes *out, const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_chat_error(out, err, receipt, false);
}

const struct tdm_format tdm_format_responses = {
    .endpoint = "responses",
    .id_prefix = "resp_",
    .ping = ": ping\n\n",
    .resolve = tdm_responses_resolve,
    .read = tdm_responses_read,
    .begin = begin,
    .piece = piece,
    .score = tdm_chat_score,
    .finish = finish,
    .end = end,
    .whole = whole,
    .error = error,
    .fail = fail,
    .keep = tdm_responses_keep,
};
