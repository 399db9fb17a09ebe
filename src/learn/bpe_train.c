// Byte-level BPE training. Each distinct piece is kept once with its count; each pair of neighbouring tokens knows its
// total count and the pieces it may occur in, so that a merge touches only those. The heap of pairs is lazy: an entry
// whose count is no longer true is put back with the true one when it comes up.
#include "learn/bpe_train.h"
#include "base/bytes.h"
#include "engine/index.h"
#include "engine/presplit.h"
#include "learn/bpe_words.h"
#include <stdlib.h>
#include <string.h>

#define N_SPECIAL 3
static const char *const special_tokens[N_SPECIAL] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
static const char chat_template[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

struct pair {
	int32_t left, right;
	int64_t count;
	uint32_t *words; // pieces in which it occurs or did
	size_t n, cap;
	bool touched; // its count grew in the current merge
};

struct entry {
	int64_t count;
	int32_t pair;
};

struct tdm_bpe_trainer {
	struct tdm_bpe_options options;
	struct tdm_presplit *presplit;
	struct tdm_words words;
	char **tokens; // bytes of each token; lengths in token_lens
	size_t *token_lens;
	int n_tokens;
	struct tdm_text_index by_text; // bytes -> token
	int32_t (*merges)[2];
	size_t n_merges, merges_cap;
	struct pair *pairs;
	size_t n_pairs, pairs_cap;
	struct tdm_pair_index by_tokens; // (left, right) -> place in pairs
	struct entry *heap;
	size_t heap_n, heap_cap;
	int32_t *touched;
	size_t n_touched, touched_cap;
	int64_t last_frequency;
};

static int no_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "out of memory while training a vocabulary");
}

// Makes room for one more item in an array that doubles.
static bool grow(void *items, size_t item_bytes, size_t n, size_t *cap) {
	if (n < *cap)
		return true;
	size_t larger = *cap ? 2 * *cap : 16;
	void *old, *moved;
	memcpy(&old, items, sizeof old);
	moved = realloc(old, larger * item_bytes);
	if (!moved)
		return false;
	memcpy(items, &moved, sizeof moved);
	*cap = larger;
	return true;
}

// The token of two texts laid end to end; the same bytes may be reached over two ways and are one token.
static int add_token(struct tdm_bpe_trainer *t, const char *left, size_t n_left, const char *right, size_t n_right,
                     int32_t *out) {
	char *text = malloc(n_left + n_right + 1);
	if (!text)
		return TDM_ENOMEM;
	memcpy(text, left, n_left);
	memcpy(text + n_left, right, n_right);
	int32_t *place = tdm_text_index_put(&t->by_text, text, n_left + n_right);
	if (!place || *place >= 0) {
		*out = place ? *place : -1;
		free(text);
		return place ? TDM_OK : TDM_ENOMEM;
	}
	*out = *place = t->n_tokens;
	t->tokens[t->n_tokens] = text;
	t->token_lens[t->n_tokens++] = n_left + n_right;
	return TDM_OK;
}

static int check_options(const struct tdm_bpe_options *o, struct tdm_error *err) {
	if (o->size < 256 + N_SPECIAL || o->size > 1 << 20)
		return tdm_fail(err, TDM_EVALUE, "the vocabulary's size is %d; expected %d to %d", o->size, 256 + N_SPECIAL,
		                1 << 20);
	if (o->max_piece_bytes < 1 || o->max_piece_bytes > 256 || o->min_frequency < 1 ||
	    !(o->min_code_share >= 0 && o->min_code_share <= 1))
		return tdm_fail(err, TDM_EVALUE,
		                "the longest token must be 1 to 256 bytes, the least frequency at least 1 and a share 0 to 1");
	return TDM_OK;
}

int tdm_bpe_trainer_new(const struct tdm_bpe_options *options, struct tdm_bpe_trainer **out, struct tdm_error *err) {
	int status = check_options(options, err);
	if (status)
		return status;
	struct tdm_bpe_trainer *t = calloc(1, sizeof *t);
	if (!t)
		return no_memory(err);
	t->options = *options;
	t->tokens = calloc((size_t)options->size, sizeof *t->tokens);
	t->token_lens = calloc((size_t)options->size, sizeof *t->token_lens);
	status = t->tokens && t->token_lens ? TDM_OK : no_memory(err);
	if (!status)
		status = tdm_presplit_new(options->presplit, strlen(options->presplit), &t->presplit, err);
	for (int b = 0; b < 256 && !status; b++) {
		char byte = (char)b;
		int32_t token;
		status = add_token(t, &byte, 1, "", 0, &token) ? no_memory(err) : TDM_OK;
	}
	if (status) {
		tdm_bpe_trainer_free(t);
		return status;
	}
	*out = t;
	return TDM_OK;
}

void tdm_bpe_trainer_free(struct tdm_bpe_trainer *t) {
	if (!t)
		return;
	for (int i = 0; i < t->n_tokens; i++)
		free(t->tokens[i]);
	for (size_t i = 0; i < t->n_pairs; i++)
		free(t->pairs[i].words);
	tdm_words_release(&t->words);
	tdm_text_index_release(&t->by_text);
	tdm_pair_index_release(&t->by_tokens);
	tdm_presplit_free(t->presplit);
	free(t->tokens);
	free(t->token_lens);
	free(t->merges);
	free(t->pairs);
	free(t->heap);
	free(t->touched);
	free(t);
}

static int count_piece(void *arg, const char *piece, size_t n) {
	return tdm_words_count(arg, piece, n);
}

int tdm_bpe_trainer_add(struct tdm_bpe_trainer *t, const char *text, size_t n, struct tdm_error *err) {
	return tdm_presplit_run(t->presplit, text, n, count_piece, &t->words) ? no_memory(err) : TDM_OK;
}

// --- the heap of pairs: largest count first, then the older left token, then the older right one
static bool goes_before(const struct tdm_bpe_trainer *t, const struct entry *a, const struct entry *b) {
	const struct pair *p = &t->pairs[a->pair], *q = &t->pairs[b->pair];
	if (a->count != b->count)
		return a->count > b->count;
	return p->left != q->left ? p->left < q->left : p->right < q->right;
}

static int heap_push(struct tdm_bpe_trainer *t, int32_t pair) {
	if (!grow(&t->heap, sizeof *t->heap, t->heap_n, &t->heap_cap))
		return TDM_ENOMEM;
	struct entry e = {t->pairs[pair].count, pair};
	size_t i = t->heap_n++;
	while (i && goes_before(t, &e, &t->heap[(i - 1) / 2])) {
		t->heap[i] = t->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	t->heap[i] = e;
	return TDM_OK;
}

static struct entry heap_pop(struct tdm_bpe_trainer *t) {
	struct entry top = t->heap[0], last = t->heap[--t->heap_n];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < t->heap_n; i = child) {
		if (child + 1 < t->heap_n && goes_before(t, &t->heap[child + 1], &t->heap[child]))
			child++;
		if (!goes_before(t, &t->heap[child], &last))
			break;
		t->heap[i] = t->heap[child];
	}
	t->heap[i] = last;
	return top;
}

// --- pairs
static int new_pair(struct tdm_bpe_trainer *t, int32_t left, int32_t right, int32_t *place) {
	if (t->n_pairs == INT32_MAX || !grow(&t->pairs, sizeof *t->pairs, t->n_pairs, &t->pairs_cap))
		return TDM_ENOMEM;
	*place = (int32_t)t->n_pairs;
	t->pairs[t->n_pairs++] = (struct pair){.left = left, .right = right};
	return TDM_OK;
}

static int note_word(struct pair *p, uint32_t word) {
	if (p->n && p->words[p->n - 1] == word)
		return TDM_OK;
	if (!grow(&p->words, sizeof *p->words, p->n, &p->cap))
		return TDM_ENOMEM;
	p->words[p->n++] = word;
	return TDM_OK;
}

static int touch(struct tdm_bpe_trainer *t, int32_t pair) {
	if (t->pairs[pair].touched)
		return TDM_OK;
	if (!grow(&t->touched, sizeof *t->touched, t->n_touched, &t->touched_cap))
		return TDM_ENOMEM;
	t->touched[t->n_touched++] = pair;
	t->pairs[pair].touched = true;
	return TDM_OK;
}

// Adds a piece's weight (or takes it away: sign -1) to the pairs of its neighbours.
static int count_pairs(struct tdm_bpe_trainer *t, uint32_t word, int sign) {
	const struct tdm_word *w = &t->words.items[word];
	for (uint32_t i = 1; i < w->n; i++) {
		int32_t left = w->tokens[i - 1], right = w->tokens[i];
		if (t->token_lens[left] + t->token_lens[right] > (size_t)t->options.max_piece_bytes)
			continue;
		struct tdm_pair_slot *slot = tdm_pair_index_put(&t->by_tokens, left, right);
		if (!slot || (slot->value < 0 && new_pair(t, left, right, &slot->value)))
			return TDM_ENOMEM;
		struct pair *p = &t->pairs[slot->value];
		p->count += sign * (int64_t)w->weight;
		if (sign > 0 && (note_word(p, word) || touch(t, slot->value)))
			return TDM_ENOMEM;
	}
	return TDM_OK;
}

static int push_touched(struct tdm_bpe_trainer *t) {
	int status = TDM_OK;
	for (size_t i = 0; i < t->n_touched && !status; i++) {
		t->pairs[t->touched[i]].touched = false;
		status = heap_push(t, t->touched[i]);
	}
	t->n_touched = 0;
	return status;
}

static bool holds_pair(const struct tdm_word *w, int32_t left, int32_t right) {
	for (uint32_t i = 1; i < w->n; i++)
		if (w->tokens[i - 1] == left && w->tokens[i] == right)
			return true;
	return false;
}

static void join_in_word(struct tdm_word *w, int32_t left, int32_t right, int32_t token) {
	uint32_t kept = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		bool joins = i + 1 < w->n && w->tokens[i] == left && w->tokens[i + 1] == right;
		w->tokens[kept++] = joins ? token : w->tokens[i];
		i += joins;
	}
	w->n = kept;
}

// Notes the merge and makes its token.
static int make_merge(struct tdm_bpe_trainer *t, const struct pair *p, int32_t *token) {
	if (!grow(&t->merges, sizeof *t->merges, t->n_merges, &t->merges_cap) ||
	    add_token(t, t->tokens[p->left], t->token_lens[p->left], t->tokens[p->right], t->token_lens[p->right], token))
		return TDM_ENOMEM;
	t->merges[t->n_merges][0] = p->left;
	t->merges[t->n_merges++][1] = p->right;
	t->last_frequency = p->count;
	return TDM_OK;
}

static int merge_pair(struct tdm_bpe_trainer *t, int32_t pair) {
	struct pair p = t->pairs[pair]; // the array may move below, and the list of words may grow
	t->pairs[pair].words = NULL;
	t->pairs[pair].n = t->pairs[pair].cap = 0;
	int32_t token;
	int status = make_merge(t, &p, &token);
	for (size_t i = 0; i < p.n && !status; i++) {
		struct tdm_word *w = &t->words.items[p.words[i]];
		if (!holds_pair(w, p.left, p.right))
			continue;
		status = count_pairs(t, p.words[i], -1);
		join_in_word(w, p.left, p.right, token);
		if (!status)
			status = count_pairs(t, p.words[i], 1);
	}
	free(p.words);
	return status ? status : push_touched(t);
}

static bool is_capitals(const struct tdm_word *w) {
	uint32_t i = w->tokens[0] == ' ';
	for (; i < w->n; i++)
		if (w->tokens[i] < 'A' || w->tokens[i] > 'Z')
			return false;
	return true;
}

// Random codes are many different pieces of capitals, each rare; together they would fill a small vocabulary with
// meaningless pairs. Such pieces are cut by the merges of others and teach none of their own.
static void set_weights(struct tdm_bpe_trainer *t) {
	double pieces = 0;
	for (size_t i = 0; i < t->words.n; i++)
		pieces += (double)t->words.items[i].count;
	for (size_t i = 0; i < t->words.n; i++) {
		struct tdm_word *w = &t->words.items[i];
		bool rare = (double)w->count < t->options.min_code_share * pieces;
		w->weight = rare && is_capitals(w) ? 0 : w->count;
	}
}

static int learn_merges(struct tdm_bpe_trainer *t) {
	int status = TDM_OK;
	set_weights(t);
	for (size_t i = 0; i < t->words.n && !status; i++)
		status = count_pairs(t, (uint32_t)i, 1);
	if (!status)
		status = push_touched(t);
	while (!status && t->heap_n && t->n_tokens < t->options.size - N_SPECIAL) {
		struct entry top = heap_pop(t);
		int64_t count = t->pairs[top.pair].count;
		if (count < t->options.min_frequency)
			continue;
		if (count < top.count) // fewer by now: its place in the order is further down
			status = heap_push(t, top.pair);
		else if (count == top.count)
			status = merge_pair(t, top.pair);
	}
	return status;
}

int tdm_bpe_trainer_run(struct tdm_bpe_trainer *t, struct tdm_error *err) {
	return learn_merges(t) ? no_memory(err) : TDM_OK;
}

void tdm_bpe_trainer_figures(const struct tdm_bpe_trainer *t, struct tdm_bpe_figures *out) {
	*out = (struct tdm_bpe_figures){.distinct = t->words.n,
	                                .size = t->n_tokens + N_SPECIAL,
	                                .n_merges = (int)t->n_merges,
	                                .last_frequency = t->last_frequency};
	for (size_t i = 0; i < t->words.n; i++) {
		const struct tdm_word *w = &t->words.items[i];
		out->bytes += w->count * w->len;
		out->pieces += w->count;
		out->tokens += w->count * w->n;
	}
}

// --- writing
// A list of strings under construction: their bytes end to end, and where each one ends.
struct strings {
	struct tdm_bytes text;
	size_t *ends, *lens;
	const char **items;
	size_t n;
};

static void put_token(struct tdm_bytes *out, const char *text, size_t n) {
	for (size_t i = 0; i < n; i++) {
		char c[4];
		size_t len = tdm_byte_char((unsigned char)text[i], c);
		tdm_bytes_add(out, c, len);
	}
}

static void put_strings(struct tdm_gguf_writer *w, const char *key, struct strings *s) {
	for (size_t i = 0; i < s->n && !s->text.failed; i++) {
		size_t start = i ? s->ends[i - 1] : 0;
		s->items[i] = s->text.data + start;
		s->lens[i] = s->ends[i] - start;
	}
	if (!s->text.failed)
		tdm_gguf_put_strings(w, key, s->items, s->lens, s->n);
}

static void list_tokens(const struct tdm_bpe_trainer *t, struct strings *s) {
	for (int i = 0; i < t->n_tokens + N_SPECIAL; i++) {
		if (i < t->n_tokens)
			put_token(&s->text, t->tokens[i], t->token_lens[i]);
		else
			tdm_bytes_puts(&s->text, special_tokens[i - t->n_tokens]);
		s->ends[s->n++] = s->text.len;
	}
}

static void list_merges(const struct tdm_bpe_trainer *t, struct strings *s) {
	tdm_bytes_clear(&s->text);
	s->n = 0;
	for (size_t i = 0; i < t->n_merges; i++) {
		const int32_t *m = t->merges[i];
		put_token(&s->text, t->tokens[m[0]], t->token_lens[m[0]]);
		tdm_bytes_putc(&s->text, ' ');
		put_token(&s->text, t->tokens[m[1]], t->token_lens[m[1]]);
		s->ends[s->n++] = s->text.len;
	}
}

static void put_ids(const struct tdm_bpe_trainer *t, struct tdm_gguf_writer *w) {
	uint32_t end_of_text = (uint32_t)t->n_tokens;
	tdm_gguf_put_u32(w, "tokenizer.ggml.bos_token_id", end_of_text);
	tdm_gguf_put_u32(w, "tokenizer.ggml.eos_token_id", end_of_text);
	tdm_gguf_put_u32(w, "tokenizer.ggml.padding_token_id", end_of_text);
	tdm_gguf_put_u32(w, "tokenizer.ggml.eot_token_id", end_of_text + 2);
	tdm_gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
	tdm_gguf_put_text(w, "tokenizer.chat_template", chat_template);
}

int tdm_bpe_trainer_put(const struct tdm_bpe_trainer *t, struct tdm_gguf_writer *w, struct tdm_error *err) {
	size_t most = t->n_merges + (size_t)t->options.size;
	struct strings s = {.ends = calloc(most, sizeof *s.ends),
	                    .lens = calloc(most, sizeof *s.lens),
	                    .items = calloc(most, sizeof *s.items)};
	int32_t *types = calloc(most, sizeof *types);
	tdm_bytes_init(&s.text, (size_t)1 << 30);
	int status = s.ends && s.items && s.lens && types ? TDM_OK : no_memory(err);
	if (!status) {
		tdm_gguf_put_text(w, "tokenizer.ggml.model", "gpt2");
		tdm_gguf_put_text(w, "tokenizer.ggml.pre", t->options.presplit);
		list_tokens(t, &s);
		put_strings(w, "tokenizer.ggml.tokens", &s);
		for (size_t i = 0; i < s.n; i++)
			types[i] = i < (size_t)t->n_tokens ? 1 : 3; // normal, control
		tdm_gguf_put_i32s(w, "tokenizer.ggml.token_type", types, s.n);
		list_merges(t, &s);
		put_strings(w, "tokenizer.ggml.merges", &s);
		put_ids(t, w);
		status = s.text.failed ? no_memory(err) : TDM_OK;
	}
	tdm_bytes_release(&s.text);
	free(s.ends);
	free(s.items);
	free(s.lens);
	free(types);
	return status;
}
