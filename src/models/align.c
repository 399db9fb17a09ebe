// Align: the map is made by a table of hashes over the bytes of all tokens; special tokens have no bytes and none of
// the other vocabulary's, but those that end an answer stand for each other.
#include "models/align.h"
#include "base/text.h"
#include "models/shadow.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tdm_align {
	int32_t n_from, n_to, n_shared;
	int32_t *to; // n_from: -1 = none
};

// --- the map

static uint64_t hash_of(const char *text, size_t n) {
	uint64_t hash = 1469598103934665603u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)text[i]) * 1099511628211u;
	return hash ^ hash >> 29;
}

static bool is_equal(struct tdm_session *s, int32_t token, const char *text, size_t n) {
	const char *piece;
	return s->ops->piece(s, token, &piece) == n && !memcmp(piece, text, n);
}

struct table { // of the tokens of a vocabulary by their bytes
	struct tdm_session *session;
	int32_t *slots; // token + 1
	uint64_t mask;
};

static int32_t *slot_of(const struct table *t, const char *text, size_t n) {
	uint64_t at = hash_of(text, n) & t->mask;
	while (t->slots[at] && !is_equal(t->session, t->slots[at] - 1, text, n))
		at = (at + 1) & t->mask;
	return &t->slots[at];
}

// Of tokens with equal bytes the last one counts: single bytes that stand in for what has no token come first.
static bool make_table(struct tdm_session *s, struct table *t) {
	uint64_t size = 64;
	const char *piece;
	while (size < 2 * (uint64_t)s->n_vocab)
		size *= 2;
	*t = (struct table){s, calloc(size, sizeof *t->slots), size - 1};
	for (int32_t i = 0; t->slots && i < s->n_vocab; i++) {
		size_t n = s->ops->piece(s, i, &piece);
		if (n > 0)
			*slot_of(t, piece, n) = i + 1;
	}
	return t->slots != NULL;
}

int32_t tdm_align_end(struct tdm_session *s) {
	for (int32_t i = s->n_vocab - 1; i >= 0; i--) // the end of a turn stands behind the end of a text
		if (s->ops->is_end(s, i))
			return i;
	return -1;
}

static void fill(struct tdm_align *a, struct tdm_session *from, const struct table *t, int32_t end) {
	const char *piece;
	for (int32_t i = 0; i < a->n_from; i++) {
		size_t n = from->ops->piece(from, i, &piece);
		bool is_end = from->ops->is_end(from, i);
		a->to[i] = is_end ? end : n > 0 ? *slot_of(t, piece, n) - 1 : -1;
		a->n_shared += a->to[i] >= 0 && !is_end;
	}
}

int tdm_align_new(struct tdm_session *from, struct tdm_session *to, struct tdm_align **out, struct tdm_error *err) {
	struct tdm_align *a = calloc(1, sizeof *a);
	struct table t = {0};
	*out = a;
	if (a) {
		*a = (struct tdm_align){from->n_vocab, to->n_vocab, 0, malloc((size_t)from->n_vocab * sizeof *a->to)};
		if (a->to && make_table(to, &t))
			fill(a, from, &t, tdm_align_end(to));
	}
	int status = TDM_OK;
	if (!a || !a->to || !t.slots)
		status = tdm_fail(err, TDM_ENOMEM, "no memory to compare the vocabularies of %s and %s", from->model->name,
		                  to->model->name);
	else if (a->n_shared == 0)
		status =
		    tdm_fail(err, TDM_ECONFIG, "models %s and %s have no token in common", from->model->name, to->model->name);
	free(t.slots);
	if (status != TDM_OK) {
		tdm_align_free(a);
		*out = NULL;
	}
	return status;
}

void tdm_align_free(struct tdm_align *a) {
	if (a)
		free(a->to);
	free(a);
}

int32_t tdm_align_token(const struct tdm_align *a, int32_t token) {
	return token >= 0 && token < a->n_from ? a->to[token] : -1;
}

int tdm_align_shared(const struct tdm_align *a, int32_t *n_vocab) {
	*n_vocab = a->n_from;
	return a->n_shared;
}

// ln(e^a + e^b)
static float both(float a, float b) {
	float high = a > b ? a : b, low = a > b ? b : a;
	return low == -INFINITY ? high : high + log1pf(expf(low - high));
}

void tdm_align_row(const struct tdm_align *a, const float *logits, float *out) {
	bool is_empty = true;
	for (int32_t i = 0; i < a->n_to; i++)
		out[i] = -INFINITY;
	for (int32_t i = 0; logits && i < a->n_from; i++) {
		int32_t t = a->to[i];
		if (t < 0 || !(logits[i] > -INFINITY))
			continue;
		out[t] = both(out[t], logits[i]);
		is_empty = false;
	}
	for (int32_t i = 0; is_empty && i < a->n_from; i++)
		if (a->to[i] >= 0)
			out[a->to[i]] = 0;
}

// --- splitting

struct tokens { // of a text
	int32_t *items;
	int n;
	size_t n_bytes, added; // added: a space that the vocabulary begins texts with
};

static size_t bytes_of(struct tdm_session *s, int32_t token) {
	const char *piece;
	return s->ops->piece(s, token, &piece);
}

// The tokens of `lead` and text[0..n) in memory of their own. False: it has none.
static bool tokenize(struct tdm_session *s, const char *lead, const char *text, size_t n, struct tokens *out) {
	size_t n_lead = strlen(lead);
	char *whole = malloc(n_lead + n + 1);
	*out = (struct tokens){.items = malloc((n_lead + n + 2) * sizeof *out->items)};
	if (whole && out->items) {
		memcpy(whole, lead, n_lead);
		memcpy(whole + n_lead, text, n);
		out->n = s->ops->tokenize(s, whole, n_lead + n, out->items, (int)(n_lead + n) + 2);
	}
	free(whole);
	if (out->n > (int)(n_lead + n) + 2)
		out->n = 0;
	for (int i = 0; i < out->n; i++)
		out->n_bytes += bytes_of(s, out->items[i]);
	out->added = out->n_bytes - n_lead - n;
	return out->n > 0 && out->n_bytes >= n_lead + n && out->added <= 1;
}

// Splits text[from..len) behind `lead`, and finds where the tokens of text[at..len) begin. -1: none begins there.
static int split_from(struct tdm_session *s, const char *lead, const char *text, size_t from, size_t at, size_t len,
                      int32_t *tokens, size_t *ends, int cap) {
	struct tokens all;
	size_t before = strlen(lead) + at - from, done = 0;
	int count = -1, first = 0;
	if (!tokenize(s, lead, text + from, len - from, &all))
		goto done;
	size_t want = before ? before + all.added : 0; // with nothing before it, the space is its first token's
	while (first < all.n && done < want)
		done += bytes_of(s, all.items[first++]);
	if (done != want)
		goto done;
	if (all.added && want == 0 && bytes_of(s, all.items[0]) == all.added) // that is the space alone
		done += bytes_of(s, all.items[first++]);
	for (count = 0; first + count < all.n && count < cap; count++) {
		tokens[count] = all.items[first + count];
		done += bytes_of(s, tokens[count]);
		ends[count] = at + done - before - all.added;
	}
done:
	free(all.items);
	return count;
}

int tdm_align_split(struct tdm_session *s, const char *text, size_t before, size_t len, int32_t *tokens, size_t *ends,
                    int cap) {
	if (!s->ops->tokenize || len <= before || cap <= 0)
		return 0;
	int n = -1;
	for (size_t behind = TDM_ALIGN_BEHIND; n < 0 && behind > 1; behind /= 2) {
		size_t from = before > behind ? before - behind : 0;
		while (from < before && ((uint8_t)text[from] & 0xC0) == 0x80)
			from++;
		if (from < before)
			n = split_from(s, "", text, from, before, len, tokens, ends, cap);
	}
	if (n < 0) // some vocabularies begin a text with a space of their own: this is none
		n = split_from(s, "\n", text, before, before, len, tokens, ends, cap);
	if (n < 0)
		n = split_from(s, "", text, before, before, len, tokens, ends, cap);
	return n < 0 ? 0 : n;
}

size_t tdm_align_before(struct tdm_session *s, char out[TDM_ALIGN_BEHIND]) {
	int n = s->prompt_tokens;
	int32_t *ids = s->ops->ids && n > 0 ? malloc((size_t)n * sizeof *ids) : NULL;
	const char *piece;
	size_t len = 0, m;
	if (!ids || s->ops->ids(s, ids, n) < n)
		n = 0;
	for (int i = n - 1; i >= 0 && (m = s->ops->piece(s, ids[i], &piece)) > 0 && len + m <= TDM_ALIGN_BEHIND; i--) {
		memmove(out + m, out, len);
		memcpy(out, piece, m);
		len += m;
	}
	free(ids);
	return tdm_utf8_valid(out, len) ? len : 0;
}

// --- a session in another vocabulary

struct aligned {
	struct tdm_session session;
	const struct tdm_align *map;
	struct tdm_session *inner, *like;
	struct tdm_shadow *shadow;
	char *text;   // of the answer
	size_t *ends; // of its tokens
	size_t cap;
	int n, ends_cap;
	float *row;
	const float *logits; // of inner, after the answer; NULL = none
};

static struct aligned *of(struct tdm_session *s) {
	return (struct aligned *)s;
}

static int no_memory(struct aligned *a, struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for an answer in another vocabulary",
	                a->session.model->name);
}

static int aligned_prompt(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *request,
                          const struct tdm_tail *tail) {
	struct aligned *a = of(s);
	(void)tail; // a session may leave it unasked
	int status = a->inner->ops->prompt(a->inner, run, request, NULL);
	if (status != TDM_OK)
		return status;
	s->prompt_tokens = a->inner->prompt_tokens;
	s->cached_tokens = a->inner->cached_tokens;
	a->n = 0;
	tdm_shadow_free(a->shadow);
	a->shadow = tdm_shadow_new(a->inner);
	return a->shadow ? tdm_shadow_follow(a->shadow, run, "", 0, &a->logits) : no_memory(a, run);
}

static size_t length_of(const struct aligned *a) {
	return a->n ? a->ends[a->n - 1] : 0;
}

static bool add_token(struct aligned *a, int32_t token) {
	const char *piece;
	size_t n = a->like->ops->piece(a->like, token, &piece), len = length_of(a);
	if (len + n > a->cap) {
		char *text = realloc(a->text, 2 * (len + n));
		if (!text)
			return false;
		a->text = text;
		a->cap = 2 * (len + n);
	}
	if (a->n == a->ends_cap) {
		size_t *ends = realloc(a->ends, (size_t)(2 * a->n + 64) * sizeof *ends);
		if (!ends)
			return false;
		a->ends = ends;
		a->ends_cap = 2 * a->n + 64;
	}
	if (n > 0)
		memcpy(a->text + len, piece, n);
	a->ends[a->n++] = len + n;
	return true;
}

static int aligned_eval(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, const int *parents, int n) {
	struct aligned *a = of(s);
	if (parents)
		return tdm_fail(&run->error, TDM_ECAPABILITY, "model %s: no trees in another vocabulary", s->model->name);
	for (int i = 0; i < n; i++)
		if (!add_token(a, tokens[i]))
			return no_memory(a, run);
	return tdm_shadow_follow(a->shadow, run, a->text ? a->text : "", length_of(a), &a->logits);
}

static const float *aligned_logits(struct tdm_session *s, int row) {
	struct aligned *a = of(s);
	(void)row; // there is one
	tdm_align_row(a->map, a->logits, a->row);
	return a->row;
}

static int aligned_length(struct tdm_session *s) {
	return s->prompt_tokens + of(s)->n;
}

static int aligned_rewind(struct tdm_session *s, int length) {
	if (length < s->prompt_tokens || length > aligned_length(s))
		return TDM_EVALUE;
	of(s)->n = length - s->prompt_tokens; // the inner session learns of it when it goes on
	return TDM_OK;
}

static size_t aligned_piece(struct tdm_session *s, int32_t token, const char **text) {
	return of(s)->like->ops->piece(of(s)->like, token, text);
}

static bool aligned_is_end(struct tdm_session *s, int32_t token) {
	return of(s)->like->ops->is_end(of(s)->like, token);
}

static void aligned_close(struct tdm_session *s) {
	struct aligned *a = of(s);
	tdm_shadow_free(a->shadow);
	if (a->inner)
		a->inner->ops->close(a->inner);
	free(a->text);
	free(a->ends);
	free(a->row);
	free(a);
}

static void aligned_keep(struct tdm_session *s, int node) {
	(void)s, (void)node; // there are no trees
}

static const float *aligned_hidden(struct tdm_session *s, int row) {
	(void)s, (void)row;
	return NULL;
}

int tdm_align_open(struct tdm_run *run, const struct tdm_align *map, struct tdm_session *inner,
                   struct tdm_session *like, struct tdm_session **out) {
	static const struct tdm_session_ops ops = {
	    .prompt = aligned_prompt,
	    .eval = aligned_eval,
	    .keep = aligned_keep,
	    .logits = aligned_logits,
	    .hidden = aligned_hidden,
	    .length = aligned_length,
	    .rewind = aligned_rewind,
	    .piece = aligned_piece,
	    .is_end = aligned_is_end,
	    .close = aligned_close,
	};
	struct aligned *a = calloc(1, sizeof *a);
	float *row = calloc((size_t)like->n_vocab, sizeof *row);
	if (!a || !row) {
		free(a);
		free(row);
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a session in another vocabulary",
		                inner->model->name);
	}
	*a = (struct aligned){.session = *inner, .map = map, .inner = inner, .like = like, .row = row};
	a->session.ops = &ops;
	a->session.n_vocab = like->n_vocab;
	a->session.vocab_id = like->vocab_id;
	*out = &a->session;
	return TDM_OK;
}

// --- comparing models

static int open_one(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	int status = m->ops->open(m, run, out);
	return status == TDM_OK ? status : tdm_fail(&run->error, status, "model %s opens no session", m->name);
}

int tdm_align_models(struct tdm_model *a, struct tdm_model *b, bool *same, struct tdm_align **map,
                     struct tdm_error *err) {
	struct tdm_session *one = NULL, *other = NULL;
	struct tdm_arena arena;
	struct tdm_run run;
	tdm_arena_init(&arena, (size_t)64 << 20);
	int status = tdm_run_init(&run, &arena, 0);
	if (status == TDM_OK)
		status = open_one(a, &run, &one);
	if (status == TDM_OK)
		status = open_one(b, &run, &other);
	if (status != TDM_OK)
		tdm_fail(err, status, "%s", run.error.text);
	else
		*same = one->vocab_id == other->vocab_id && one->n_vocab == other->n_vocab;
	if (status == TDM_OK && !*same && map)
		status = tdm_align_new(one, other, map, err);
	if (one)
		one->ops->close(one);
	if (other)
		other->ops->close(other);
	tdm_arena_release(&arena);
	return status;
}
