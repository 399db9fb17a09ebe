// WordPiece, as BERT's files have it: text is normalised and cut into words and single marks; a word, which begins with
// a space in the vocabulary, becomes the longest tokens from left to right, or the unknown token where that fails.
#include "base/text.h"
#include "engine/vocab_parts.h"
#include <string.h>

// Ideographs stand for themselves: no spaces are written between them.
static bool is_ideograph(uint32_t c) {
	static const uint32_t ranges[][2] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},
	                                     {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F},
	                                     {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

static void take_word(const struct tdm_vocab *v, struct tdm_bytes *word, struct tdm_tokens *out) {
	size_t n = word->len, before = out->n;
	word->len = 0;
	for (size_t at = 0; at < n && n > 1;) {
		size_t len = n - at < v->longest_plain ? n - at : v->longest_plain;
		int32_t token = -1;
		for (; len && (token = tdm_text_index_get(&v->plain, word->data + at, len)) < 0; len--)
			;
		if (!len) {
			out->n = before;
			if (v->unknown >= 0)
				tdm_tokens_add(out, v->unknown);
			return;
		}
		tdm_tokens_add(out, token);
		at += len;
	}
}

static void add_character(const struct tdm_vocab *v, struct tdm_bytes *word, uint32_t c) {
	char text[4];
	if (!word->len)
		tdm_bytes_add(word, " ", 1);
	tdm_bytes_add(word, text, tdm_utf8_put(text, v->lower_case ? tdm_char_lower(c) : c));
}

static void take_character(const struct tdm_vocab *v, uint32_t c, struct tdm_bytes *word, struct tdm_tokens *out) {
	enum tdm_char_kind kind = tdm_char_kind(c);
	bool is_alone = kind == TDM_CHAR_PUNCTUATION || (kind == TDM_CHAR_SYMBOL && c < 0x7F) || is_ideograph(c);
	bool is_dropped = kind == TDM_CHAR_CONTROL || c == 0xFFFD || (kind == TDM_CHAR_MARK && v->strip_accents);
	if (kind == TDM_CHAR_SPACE || is_alone)
		take_word(v, word, out);
	if (kind == TDM_CHAR_SPACE || is_dropped)
		return;
	add_character(v, word, c);
	if (is_alone)
		take_word(v, word, out);
}

int tdm_wordpiece_tokenize(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_tokens *out) {
	struct tdm_bytes whole, word;
	int status = TDM_OK;
	tdm_bytes_init(&whole, 64 * n + 64); // no character becomes more when it is taken apart
	tdm_bytes_init(&word, 64 * n + 64);
	if (v->strip_accents)
		status = tdm_nfd(&whole, text, n);
	else
		tdm_bytes_add(&whole, text, n);
	for (size_t at = 0; at < whole.len && !status;) {
		uint32_t c;
		at += tdm_utf8_next(whole.data + at, whole.len - at, &c);
		take_character(v, c, &word, out);
	}
	take_word(v, &word, out);
	status = whole.failed || word.failed ? TDM_ENOMEM : status;
	tdm_bytes_release(&whole);
	tdm_bytes_release(&word);
	return status;
}
