// Byte-level BPE: text is cut by the pre-split, each byte of a piece is a token to start from, and the ranked merges of
// the file join neighbours. Merges are kept by token id; a merge whose parts or whole are no tokens, or special ones,
// is refused when the file is read, so that no text can merge into a special token.
#include "base/text.h"
#include "engine/vocab_parts.h"
#include <string.h>

size_t tdm_bpe_piece(const char *text, size_t n, char *out) {
	size_t used = 0;
	for (size_t at = 0; at < n;) {
		uint32_t c;
		size_t len = tdm_utf8_next(text + at, n - at, &c);
		int byte = tdm_char_byte(c);
		if (byte >= 0) {
			out[used++] = (char)byte;
		} else { // an added token may be written in plain text
			memcpy(out + used, text + at, len);
			used += len;
		}
		at += len;
	}
	return used;
}

// Some vocabularies leave out the bytes that UTF-8 never contains.
static bool occurs_in_utf8(int byte) {
	return byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
}

static int find_bytes(struct tdm_vocab *v, struct tdm_error *err) {
	for (int b = 0; b < 256; b++) {
		char byte = (char)b;
		v->bytes[b] = tdm_text_index_get(&v->plain, &byte, 1);
		if (v->bytes[b] < 0 && occurs_in_utf8(b))
			return tdm_fail(err, TDM_EFORMAT,
			                "the vocabulary has no token for the byte 0x%02X; byte-level BPE needs one", b);
	}
	return TDM_OK;
}

// One merge as the file writes it: "LEFT RIGHT"; a space inside a token is another character, so the first divides.
struct merge_text {
	const char *text, *space;
	size_t n;
	char left[4096], right[4096], whole[4096];
	size_t left_len, right_len;
};

static bool read_merge_text(struct merge_text *m) {
	m->space = m->n > 2 && m->n < sizeof m->whole ? memchr(m->text + 1, ' ', m->n - 2) : NULL;
	if (!m->space)
		return false;
	m->left_len = tdm_bpe_piece(m->text, (size_t)(m->space - m->text), m->left);
	m->right_len = tdm_bpe_piece(m->space + 1, m->n - (size_t)(m->space - m->text) - 1, m->right);
	memcpy(m->whole, m->left, m->left_len);
	memcpy(m->whole + m->left_len, m->right, m->right_len);
	return true;
}

static int read_merge(struct tdm_vocab *v, const char *text, size_t n, size_t rank, struct tdm_error *err) {
	struct merge_text m;
	m.text = text;
	m.n = n;
	int shown = n < 64 ? (int)n : 64;
	if (!read_merge_text(&m))
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.merges[%zu] is \"%.*s\"; expected two tokens and a space",
		                rank, shown, text);
	int32_t left = tdm_text_index_get(&v->plain, m.left, m.left_len);
	int32_t right = tdm_text_index_get(&v->plain, m.right, m.right_len);
	int32_t token = tdm_text_index_get(&v->plain, m.whole, m.left_len + m.right_len);
	if (token < 0 && tdm_text_index_get(&v->whole, m.whole, m.left_len + m.right_len) >= 0)
		return TDM_OK; // a user-defined token is taken whole before any merge could make it
	if (left < 0 || right < 0 || token < 0)
		return tdm_fail(err, TDM_EFORMAT,
		                "tokenizer.ggml.merges[%zu] (\"%.*s\") does not join two plain tokens into a third", rank,
		                shown, text);
	struct tdm_pair_slot *slot = tdm_pair_index_put(&v->merges, left, right);
	if (!slot)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the merges");
	if (slot->value < 0)
		*slot = (struct tdm_pair_slot){left, right, token, (int32_t)rank};
	return TDM_OK;
}

int tdm_bpe_read(const struct tdm_gguf *g, struct tdm_vocab *v, struct tdm_error *err) {
	const char *name = "default";
	size_t name_len = 7, n;
	tdm_gguf_text(g, "tokenizer.ggml.pre", &name, &name_len);
	int status = tdm_presplit_new(name, name_len, &v->presplit, err);
	if (!status)
		status = find_bytes(v, err);
	if (status)
		return status;
	if (!tdm_gguf_strings(g, "tokenizer.ggml.merges", &n) || n > INT32_MAX)
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.merges is missing or is no list of strings");
	for (size_t i = 0; i < n && !status; i++) {
		const char *text;
		size_t len;
		if (!tdm_gguf_string_at(g, "tokenizer.ggml.merges", i, &text, &len))
			return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.merges[%zu] cannot be read", i);
		status = read_merge(v, text, len, i, err);
	}
	return status;
}

static bool offer(const struct tdm_vocab *v, const char *piece, const struct tdm_symbol *left,
                  const struct tdm_symbol *right, struct tdm_merge *m) {
	const struct tdm_pair_slot *slot = tdm_pair_index_get(&v->merges, left->token, right->token);
	if (!slot)
		return false;
	m->rank = slot->rank;
	m->token = slot->value;
	return true;
}

struct work {
	const struct tdm_vocab *v;
	struct tdm_scratch *s;
	struct tdm_tokens *out;
};

static int tokenize_piece(void *arg, const char *piece, size_t n) {
	struct work *w = arg;
	int32_t whole = n == 1                               ? w->v->bytes[(unsigned char)*piece]
	                : tdm_presplit_whole(w->v->presplit) ? tdm_text_index_get(&w->v->plain, piece, n)
	                                                     : -1;
	if (whole >= 0) {
		tdm_tokens_add(w->out, whole);
		return TDM_OK;
	}
	int status = tdm_scratch_reserve(w->s, n);
	if (status)
		return status;
	for (size_t i = 0; i < n; i++)
		w->s->symbols[i] = (struct tdm_symbol){.token = w->v->bytes[(unsigned char)piece[i]],
		                                       .before = (int32_t)i - 1,
		                                       .after = i + 1 < n ? (int32_t)i + 1 : -1,
		                                       .at = (uint32_t)i,
		                                       .len = 1};
	tdm_merge_all(w->v, piece, w->s, n, offer);
	for (int32_t i = 0; i >= 0; i = w->s->symbols[i].after) {
		int32_t token = w->s->symbols[i].token;
		if (token >= 0 || w->v->unknown >= 0)
			tdm_tokens_add(w->out, token >= 0 ? token : w->v->unknown);
	}
	return TDM_OK;
}

int tdm_bpe_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                     struct tdm_tokens *out) {
	struct work w = {v, s, out};
	return tdm_presplit_run(v->presplit, text, n, tokenize_piece, &w);
}
