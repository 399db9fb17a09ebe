// Completions, writing: text that goes on, whole or as a stream of chunks.
//
// Order of a stream: of every choice the prompt where it is to be echoed, pieces of text, a finish chunk, mixed with
// those of the others (the very last one carries the receipt), the usage chunk when asked for, [DONE].
#include "serve/formats/completions.h"
#include "serve/formats/format.h"

static void put_choice(struct tdm_bytes *out, int index, const struct tdm_bytes *before, const char *text, size_t n) {
	tdm_bytes_named(out, "{\"index\":", index);
	tdm_bytes_puts(out, ",\"text\":");
	if (before->len) {
		struct tdm_bytes both;
		tdm_bytes_init(&both, before->limit);
		tdm_bytes_add(&both, before->data, before->len);
		tdm_bytes_add(&both, text, n);
		tdm_bytes_json(out, both.data, both.len);
		out->failed |= both.failed;
		tdm_bytes_release(&both);
	} else {
		tdm_bytes_json(out, text ? text : "", text ? n : 0);
	}
}

// What the prompt's tokens are, as columns of their own. No echo: no entries.
static void echo_columns(struct tdm_columns *c, const struct tdm_shown *shown) {
	tdm_columns_init(c, "", 0);
	for (int i = 0; shown->echo && i < shown->echo->n; i++)
		tdm_columns_token(c, &shown->echo->tokens[i]);
}

static void chunk(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_stream *s, const char *text,
                  size_t n, const struct tdm_columns *columns) {
	static const struct tdm_bytes none;
	tdm_bytes_puts(out, "data: ");
	tdm_chat_put_head(out, h, "text_completion");
	tdm_bytes_puts(out, ",\"choices\":[");
	put_choice(out, s->index, &none, text, n);
	tdm_bytes_puts(out, ",\"logprobs\":");
	if (columns)
		tdm_columns_write(out, columns, NULL);
	else
		tdm_bytes_puts(out, "null");
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

static void begin(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s) {
	const struct tdm_message *prompt = &s->shown.prompt->message;
	struct tdm_columns columns;
	if (!s->shown.is_echoed)
		return;
	echo_columns(&columns, &s->shown);
	chunk(out, h, s, prompt->text, prompt->len, s->shown.has_logprobs ? &columns : NULL);
	chunk_end(out, h, NULL, NULL);
	out->failed |= columns.tokens.failed;
	tdm_columns_release(&columns);
}

static void piece(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s, const struct tdm_event *e,
                  bool logprobs) {
	if (e->piece != TDM_PIECE_TEXT)
		return;
	if (s->shown.has_logprobs) {
		tdm_columns_clear(s->shown.columns);
		tdm_columns_event(s->shown.columns, e);
	}
	struct tdm_bytes trace;
	tdm_bytes_init(&trace, 4096);
	tdm_chat_put_trace(&trace, h, "", e);
	chunk(out, h, s, e->text, e->len, s->shown.has_logprobs ? s->shown.columns : NULL);
	chunk_end(out, h, NULL, trace.data);
	tdm_bytes_release(&trace);
}

static void finish(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                   const struct tdm_result *result, const struct tdm_chat_usage *usage, const char *receipt) {
	struct tdm_columns *columns = s->shown.has_logprobs && result->end ? s->shown.columns : NULL;
	if (columns) {
		tdm_columns_clear(columns);
		tdm_columns_token(columns, result->end);
	}
	chunk(out, h, s, "", 0, columns);
	chunk_end(out, h, tdm_finish_name(h, result->finish), receipt);
}

static void end(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_usage *usage,
                const char *receipt) {
	if (h->include_usage) {
		tdm_bytes_puts(out, "data: ");
		tdm_chat_put_head(out, h, "text_completion");
		tdm_bytes_puts(out, ",\"choices\":[],");
		tdm_chat_put_usage(out, usage);
		tdm_put_receipt(out, receipt);
		tdm_bytes_puts(out, "}\n\n");
	}
	tdm_chat_done(out);
}

static void score(struct tdm_chat_choice *choice, const struct tdm_event *e) {
	tdm_columns_event(choice->shown.columns, e);
}

static void put_whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *c,
                      int index) {
	const struct tdm_message *prompt = &c->shown.prompt->message;
	struct tdm_bytes before = {.limit = (size_t)256 << 20};
	struct tdm_columns columns;
	if (c->shown.is_echoed)
		tdm_bytes_add(&before, prompt->text, prompt->len);
	put_choice(out, index, &before, c->text.data ? c->text.data : "", c->text.len);
	tdm_bytes_release(&before);
	tdm_bytes_puts(out, ",\"logprobs\":");
	if (c->shown.has_logprobs) {
		echo_columns(&columns, &c->shown);
		if (c->result.end)
			tdm_columns_token(c->shown.columns, c->result.end);
		tdm_columns_write(out, &columns, c->shown.columns);
		tdm_columns_release(&columns);
	} else {
		tdm_bytes_puts(out, "null");
	}
	tdm_bytes_join(out, ",\"finish_reason\":\"", tdm_finish_name(h, c->result.finish), "\"}");
}

static void whole(struct tdm_bytes *out, const struct tdm_chat_head *h, const struct tdm_chat_choice *choices, int n,
                  const struct tdm_chat_usage *usage, const char *receipt) {
	tdm_chat_put_head(out, h, "text_completion");
	tdm_bytes_puts(out, ",\"choices\":[");
	for (int i = 0; i < n; i++) {
		if (i)
			tdm_bytes_putc(out, ',');
		put_whole(out, h, &choices[i], i);
	}
	tdm_bytes_puts(out, "],");
	tdm_chat_put_usage(out, usage);
	tdm_put_receipt(out, receipt);
	tdm_bytes_putc(out, '}');
}

static void error(struct tdm_bytes *out, const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_chat_error(out, err, receipt, false);
}

static void fail(struct tdm_bytes *out, const struct tdm_chat_head *h, struct tdm_stream *s,
                 const struct tdm_error *err, const char *request_id, const char *receipt) {
	tdm_chat_error(out, err, receipt, true);
}

const struct tdm_format tdm_format_completions = {
    .endpoint = "completions",
    .id_prefix = "cmpl-",
    .ping = ": ping\n\n",
    .read = tdm_completions_read,
    .fit = tdm_completions_fit,
    .begin = begin,
    .piece = piece,
    .score = score,
    .finish = finish,
    .end = end,
    .whole = whole,
    .error = error,
    .fail = fail,
};
