// The rule it protects: every token has one entry in each of the four arrays, so that who adds log-probabilities of a
// part of a text finds the tokens of that part by counting.
#include "serve/formats/columns.h"
#include "base/text.h"
#include <math.h>
#include <string.h>

#define COLUMN_LIMIT_BYTES ((size_t)256 << 20)
#define MOST_KEYS 21 // alternatives and the token itself

// Code points that are complete after these bytes; a character that begins in them is counted when it ends.
static void walk(struct tdm_columns *c, const char *text, size_t n) {
	for (size_t i = 0; i < n; i++) {
		unsigned char byte = (unsigned char)text[i];
		bool goes_on = (byte & 0xC0) == 0x80;
		if (c->missing && goes_on) {
			c->characters += --c->missing == 0;
			continue;
		}
		c->characters += c->missing > 0; // one that was cut: U+FFFD
		c->missing = byte >= 0xF0 && byte < 0xF8 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC0 ? 1 : 0;
		if (byte >= 0xF8)
			c->missing = 0;
		c->characters += c->missing == 0;
	}
}

void tdm_columns_init(struct tdm_columns *c, const char *text, size_t n) {
	struct tdm_bytes *const all[] = {&c->tokens, &c->logprobs, &c->tops, &c->offsets};
	*c = (struct tdm_columns){0};
	for (size_t i = 0; i < 4; i++)
		tdm_bytes_init(all[i], COLUMN_LIMIT_BYTES);
	walk(c, text, n);
}

void tdm_columns_release(struct tdm_columns *c) {
	tdm_bytes_release(&c->tokens);
	tdm_bytes_release(&c->logprobs);
	tdm_bytes_release(&c->tops);
	tdm_bytes_release(&c->offsets);
}

void tdm_columns_clear(struct tdm_columns *c) {
	tdm_bytes_clear(&c->tokens);
	tdm_bytes_clear(&c->logprobs);
	tdm_bytes_clear(&c->tops);
	tdm_bytes_clear(&c->offsets);
	c->n = 0;
}

// A token that is no text by itself is written as its bytes.
static void put_name(struct tdm_bytes *out, const char *text, size_t n) {
	if (tdm_utf8_valid(text, n)) {
		tdm_bytes_json(out, text, n);
		return;
	}
	tdm_bytes_puts(out, "\"bytes:");
	for (size_t i = 0; i < n; i++)
		tdm_bytes_printf(out, "\\\\x%02x", (unsigned char)text[i]);
	tdm_bytes_putc(out, '"');
}

// Of keys that are the same text the larger value stays.
static int add_key(struct tdm_alternative *keys, int n, const char *text, size_t len, float logprob) {
	for (int i = 0; i < n; i++) {
		if (keys[i].len != len || memcmp(keys[i].text, text, len) != 0)
			continue;
		keys[i].logprob = logprob > keys[i].logprob ? logprob : keys[i].logprob;
		return n;
	}
	if (n < MOST_KEYS)
		keys[n++] = (struct tdm_alternative){text, len, logprob};
	return n;
}

static void put_top(struct tdm_bytes *out, const struct tdm_scored *token) {
	struct tdm_alternative keys[MOST_KEYS];
	int n = 0;
	for (int i = 0; i < token->n_alternatives; i++)
		n = add_key(keys, n, token->alternatives[i].text, token->alternatives[i].len, token->alternatives[i].logprob);
	n = add_key(keys, n, token->text, token->len, token->logprob);
	for (int i = 0; i < n; i++) {
		tdm_bytes_putc(out, i ? ',' : '{');
		put_name(out, keys[i].text, keys[i].len);
		tdm_bytes_putc(out, ':');
		tdm_bytes_number(out, (double)keys[i].logprob);
	}
	tdm_bytes_putc(out, '}');
}

void tdm_columns_token(struct tdm_columns *c, const struct tdm_scored *token) {
	const char *comma = c->n++ ? "," : "";
	bool is_known = isfinite(token->logprob);
	tdm_bytes_puts(&c->tokens, comma);
	put_name(&c->tokens, token->text, token->len);
	tdm_bytes_puts(&c->logprobs, comma);
	tdm_bytes_puts(&c->tops, comma);
	if (is_known) {
		tdm_bytes_number(&c->logprobs, (double)token->logprob);
		put_top(&c->tops, token);
	} else {
		tdm_bytes_puts(&c->logprobs, "null");
		tdm_bytes_puts(&c->tops, "null");
	}
	tdm_bytes_printf(&c->offsets, "%s%zu", comma, c->characters);
	walk(c, token->text, token->len);
}

void tdm_columns_event(struct tdm_columns *c, const struct tdm_event *e) {
	struct tdm_scored whole = {e->text, e->len, e->logprob, e->alternatives, e->n_alternatives};
	for (int i = 0; i < e->n_parts; i++)
		tdm_columns_token(c, &e->parts[i]);
	if (!e->n_parts)
		tdm_columns_token(c, &whole);
}

static void put_column(struct tdm_bytes *out, const char *name, const struct tdm_bytes *a, const struct tdm_bytes *b) {
	tdm_bytes_puts(out, name);
	tdm_bytes_add(out, a->data, a->len);
	if (a->len && b && b->len)
		tdm_bytes_putc(out, ',');
	if (b)
		tdm_bytes_add(out, b->data, b->len);
	tdm_bytes_putc(out, ']');
	out->failed |= a->failed || (b && b->failed);
}

void tdm_columns_write(struct tdm_bytes *out, const struct tdm_columns *a, const struct tdm_columns *b) {
	put_column(out, "{\"tokens\":[", &a->tokens, b ? &b->tokens : NULL);
	put_column(out, ",\"token_logprobs\":[", &a->logprobs, b ? &b->logprobs : NULL);
	put_column(out, ",\"top_logprobs\":[", &a->tops, b ? &b->tops : NULL);
	put_column(out, ",\"text_offset\":[", &a->offsets, b ? &b->offsets : NULL);
	tdm_bytes_putc(out, '}');
}
