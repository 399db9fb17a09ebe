// Vocabulary: reading it from a weight file, and everything that looks a token up. Splitting text is in vocab_bpe.c,
// vocab_spm.c and vocab_wordpiece.c; a fourth family is a fourth such file and a row in read_family.
//
// Two indexes keep the promise that text never becomes a special token: `plain` and `whole` hold what text may become,
// `special` holds the rest, and only tdm_token_special looks there.
#include "engine/vocab_parts.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKENS (1u << 24)
#define MAX_TEXT ((size_t)INT32_MAX / 4)
#define SEPARATOR "tokenizer.ggml.seperator_token_id" // as the format spells it

// Markers of turns. A token with one of these texts is special also when a file calls it user-defined.
static const struct {
	const char *text;
	bool ends;
} markers[] = {
    {"<|im_end|>", true},
    {"<|eot_id|>", true},
    {"<end_of_turn>", true},
    {"</s>", true},
    {"<|endoftext|>", true},
    {"<|end_of_text|>", true},
    {"<|end|>", true},
    {"<|eom_id|>", true},
    {"<start_of_turn>", false},
    {"<s>", false},
    {"[INST]", false},
    {"[/INST]", false},
    {"[AVAILABLE_TOOLS]", false},
    {"[/AVAILABLE_TOOLS]", false},
    {"[TOOL_RESULTS]", false},
    {"[/TOOL_RESULTS]", false},
    {"[TOOL_CALLS]", false},
    {"[SYSTEM_PROMPT]", false},
    {"[/SYSTEM_PROMPT]", false},
    {"<<SYS>>", false},
    {"<</SYS>>", false},
};
#define N_MARKERS (sizeof markers / sizeof *markers)

static const char *marker(const char *text, size_t n, bool *ends) {
	for (size_t i = 0; i < N_MARKERS; i++)
		if (strlen(markers[i].text) == n && !memcmp(markers[i].text, text, n)) {
			*ends = markers[i].ends;
			return markers[i].text;
		}
	return NULL;
}

// Text of a file, read once per token.
struct source {
	const struct tdm_gguf *g;
	const int32_t *types;
	const float *scores;
	size_t n_types, n_scores;
	bool bytes; // gpt2
};

static bool is_byte_text(const char *text, size_t n, unsigned *byte) {
	static const char digits[] = "0123456789ABCDEF";
	if (n != 6 || memcmp(text, "<0x", 3) || text[5] != '>')
		return false;
	const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
	if (!high || !low)
		return false;
	*byte = (unsigned)(high - digits) << 4 | (unsigned)(low - digits);
	return true;
}

static void classify(struct tdm_token *t, const char *text, size_t n) {
	bool ends = false, known = marker(text, n, &ends) != NULL;
	bool marked = n > 4 && !memcmp(text, "<|", 2) && !memcmp(text + n - 2, "|>", 2);
	t->special = t->type == TDM_TOKEN_CONTROL || t->type == TDM_TOKEN_UNKNOWN ||
	             (t->type == TDM_TOKEN_USER && (known || marked));
	t->ends = t->special && ends;
}

static int32_t *place_of(struct tdm_vocab *v, int32_t id, const char *text, size_t n) {
	struct tdm_token *t = &v->tokens[id];
	if (t->special)
		return tdm_text_index_put(&v->special, text, n);
	if (t->type != TDM_TOKEN_USER) {
		v->longest_plain = n > v->longest_plain ? (uint32_t)n : v->longest_plain;
		return tdm_text_index_put(&v->plain, text, n);
	}
	v->longest_whole = n > v->longest_whole ? (uint32_t)n : v->longest_whole;
	v->whole_begins[(unsigned char)*text] = true;
	return tdm_text_index_put(&v->whole, text, n);
}

// Stores token id, whose text in the file is text[0..n), with its bytes at *at.
static int read_token(struct tdm_vocab *v, const struct source *s, int32_t id, const char *text, size_t n, char **at,
                      struct tdm_error *err) {
	struct tdm_token *t = &v->tokens[id];
	int32_t type = s->n_types ? s->types[id] : TDM_TOKEN_NORMAL;
	if (type < TDM_TOKEN_NORMAL || type > TDM_TOKEN_BYTE)
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.token_type[%d] is %d; expected 1 to 6", id, type);
	t->type = (uint8_t)type;
	t->score = s->n_scores ? s->scores[id] : 0;
	classify(t, text, n);
	size_t len = n;
	unsigned byte = 0;
	bool is_byte = type == TDM_TOKEN_BYTE && is_byte_text(text, n, &byte);
	if (is_byte) {
		**at = (char)byte;
		len = 1;
		v->bytes[byte] = id;
	} else if (t->special || (s->bytes && type == TDM_TOKEN_USER)) {
		memcpy(*at, text, n);
	} else {
		len = s->bytes ? tdm_bpe_piece(text, n, *at) : tdm_spm_piece(text, n, *at);
	}
	if (len && !is_byte) {
		int32_t *place = place_of(v, id, *at, len);
		if (!place)
			return tdm_fail(err, TDM_ENOMEM, "out of memory for the vocabulary");
		*place = id; // of two tokens with one text the later counts
	}
	t->piece = *at;
	t->len = t->special ? 0 : (uint32_t)len;
	*at += len;
	return TDM_OK;
}

// FNV-1a over what makes ids interchangeable.
static uint64_t hash_bytes(uint64_t h, const void *data, size_t n) {
	const unsigned char *p = data;
	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001B3u;
	return h;
}

static uint64_t hash_token(uint64_t h, const struct tdm_token *t, size_t len) {
	uint32_t head[2] = {(uint32_t)len, t->special};
	return hash_bytes(hash_bytes(h, head, sizeof head), t->piece, len);
}

static int read_tokens(struct tdm_vocab *v, const struct source *s, struct tdm_error *err) {
	size_t total = 1, len;
	const char *text;
	for (int i = 0; i < v->size; i++) {
		if (!tdm_gguf_string_at(s->g, "tokenizer.ggml.tokens", (size_t)i, &text, &len) || len > (1u << 20))
			return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.tokens[%d] cannot be read or is over 1 MiB long", i);
		total += len;
	}
	v->tokens = calloc((size_t)v->size, sizeof *v->tokens);
	v->text = malloc(total);
	if (!v->tokens || !v->text)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for %d tokens", v->size);
	char *at = v->text;
	v->id = 0xCBF29CE484222325u;
	for (int32_t i = 0; i < v->size; i++) {
		char *start = at;
		if (!tdm_gguf_string_at(s->g, "tokenizer.ggml.tokens", (size_t)i, &text, &len) ||
		    len > total - (size_t)(at - v->text))
			return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.tokens[%d] has changed while it was read", i);
		int status = read_token(v, s, i, text, len, &at, err);
		if (status)
			return status;
		v->id = hash_token(v->id, &v->tokens[i], (size_t)(at - start));
	}
	return TDM_OK;
}

static int open_source(const struct tdm_gguf *g, struct tdm_vocab *v, struct source *s, struct tdm_error *err) {
	size_t n;
	if (!tdm_gguf_strings(g, "tokenizer.ggml.tokens", &n) || !n || n > MAX_TOKENS)
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.tokens is missing, empty, or longer than %u", MAX_TOKENS);
	v->size = (int)n;
	*s = (struct source){.g = g, .bytes = !strcmp(v->family, "gpt2")};
	tdm_gguf_i32s(g, "tokenizer.ggml.token_type", &s->types, &s->n_types);
	tdm_gguf_f32s(g, "tokenizer.ggml.scores", &s->scores, &s->n_scores);
	if (s->n_types && s->n_types != n)
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.token_type has %zu entries for %zu tokens", s->n_types, n);
	if ((s->n_scores || !strcmp(v->family, "llama")) && s->n_scores != n)
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.scores has %zu entries for %zu tokens", s->n_scores, n);
	for (size_t i = 0; i < s->n_scores; i++)
		if (s->scores[i] != s->scores[i])
			return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.scores[%zu] is not a number", i);
	return TDM_OK;
}

static int read_id(const struct tdm_gguf *g, const struct tdm_vocab *v, const char *key, int32_t *out,
                   struct tdm_error *err) {
	uint64_t id;
	if (!tdm_gguf_u64(g, key, &id)) {
		*out = *out < v->size ? *out : -1;
		return TDM_OK;
	}
	if (id >= (uint64_t)v->size)
		return tdm_fail(err, TDM_EFORMAT, "%s is %llu; the vocabulary has %d tokens", key, (unsigned long long)id,
		                v->size);
	*out = (int32_t)id;
	return TDM_OK;
}

// Nothing here pads: one outside of the vocabulary, which some files name, is none.
static int32_t read_pad(const struct tdm_gguf *g, const struct tdm_vocab *v) {
	uint64_t pad;
	return tdm_gguf_u64(g, "tokenizer.ggml.padding_token_id", &pad) && pad < (uint64_t)v->size ? (int32_t)pad : -1;
}

static int read_specials(const struct tdm_gguf *g, struct tdm_vocab *v, struct tdm_error *err) {
	bool bytes = v->presplit != NULL;
	v->bos = bytes ? -1 : 1;
	v->eos = bytes ? -1 : 2;
	v->unknown = bytes ? -1 : 0;
	if (v->words)
		v->bos = 101, v->eos = 102, v->unknown = 100; // where BERT's vocabularies have them
	int32_t eot = -1, eom = -1;
	int status = read_id(g, v, "tokenizer.ggml.bos_token_id", &v->bos, err);
	status = status ? status : read_id(g, v, v->words ? SEPARATOR : "tokenizer.ggml.eos_token_id", &v->eos, err);
	status = status ? status : read_id(g, v, "tokenizer.ggml.unknown_token_id", &v->unknown, err);
	status = status ? status : read_id(g, v, "tokenizer.ggml.eot_token_id", &eot, err);
	status = status ? status : read_id(g, v, "tokenizer.ggml.eom_token_id", &eom, err);
	if (status)
		return status;
	v->pad = read_pad(g, v);
	const int32_t ends[] = {v->eos, eot, eom};
	for (int i = 0; i < 3; i++)
		if (ends[i] >= 0)
			v->tokens[ends[i]].ends = true;
	uint64_t add_bos = !bytes || tdm_presplit_begins(v->presplit), space_prefix = !bytes;
	tdm_gguf_u64(g, "tokenizer.ggml.add_bos_token", &add_bos);
	tdm_gguf_u64(g, "tokenizer.ggml.add_space_prefix", &space_prefix);
	v->bos = add_bos ? v->bos : -1;
	v->space_prefix = space_prefix != 0;
	uint64_t lower_case = true, strip_accents;
	tdm_gguf_u64(g, "tokenizer.ggml.normalizer.lowercase", &lower_case);
	strip_accents = lower_case;
	tdm_gguf_u64(g, "tokenizer.ggml.normalizer.strip_accents", &strip_accents);
	v->lower_case = lower_case != 0;
	v->strip_accents = strip_accents != 0;
	return TDM_OK;
}

static int read_family(const struct tdm_gguf *g, struct tdm_vocab *v, struct tdm_error *err) {
	const char *name;
	size_t n;
	if (!tdm_gguf_text(g, "tokenizer.ggml.model", &name, &n))
		return tdm_fail(err, TDM_EFORMAT, "tokenizer.ggml.model is missing: the file has no vocabulary");
	if (n == 4 && !memcmp(name, "gpt2", 4))
		v->family = "gpt2";
	else if (n == 5 && !memcmp(name, "llama", 5))
		v->family = "llama";
	else if (n == 4 && !memcmp(name, "bert", 4))
		v->family = "bert";
	else
		return tdm_fail(
		    err, TDM_EFORMAT,
		    "tokenizer.ggml.model is \"%.*s\"; known are gpt2 (byte-level BPE), llama (SentencePiece-BPE) and "
		    "bert (WordPiece)",
		    n < 64 ? (int)n : 64, name);
	v->words = !strcmp(v->family, "bert");
	struct source s;
	int status = open_source(g, v, &s, err);
	if (!status)
		status = read_tokens(v, &s, err);
	if (!status && s.bytes)
		status = tdm_bpe_read(g, v, err);
	return status;
}

int tdm_vocab_read(const struct tdm_gguf *g, struct tdm_vocab **out, struct tdm_error *err) {
	struct tdm_vocab *v = calloc(1, sizeof *v);
	if (!v)
		return tdm_fail(err, TDM_ENOMEM, "out of memory for the vocabulary");
	for (int b = 0; b < 256; b++)
		v->bytes[b] = -1;
	int status = read_family(g, v, err);
	if (!status)
		status = read_specials(g, v, err);
	if (status) {
		tdm_vocab_free(v);
		return status;
	}
	*out = v;
	return TDM_OK;
}

void tdm_vocab_free(struct tdm_vocab *v) {
	if (!v)
		return;
	tdm_text_index_release(&v->plain);
	tdm_text_index_release(&v->special);
	tdm_text_index_release(&v->whole);
	tdm_pair_index_release(&v->merges);
	tdm_presplit_free(v->presplit);
	free(v->tokens);
	free(v->text);
	free(v);
}

int tdm_vocab_size(const struct tdm_vocab *v) {
	return v->size;
}

// Text between user-defined tokens. A space prefix is put before every such stretch, as the published tokenizers do.
static int tokenize_stretch(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                            struct tdm_tokens *out) {
	if (!n)
		return TDM_OK;
	if (v->presplit)
		return tdm_bpe_tokenize(v, text, n, s, out);
	if (v->words)
		return tdm_wordpiece_tokenize(v, text, n, out);
	char *copy = malloc(n + 1);
	if (!copy)
		return TDM_ENOMEM;
	copy[0] = ' ';
	size_t len = v->space_prefix + tdm_spm_piece(text, n, copy + v->space_prefix);
	int status = tdm_spm_tokenize(v, copy, len, s, out);
	free(copy);
	return status;
}

// The longest user-defined token at text[0..n); its length, or 0.
static size_t whole_at(const struct tdm_vocab *v, const char *text, size_t n, int32_t *token) {
	if (!v->whole_begins[(unsigned char)*text])
		return 0;
	for (size_t len = n < v->longest_whole ? n : v->longest_whole; len; len--)
		if ((*token = tdm_text_index_get(&v->whole, text, len)) >= 0)
			return len;
	return 0;
}

static int tokenize_all(const struct tdm_vocab *v, const char *text, size_t n, struct tdm_scratch *s,
                        struct tdm_tokens *out) {
	size_t start = 0, at = 0;
	while (v->longest_whole && at < n) {
		int32_t token;
		size_t len = whole_at(v, text + at, n - at, &token);
		if (!len) {
			at++;
			continue;
		}
		int status = tokenize_stretch(v, text + start, at - start, s, out);
		if (status)
			return status;
		tdm_tokens_add(out, token);
		start = at += len;
	}
	return tokenize_stretch(v, text + start, n - start, s, out);
}

int tdm_tokenize(const struct tdm_vocab *v, const char *text, size_t n, int32_t *out, int cap) {
	struct tdm_tokens tokens = {.items = out, .cap = cap > 0 ? (size_t)cap : 0};
	struct tdm_scratch scratch = {0};
	if (n > MAX_TEXT) // so that no count of bytes or tokens below leaves 32 bits
		return TDM_ETOOLARGE;
	int status = tokenize_all(v, text, n, &scratch, &tokens);
	tdm_scratch_release(&scratch);
	return status ? status : tokens.n > INT_MAX ? TDM_ETOOLARGE : (int)tokens.n;
}

static const struct tdm_token *token_at(const struct tdm_vocab *v, int32_t token) {
	return token >= 0 && token < v->size ? &v->tokens[token] : NULL;
}

size_t tdm_token_piece(const struct tdm_vocab *v, int32_t token, const char **piece) {
	const struct tdm_token *t = token_at(v, token);
	*piece = t ? t->piece : "";
	return t ? t->len : 0;
}

bool tdm_token_is_special(const struct tdm_vocab *v, int32_t token) {
	const struct tdm_token *t = token_at(v, token);
	return t && t->special;
}

bool tdm_token_is_end(const struct tdm_vocab *v, int32_t token) {
	const struct tdm_token *t = token_at(v, token);
	return t && t->ends;
}

int32_t tdm_token_special(const struct tdm_vocab *v, const char *text) {
	return tdm_text_index_get(&v->special, text, strlen(text));
}

size_t tdm_token_name(const struct tdm_vocab *v, int32_t token, const char **text) {
	*text = "";
	for (size_t i = 0; i < v->special.cap; i++) {
		const struct tdm_text_slot *slot = &v->special.slots[i];
		if (slot->key && slot->value == token) {
			*text = slot->key;
			return slot->len;
		}
	}
	return 0;
}

int32_t tdm_token_pad(const struct tdm_vocab *v) {
	return v->pad;
}

int32_t tdm_token_bos(const struct tdm_vocab *v) {
	return v->bos;
}

int32_t tdm_token_eos(const struct tdm_vocab *v) {
	return v->eos;
}

int tdm_detokenize(const struct tdm_vocab *v, const int32_t *tokens, int n, struct tdm_bytes *out) {
	for (int i = 0; i < n; i++) {
		const char *piece;
		size_t len = tdm_token_piece(v, tokens[i], &piece);
		tdm_bytes_add(out, piece, len);
	}
	return out->failed ? TDM_ENOMEM : TDM_OK;
}

uint64_t tdm_vocab_id(const struct tdm_vocab *v) {
	return v->id;
}
