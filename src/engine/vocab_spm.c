// SentencePiece-BPE: spaces become U+2581, each character is a symbol to start from, and the neighbours whose joined
// text is the token with the best score are joined first. A character that is no token is written as its bytes.
#include "base/text.h"
#include "engine/vocab_parts.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK "\xE2\x96\x81" // U+2581 stands for a space

size_t tdm_spm_piece(const char *text, size_t n, char *out) {
	size_t used = 0;
	for (size_t at = 0; at < n;) {
		if (n - at >= 3 && !memcmp(text + at, BLOCK, 3)) {
			out[used++] = ' ';
			at += 3;
		} else {
			out[used++] = text[at++];
		}
	}
	return used;
}

static bool offer(const struct tdm_vocab *v, const char *piece, const struct tdm_symbol *left,
                  const struct tdm_symbol *right, struct tdm_merge *m) {
	m->token = tdm_text_index_get(&v->plain, piece + left->at, left->len + right->len);
	if (m->token < 0)
		return false;
	m->rank = -(double)v->tokens[m->token].score;
	return true;
}

static void put_symbol(const struct tdm_vocab *v, const char *piece, const struct tdm_symbol *symbol,
                       struct tdm_tokens *out) {
	if (symbol->token >= 0) {
		tdm_tokens_add(out, symbol->token);
		return;
	}
	for (uint32_t i = 0; i < symbol->len; i++) {
		int32_t token = v->bytes[(unsigned char)piece[symbol->at + i]];
		if (token < 0)
			token = v->unknown;
		if (token >= 0)
			tdm_tokens_add(out, token);
	}
}

// Pieces are kept with plain spaces (see tdm_spm_piece), so the text is used as it is.
int tdm_spm_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                     struct tdm_tokens *out) {
	int status = tdm_scratch_reserve(s, n);
	if (status)
		return status;
	size_t count = 0;
	for (size_t at = 0; at < n; count++) {
		uint32_t c;
		size_t len = tdm_utf8_next(text + at, n - at, &c);
		s->symbols[count] = (struct tdm_symbol){.token = tdm_text_index_get(&v->plain, text + at, len),
		                                        .before = (int32_t)count - 1,
		                                        .after = at + len < n ? (int32_t)count + 1 : -1,
		                                        .at = (uint32_t)at,
		                                        .len = (uint32_t)len};
		at += len;
	}
	tdm_merge_all(v, text, s, count, offer);
	for (int32_t i = count ? 0 : -1; i >= 0; i = s->symbols[i].after)
		put_symbol(v, text, &s->symbols[i], out);
	return TDM_OK;
}
