// Messages, writing: an answer in the shape of Anthropic's API. A stream is message_start, then for every block
// content_block_start, its deltas and content_block_stop, one block open at a time, then message_delta and
// message_stop.
#include "serve/formats/format.h"
#include "serve/formats/messages.h"
#include <string.h>

static const char *stop_reason(const struct tdm_result *result) {
	static const char *const names[] = {"end_turn", "max_tokens", "refusal", "tool_use"};
	return result->finish == TDM_FINISH_STOP && result->stop ? "stop_sequence" : names[result->finish];
}

static void put_usage(struct tdm_bytes *out, int64_t prompt, int64_t cached, int64_t completion) {
	tdm_bytes_named(out, "\"usage\":{\"input_tokens\":", prompt - cached);
	tdm_bytes_named(out, ",\"output_tokens\":", completion);
	tdm_bytes_named(out, ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":", cached);
	tdm_bytes_putc(out, '}');
}

static void put_head(struct tdm_bytes *out, const struct tdm_chat_head *h) {
	tdm_put_string(out, "{\"id\":", h->id);
	tdm_put_string(out, ",\"type\":\"message\",\"role\":\"assistant\",\"model\":", h->model);
}

// --- as a stream

static void event(struct tdm_bytes *out, const char *name) {
	tdm_bytes_join(out, "event: ", name, "\ndata: {\"type\":\"");
	tdm_bytes_join(out, "", name, "\"");
}

static void begin(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s) {
	event(out, "message_start");
	tdm_bytes_puts(out, ",\"message\":");
	put_head(out, h);
	tdm_bytes_puts(out, ",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
	put_usage(out, h->prompt_estimate, 0, 0);
	tdm_put_string(out, ",\"tandem\":{\"receipt\":", h->receipt_id);
	tdm_bytes_puts(out, "}}}\n\n");
}

static void end_block(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_stream *s) {
	if (!s->n_blocks)
		return;
	if (s->piece == TDM_PIECE_THOUGHT) {
		event(out, "content_block_delta");
		tdm_bytes_named(out, ",\"index\":", s->n_blocks - 1);
		tdm_put_string(out, ",\"delta\":{\"type\":\"signature_delta\",\"signature\":",
		               h->id); // opaque to clients, and not looked at when it comes back
		tdm_bytes_puts(out, "}}\n\n");
	}
	event(out, "content_block_stop");
	tdm_bytes_named(out, ",\"index\":", s->n_blocks - 1);
	tdm_bytes_puts(out, "}\n\n");
}

static void begin_block(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                        const struct tdm_event *e) {
	end_block(out, h, s);
	s->piece = e->piece;
	event(out, "content_block_start");
	tdm_bytes_named(out, ",\"index\":", s->n_blocks++);
	tdm_bytes_puts(out, ",\"content_block\":");
	if (e->piece == TDM_PIECE_CALL) {
		tdm_put_string(out, "{\"type\":\"tool_use\",\"id\":", e->call_id);
		tdm_bytes_puts(out, ",\"name\":");
		tdm_bytes_json(out, e->text, e->len);
		tdm_bytes_puts(out, ",\"input\":{}}}\n\n");
	} else {
		tdm_bytes_puts(out, e->piece == TDM_PIECE_TEXT
		                        ? "{\"type\":\"text\",\"text\":\"\"}}\n\n"
		                        : "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}}\n\n");
	}
}

static void piece(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const struct tdm_event *e,
                  bool logprobs) {
	static const char *const deltas[] = {
	    [TDM_PIECE_TEXT] = "\"text_delta\",\"text\":",
	    [TDM_PIECE_THOUGHT] = "\"thinking_delta\",\"thinking\":",
	    [TDM_PIECE_ARGUMENTS] = "\"input_json_delta\",\"partial_json\":",
	};
	bool goes_on = s->n_blocks && (e->piece == s->piece || e->piece == TDM_PIECE_ARGUMENTS);
	if (!goes_on || e->piece == TDM_PIECE_CALL)
		begin_block(out, h, s, e);
	if (e->piece == TDM_PIECE_CALL)
		return;
	event(out, "content_block_delta");
	tdm_bytes_named(out, ",\"index\":", s->n_blocks - 1);
	tdm_bytes_join(out, ",\"delta\":{\"type\":", deltas[e->piece], "");
	tdm_bytes_json(out, e->text, e->len);
	tdm_bytes_putc(out, '}');
	tdm_chat_put_trace(out, h, ",\"tandem\":", e);
	tdm_bytes_puts(out, "}\n\n");
}

static void finish(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                   const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt) {
	end_block(out, h, s);
	event(out, "message_delta");
	tdm_put_string(out, ",\"delta\":{\"stop_reason\":", stop_reason(result));
	tdm_put_string(out, ",\"stop_sequence\":", result->finish == TDM_FINISH_STOP ? result->stop : NULL);
	tdm_bytes_puts(out, "},");
	put_usage(out, usage->prompt_tokens, usage->cached_tokens, usage->completion_tokens);
	tdm_put_receipt(out, receipt);
	tdm_bytes_puts(out, "}\n\n");
}

static void end(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *usage,
                const char *receipt) {
	event(out, "message_stop");
	tdm_bytes_puts(out, "}\n\n");
}

// --- whole

static void put_content(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *c) {
	const char *comma = "";
	if (c->thought.len) {
		tdm_put_bytes(out, "{\"type\":\"thinking\",\"thinking\":", &c->thought);
		tdm_put_string(out, ",\"signature\":", h->id);
		tdm_bytes_putc(out, '}');
		comma = ",";
	}
	if (c->text.len) {
		tdm_bytes_puts(out, comma);
		tdm_put_bytes(out, "{\"type\":\"text\",\"text\":", &c->text);
		tdm_bytes_putc(out, '}');
		comma = ",";
	}
	for (const struct tdm_chat_call *call = c->calls; call; call = call->next) {
		tdm_bytes_puts(out, comma);
		tdm_put_string(out, "{\"type\":\"tool_use\",\"id\":", call->id);
		tdm_put_string(out, ",\"name\":", call->name);
		tdm_bytes_puts(out, ",\"input\":");
		// Arguments cut by the length of the answer are no JSON: the object is empty then.
		bool is_whole = c->result.finish == TDM_FINISH_CALLS && call->arguments.len;
		tdm_bytes_puts(out, is_whole ? call->arguments.data : "{}");
		tdm_bytes_putc(out, '}');
		comma = ",";
	}
}

static void whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
                  const struct tdm_chat_usage *usage, const char *receipt) {
	put_head(out, h);
	tdm_bytes_puts(out, ",\"content\":[");
	put_content(out, h, choices);
	tdm_put_string(out, "],\"stop_reason\":", stop_reason(&choices->result));
	tdm_put_string(out, ",\"stop_sequence\":", choices->result.finish == TDM_FINISH_STOP ? choices->result.stop : NULL);
	tdm_bytes_putc(out, ',');
	put_usage(out, usage->prompt_tokens, usage->cached_tokens, usage->completion_tokens);
	tdm_put_receipt(out, receipt);
	tdm_bytes_putc(out, '}');
}

static void error(struct tdm_bytes *out, const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_put_string(out, "{\"type\":\"error\",\"error\":{\"type\":", tdm_status_info(err->status)->messages);
	tdm_put_string(out, ",\"message\":", err->text[0] ? err->text : "the request failed");
	tdm_put_string(out, "},\"request_id\":", request_id);
	tdm_put_receipt(out, receipt);
	tdm_bytes_putc(out, '}');
}

static void fail(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                 const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_bytes_puts(out, "event: error\ndata: ");
	error(out, err, request_id, receipt);
	tdm_bytes_puts(out, "\n\n");
}

const struct tdm_format tdm_format_messages = {
    .endpoint = "messages",
    .id_prefix = "msg_",
    .ping = "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    .read = tdm_messages_read,
    .begin = begin,
    .piece = piece,
    .finish = finish,
    .end = end,
    .whole = whole,
    .error = error,
    .fail = fail,
};
