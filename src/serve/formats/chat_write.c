// Chat completions, writing.
#include "serve/formats/chat_write.h"
#include "serve/formats/format.h"
#include <math.h>
#include <string.h>

const char *tdm_finish_name(const struct tdm_chat_head *h, enum tdm_finish finish) {
	static const char *const names[] = {"stop", "length", "content_filter", "tool_calls"};
	return h->older_tools && finish == TDM_FINISH_CALLS ? "function_call" : names[finish];
}

static void put_text(struct tdm_bytes *out, const char *text) {
	tdm_bytes_json(out, text, strlen(text));
}

void tdm_chat_put_head(struct tdm_bytes *out, const struct tdm_chat_head *h, const char *object) {
	tdm_bytes_puts(out, "{\"id\":");
	put_text(out, h->id);
	tdm_bytes_join(out, ",\"object\":\"", object, "\",\"created\":");
	tdm_bytes_integer(out, h->created_s);
	tdm_bytes_puts(out, ",\"model\":");
	put_text(out, h->model);
	tdm_bytes_puts(out, ",\"system_fingerprint\":");
	put_text(out, h->fingerprint);
}

// What the chunks of a choice begin with is written once.
static void chunk_begin(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s) {
	if (!s->same.len) {
		tdm_bytes_puts(&s->same, "data: ");
		tdm_chat_put_head(&s->same, h, "chat.completion.chunk");
		tdm_bytes_named(&s->same, ",\"choices\":[{\"index\":", s->index);
		tdm_bytes_puts(&s->same, ",\"delta\":");
	}
	tdm_bytes_add(out, s->same.data, s->same.len);
}

static void chunk_end(struct tdm_bytes *out, const struct tdm_chat_head *h, const char *finish, const char *receipt) {
	if (finish)
		tdm_bytes_join(out, ",\"finish_reason\":\"", finish, "\"}]");
	else
		tdm_bytes_puts(out, ",\"finish_reason\":null}]");
	if (h->include_usage)
		tdm_bytes_puts(out, ",\"usage\":null");
	tdm_put_receipt(out, receipt);
	tdm_bytes_puts(out, "}\n\n");
}

static void put_bytes(struct tdm_bytes *out, const char *text, size_t n) {
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < n; i++)
		tdm_bytes_named(out, i ? "," : "", (unsigned char)text[i]);
	tdm_bytes_putc(out, ']');
}

static void put_candidate(struct tdm_bytes *out, const char *text, size_t n, double logprob) {
	tdm_bytes_puts(out, "{\"token\":");
	tdm_bytes_json(out, text, n);
	tdm_bytes_puts(out, ",\"logprob\":");
	tdm_bytes_number(out, logprob);
	tdm_bytes_puts(out, ",\"bytes\":");
	put_bytes(out, text, n);
}

static void put_entry(struct tdm_bytes *out, const struct tdm_scored *token, int *n) {
	if (!isfinite(token->logprob))
		return;
	if ((*n)++)
		tdm_bytes_putc(out, ',');
	put_candidate(out, token->text, token->len, token->logprob);
	tdm_bytes_puts(out, ",\"top_logprobs\":[");
	for (int i = 0; i < token->n_alternatives; i++) {
		const struct tdm_alternative *a = &token->alternatives[i];
		if (i)
			tdm_bytes_putc(out, ',');
		put_candidate(out, a->text, a->len, a->logprob);
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_puts(out, "]}");
}

void tdm_chat_logprob(struct tdm_bytes *out, const struct tdm_event *e, int *n) {
	struct tdm_scored whole = {e->text, e->len, e->logprob, e->alternatives, e->n_alternatives};
	for (int i = 0; i < e->n_parts; i++)
		put_entry(out, &e->parts[i], n);
	if (!e->n_parts)
		put_entry(out, &whole, n);
}

static void put_member(struct tdm_bytes *out, const char *name, const char *text, size_t n) {
	tdm_bytes_puts(out, name);
	tdm_bytes_json(out, text, n);
}

static void put_call_piece(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_event *e, int call) {
	bool begins = e->piece == TDM_PIECE_CALL;
	if (h->older_tools)
		tdm_bytes_puts(out, "{\"function_call\":{");
	else
		tdm_bytes_named(out, "{\"tool_calls\":[{\"index\":", call);
	if (begins && !h->older_tools) {
		put_member(out, ",\"id\":", e->call_id, strlen(e->call_id));
		tdm_bytes_puts(out, ",\"type\":\"function\"");
	}
	if (!h->older_tools)
		tdm_bytes_puts(out, ",\"function\":{");
	put_member(out, begins ? "\"name\":" : "\"arguments\":", e->text, e->len);
	if (begins)
		tdm_bytes_puts(out, ",\"arguments\":\"\"");
	tdm_bytes_puts(out, h->older_tools ? "}}" : "}}]}");
}

void tdm_chat_put_trace(struct tdm_bytes *out, const struct tdm_chat_head *h, const char *before,
                        const struct tdm_event *e) {
	if (!h->trace || !e->author)
		return;
	tdm_bytes_puts(out, before);
	put_member(out, "{\"author\":", e->author, strlen(e->author));
	if (e->drafter)
		put_member(out, ",\"drafter\":", e->drafter, strlen(e->drafter));
	tdm_bytes_putc(out, '}');
}

static void end_piece(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_event *e) {
	struct tdm_bytes tandem;
	if (!h->trace || !e->author) {
		chunk_end(out, h, NULL, NULL);
		return;
	}
	tdm_bytes_init(&tandem, 4096);
	tdm_chat_put_trace(&tandem, h, "", e);
	chunk_end(out, h, NULL, tandem.data);
	tdm_bytes_release(&tandem);
}

void tdm_chat_put_usage(struct tdm_bytes *out, const struct tdm_chat_usage *u) {
	tdm_bytes_named(out, "\"usage\":{\"prompt_tokens\":", u->prompt_tokens);
	tdm_bytes_named(out, ",\"completion_tokens\":", u->completion_tokens);
	tdm_bytes_named(out, ",\"total_tokens\":", u->prompt_tokens + u->completion_tokens);
	tdm_bytes_named(out, ",\"prompt_tokens_details\":{\"cached_tokens\":", u->cached_tokens);
	tdm_bytes_named(out, "},\"completion_tokens_details\":{\"reasoning_tokens\":", u->reasoning_tokens);
	tdm_bytes_puts(out, ",\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}");
}

void tdm_chat_chunk_usage(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *u,
                          const char *receipt) {
	tdm_bytes_puts(out, "data: ");
	tdm_chat_put_head(out, h, "chat.completion.chunk");
	tdm_bytes_puts(out, ",\"choices\":[],");
	tdm_chat_put_usage(out, u);
	tdm_put_receipt(out, receipt);
	tdm_bytes_puts(out, "}\n\n");
}

void tdm_chat_done(struct tdm_bytes *out) {
	tdm_bytes_puts(out, "data: [DONE]\n\n");
}

static void put_bytes_member(struct tdm_bytes *out, const char *name, const struct tdm_bytes *text) {
	put_member(out, name, text->data ? text->data : "", text->len);
}

static void put_calls(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_call *calls) {
	if (calls)
		tdm_bytes_puts(out, h->older_tools ? ",\"function_call\":" : ",\"tool_calls\":[");
	for (const struct tdm_chat_call *c = calls; c; c = c->next) {
		if (!h->older_tools) {
			put_member(out, "{\"id\":", c->id, strlen(c->id));
			tdm_bytes_puts(out, ",\"type\":\"function\",\"function\":");
		}
		put_member(out, "{\"name\":", c->name, strlen(c->name));
		put_bytes_member(out, ",\"arguments\":", &c->arguments);
		tdm_bytes_puts(out, h->older_tools ? "}" : c->next ? "}}," : "}}]");
		if (h->older_tools)
			break; // that shape has room for one
	}
}

static void put_choice(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *c,
                       int index) {
	tdm_bytes_named(out, "{\"index\":", index);
	tdm_bytes_puts(out, ",\"message\":{\"role\":\"assistant\",\"content\":");
	if (c->calls && !c->text.len)
		tdm_bytes_puts(out, "null");
	else
		put_bytes_member(out, "", &c->text);
	if (c->thought.len)
		put_bytes_member(out, ",\"reasoning_content\":", &c->thought);
	put_calls(out, h, c->calls);
	tdm_bytes_puts(out, ",\"refusal\":null},\"logprobs\":");
	if (c->has_logprobs)
		tdm_bytes_join(out, "{\"content\":[", c->logprobs.data ? c->logprobs.data : "", "],\"refusal\":null}");
	else
		tdm_bytes_puts(out, "null");
	tdm_bytes_join(out, ",\"finish_reason\":\"", tdm_finish_name(h, c->result.finish), "\"}");
}

void tdm_chat_whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
                    const struct tdm_chat_usage *u, const char *receipt) {
	tdm_chat_put_head(out, h, "chat.completion");
	tdm_bytes_puts(out, ",\"choices\":[");
	for (int i = 0; i < n; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		put_choice(out, h, &choices[i], i);
	}
	tdm_bytes_puts(out, "],");
	tdm_chat_put_usage(out, u);
	tdm_put_receipt(out, receipt);
	tdm_bytes_putc(out, '}');
}

void tdm_chat_error(struct tdm_bytes *out, const struct tdm_error *err, const char *receipt, bool event) {
	const struct tdm_status_info *info = tdm_status_info(err->status);
	tdm_bytes_puts(out, event ? "data: {\"error\":{\"message\":" : "{\"error\":{\"message\":");
	put_text(out, err->text[0] ? err->text : "the request failed");
	tdm_bytes_join(out, ",\"type\":\"", info->type, "\",\"param\":");
	if (err->param[0])
		put_text(out, err->param);
	else
		tdm_bytes_puts(out, "null");
	tdm_bytes_join(out, ",\"code\":\"", info->code, "\"}");
	tdm_put_receipt(out, receipt);
	tdm_bytes_puts(out, event ? "}\n\n" : "}");
}

// --- the table

static void begin(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s) {
	chunk_begin(out, h, s);
	tdm_bytes_puts(out, "{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null");
	chunk_end(out, h, NULL, NULL);
}

static void piece(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const struct tdm_event *e,
                  bool logprobs) {
	bool is_text = e->piece == TDM_PIECE_TEXT;
	int n = 0;
	s->n_calls += e->piece == TDM_PIECE_CALL;
	chunk_begin(out, h, s);
	if (is_text || e->piece == TDM_PIECE_THOUGHT) {
		put_member(out, is_text ? "{\"content\":" : "{\"reasoning_content\":", e->text, e->len);
		tdm_bytes_putc(out, '}');
	} else {
		put_call_piece(out, h, e, s->n_calls - 1);
	}
	tdm_bytes_puts(out, ",\"logprobs\":");
	if (logprobs && is_text && isfinite(e->logprob)) {
		tdm_bytes_puts(out, "{\"content\":[");
		tdm_chat_logprob(out, e, &n);
		tdm_bytes_puts(out, "],\"refusal\":null}");
	} else {
		tdm_bytes_puts(out, "null");
	}
	end_piece(out, h, e);
}

static void finish(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                   const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt) {
	chunk_begin(out, h, s);
	tdm_bytes_puts(out, "{},\"logprobs\":null");
	chunk_end(out, h, tdm_finish_name(h, result->finish), receipt);
}

static void end(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *usage,
                const char *receipt) {
	if (h->include_usage)
		tdm_chat_chunk_usage(out, h, usage, receipt);
	tdm_chat_done(out);
}

void tdm_chat_score(struct tdm_chat_choice *choice, const struct tdm_event *e) {
	tdm_chat_logprob(&choice->logprobs, e, &choice->n_logprobs);
}

static void error(struct tdm_bytes *out, const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_chat_error(out, err, receipt, false);
}

static void fail(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                 const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_chat_error(out, err, receipt, true);
}

const struct tdm_format tdm_format_chat = {
    .endpoint = "chat.completions",
    .id_prefix = "chatcmpl-",
    .ping = ": ping\n\n",
    .read = tdm_chat_read,
    .begin = begin,
    .piece = piece,
    .score = tdm_chat_score,
    .finish = finish,
    .end = end,
    .whole = tdm_chat_whole,
    .error = error,
    .fail = fail,
};

void tdm_put_string(struct tdm_bytes *out, const char *before, const char *text) {
	tdm_bytes_puts(out, before);
	if (text)
		tdm_bytes_json(out, text, strlen(text));
	else
		tdm_bytes_puts(out, "null");
}

void tdm_put_receipt(struct tdm_bytes *out, const char *receipt) {
	if (!receipt)
		return;
	tdm_bytes_puts(out, ",\"tandem\":");
	tdm_bytes_puts(out, receipt);
}

void tdm_put_bytes(struct tdm_bytes *out, const char *before, const struct tdm_bytes *text) {
	tdm_bytes_puts(out, before);
	tdm_bytes_json(out, text->data ? text->data : "", text->len);
}
