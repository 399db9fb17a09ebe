// Sequences: tokens that grow, are cut back and are forked, over shared cache pages.
//
// The rule it protects: an evaluation either appends all its tokens or leaves the sequence as it was. All memory that
// a pass needs is taken before it is queued, so that a pass cannot run out.
// A rewind to where a window begins in pages that were given up loses all pages; the next evaluation takes over again
// what is remembered and computes the rest, which is the same to the last bit.
#include "engine/batch.h"
#include <stdlib.h>
#include <string.h>

enum { LAST_ROWS = 8, TAIL_ROWS = 24 }; // of a prompt's last pass: its own, and of what follows it
enum { PIECE_TOKENS = 256 };

static int pages_of(int n_tokens) {
	return (n_tokens + TDM_PAGE_TOKENS - 1) / TDM_PAGE_TOKENS;
}

// What lies behind the tokens it holds goes: pages that were reserved, and what is known of pages that were cut.
static void cut_pages(struct tdm_seq *s) {
	int n_full = s->n_held / TDM_PAGE_TOKENS; // a page that is cut is no longer the one that is remembered
	tdm_pages_cut(&s->pages, &s->engine->cache, pages_of(s->n_held));
	s->n_known = s->n_known < n_full ? s->n_known : n_full;
}

// Room for tokens, not for their keys and values.
static bool grow_room(struct tdm_seq *s, int n_tokens) {
	int n = pages_of(n_tokens);
	if (n <= s->pages.cap)
		return true;
	int cap = s->pages.cap * 2 > n ? s->pages.cap * 2 : n + 4;
	uint64_t *ids = realloc(s->ids, (size_t)cap * sizeof *ids);
	s->ids = ids ? ids : s->ids;
	int32_t *tokens = realloc(s->tokens, (size_t)cap * TDM_PAGE_TOKENS * sizeof *tokens);
	s->tokens = tokens ? tokens : s->tokens;
	return ids && tokens && tdm_pages_room(&s->pages, &s->engine->cache, cap);
}

static bool reserve_pages(struct tdm_seq *s, int n_tokens) {
	struct tdm_cache *c = &s->engine->cache;
	if (!grow_room(s, s->n_held + n_tokens))
		return false;
	// the last page is going to be written: it must be ours alone
	if (s->n_held % TDM_PAGE_TOKENS && !tdm_pages_own(&s->pages, c, s->n_held / TDM_PAGE_TOKENS))
		return false;
	return tdm_pages_extend(&s->pages, c, pages_of(s->n_held + n_tokens));
}

static float *new_rows(int n, int width) {
	return aligned_alloc(64, (size_t)n * tdm_row_floats(width) * sizeof(float));
}

static bool reserve_rows(struct tdm_seq *s, int n) {
	const struct tdm_engine_info *info = &s->engine->info;
	if (n <= s->cap_rows)
		return true;
	float *logits = new_rows(n, info->n_vocab), *hidden = new_rows(n, info->width);
	if (!logits || !hidden) {
		free(logits);
		free(hidden);
		return false;
	}
	free(s->logits);
	free(s->hidden);
	s->logits = logits;
	s->hidden = hidden;
	s->cap_rows = n;
	return true;
}

bool tdm_seq_reserve(struct tdm_seq *s, int n_tokens, int n_rows) {
	return (n_rows == 0 || reserve_rows(s, n_rows)) && reserve_pages(s, n_tokens);
}

void tdm_seq_swap_pages(struct tdm_seq *a, struct tdm_seq *b) {
	struct tdm_pages pages = a->pages;
	uint64_t *ids = a->ids;
	int32_t *tokens = a->tokens;
	a->pages = b->pages;
	a->ids = b->ids;
	a->tokens = b->tokens;
	b->pages = pages;
	b->ids = ids;
	b->tokens = tokens;
}

int tdm_seq_open(struct tdm_engine *e, struct tdm_seq **out, struct tdm_error *err) {
	if (e->info.is_encoder)
		return tdm_fail(err, TDM_ECONFIG, "%s is an encoder (%s): it has embeddings, and no next token", e->info.name,
		                e->info.architecture);
	struct tdm_seq *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(err, TDM_ENOMEM, "no memory for a sequence");
	s->engine = e;
	s->is_new = true;
	*out = s;
	return TDM_OK;
}

void tdm_seq_close(struct tdm_seq *s) {
	if (!s)
		return;
	tdm_tree_drop(s);
	tdm_pages_release(&s->pages, &s->engine->cache);
	free(s->ids);
	free(s->tokens);
	free(s->logits);
	free(s->hidden);
	free(s);
}

int tdm_seq_fork(const struct tdm_seq *s, struct tdm_seq **out, struct tdm_error *err) {
	struct tdm_seq *fork = NULL;
	int status = tdm_seq_open(s->engine, &fork, err);
	if (status != TDM_OK)
		return status;
	if (!grow_room(fork, s->length)) {
		tdm_seq_close(fork);
		return tdm_fail(err, TDM_ENOMEM, "no memory for a copy of a sequence of %d tokens", s->length);
	}
	tdm_pages_share(&fork->pages, &s->engine->cache, &s->pages);
	fork->length = s->length;
	fork->n_held = s->n_held;
	fork->is_new = s->is_new;
	fork->root = s->root;
	fork->adapter = s->adapter;
	fork->added = s->added;
	fork->n_added = s->n_added;
	fork->n_layers = s->n_layers;
	fork->n_known = s->n_known;
	*out = fork;
	if (s->length == 0)
		return TDM_OK;
	memcpy(fork->ids, s->ids, (size_t)s->n_known * sizeof *s->ids);
	memcpy(fork->tokens, s->tokens, (size_t)s->length * sizeof *s->tokens);
	return TDM_OK;
}

int tdm_seq_fork_first(const struct tdm_seq *s, int n_layers, struct tdm_seq **out, struct tdm_error *err) {
	if (n_layers < 1 || n_layers >= s->engine->info.n_layers)
		return tdm_fail(err, TDM_EVALUE, "the first %d layers of %s; expected 1 to %d", n_layers, s->engine->info.name,
		                s->engine->info.n_layers - 1);
	int status = tdm_seq_fork(s, out, err);
	if (status != TDM_OK)
		return status;
	(*out)->n_layers = n_layers;
	(*out)->root = 0; // what it computes is not what others may take over
	return TDM_OK;
}

void tdm_seq_use(struct tdm_seq *s, const struct tdm_adapter *a) {
	if (s->adapter == a)
		return;
	tdm_seq_rewind(s, 0);
	s->root = 0;
	s->adapter = a;
}

void tdm_seq_add(struct tdm_seq *s, const float *vectors, int n) {
	tdm_seq_rewind(s, 0);
	s->root = 0;
	s->added = vectors;
	s->n_added = vectors ? n : 0;
}

int tdm_seq_length(const struct tdm_seq *s) {
	return s->length;
}

void tdm_seq_rewind(struct tdm_seq *s, int length) {
	if (length < 0 || length > s->length)
		return;
	s->length = length;
	s->rows = 0;
	tdm_tree_drop(s);
	if (s->n_held > length)
		s->n_held = tdm_cache_first(&s->engine->cache, length) < s->pages.first ? 0 : length;
	cut_pages(s);
}

// --- prefixes

static uint64_t last_known(const struct tdm_seq *s) {
	return s->n_known ? s->ids[s->n_known - 1] : s->root;
}

// Remembers the pages that are full by now.
static void remember(struct tdm_seq *s) {
	while (s->root && s->n_known < s->n_held / TDM_PAGE_TOKENS) {
		uint64_t id = tdm_prefix_put(&s->engine->cache.prefix, last_known(s), s->tokens + s->n_known * TDM_PAGE_TOKENS,
		                             &s->pages, s->n_known);
		if (!id)
			s->root = 0;
		else
			s->ids[s->n_known++] = id;
	}
}

// After n more tokens were computed: keeps what is needed of their pages.
static void settle_pages(struct tdm_seq *s, int n) {
	struct tdm_cache *c = &s->engine->cache;
	s->n_held += n;
	cut_pages(s);
	remember(s);
	if (s->n_held > c->behind)
		tdm_pages_leave(&s->pages, c, tdm_cache_first(c, s->n_held - c->behind));
}

void tdm_seq_grow(struct tdm_seq *s, int n) {
	s->length += n;
	settle_pages(s, n);
}

// A sequence that holds nothing takes over remembered pages of the first n of its tokens.
static void reuse(struct tdm_seq *s, int n) {
	if (!s->root || s->n_held)
		return;
	tdm_prefix_take(&s->engine->cache.prefix, s->root, s->tokens, n, &s->pages, s->ids);
	s->n_known = s->pages.n;
	s->n_held = s->n_known * TDM_PAGE_TOKENS;
}

int tdm_seq_check(const struct tdm_seq *s, const int32_t *tokens, int n, struct tdm_error *err) {
	const struct tdm_engine_info *info = &s->engine->info;
	if (n < 1)
		return tdm_fail(err, TDM_EVALUE, "an evaluation of %d tokens; expected at least one", n);
	if (n > info->context - s->length)
		return tdm_fail(err, TDM_ECONTEXT, "%d tokens after %d do not fit the context of %d tokens of %s", n, s->length,
		                info->context, info->name);
	for (int i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= info->n_vocab)
			return tdm_fail(err, TDM_EVALUE, "token %d is outside the vocabulary of %d tokens of %s", tokens[i],
			                info->n_vocab, info->name);
	return TDM_OK;
}

static int count_wanted(const uint8_t *wanted, int n) {
	int count = 0;
	for (int i = 0; wanted && i < n; i++)
		count += wanted[i] != 0;
	return wanted ? count : 1;
}

// With windows, tokens are computed in pieces, so that pages are given up before all are taken.
static int piece_of(const struct tdm_seq *s, int n) {
	return s->engine->cache.window && n > PIECE_TOKENS ? PIECE_TOKENS : n;
}

// Computes the next n of its tokens. The rows wanted follow the sequence's rows; states (NULL: not wanted) get the
// hidden state of each token instead; what is computed stays on an error.
static int compute(struct tdm_seq *s, int n, const uint8_t *wanted, float *states, const tdm_flag *cancelled,
                   struct tdm_error *err) {
	static const uint8_t none[PIECE_TOKENS];
	int here, status = TDM_OK;
	for (int at = 0; at < n && status == TDM_OK; at += here) {
		here = piece_of(s, n - at);
		struct tdm_request request = {.seq = s,
		                              .tokens = s->tokens + s->n_held,
		                              .wanted = wanted          ? wanted + at
		                                        : at + here < n ? none
		                                                        : NULL,
		                              .states = states ? states + (size_t)at * (size_t)s->engine->info.width : NULL,
		                              .cancelled = cancelled,
		                              .is_prompt = s->is_new && here == n,
		                              .n = here,
		                              .n_rows = s->rows};
		if (!reserve_pages(s, here))
			status = tdm_fail(err, TDM_ENOMEM, "no memory for %d more tokens of a sequence of %d", here, s->n_held);
		else if (tdm_batch_run(s->engine, &request) != TDM_OK)
			status = tdm_fail(err, request.status, "the evaluation of %d tokens was cancelled", n);
		settle_pages(s, status == TDM_OK ? here : 0);
		s->rows = request.n_rows;
	}
	return status;
}

int tdm_seq_restore(struct tdm_seq *s, const tdm_flag *cancelled, struct tdm_error *err) {
	int n = s->length - s->n_held, status = TDM_OK;
	if (n == 0)
		return TDM_OK;
	reuse(s, s->length);
	n = s->length - s->n_held;
	uint8_t *none = calloc((size_t)n + 1, 1);
	if (!none)
		return tdm_fail(err, TDM_ENOMEM, "no memory to compute %d tokens again", n);
	status = compute(s, n, none, NULL, cancelled, err);
	free(none);
	return status;
}

static int append(struct tdm_seq *s, const int32_t *tokens, int n, const uint8_t *wanted, float *states,
                  const tdm_flag *cancelled, struct tdm_error *err) {
	tdm_seq_rewind(s, s->length);
	int length = s->length, status = tdm_seq_check(s, tokens, n, err);
	int n_rows = states ? 0 : count_wanted(wanted, n);
	if (status == TDM_OK && (!grow_room(s, length + n) || !reserve_rows(s, n_rows)))
		status = tdm_fail(err, TDM_ENOMEM, "no memory for %d more tokens of a sequence of %d", n, length);
	if (status == TDM_OK)
		status = tdm_seq_restore(s, cancelled, err);
	if (status != TDM_OK)
		return status;
	memcpy(s->tokens + length, tokens, (size_t)n * sizeof *tokens);
	status = compute(s, n, wanted, states, cancelled, err);
	s->length = s->n_held;
	if (status != TDM_OK)
		tdm_seq_rewind(s, length);
	else
		s->is_new = false;
	return status;
}

int tdm_seq_eval(struct tdm_seq *s, const int32_t *tokens, int n, const uint8_t *wanted, const tdm_flag *cancelled,
                 struct tdm_error *err) {
	return append(s, tokens, n, wanted, NULL, cancelled, err);
}

int tdm_seq_states(struct tdm_seq *s, const int32_t *tokens, int n, float *out, const tdm_flag *cancelled,
                   struct tdm_error *err) {
	return append(s, tokens, n, NULL, out, cancelled, err);
}

// The tokens but for a last few, then these together with what the tail gives: all the time before is there for the
// tail to be made elsewhere.
static int eval_with_tail(struct tdm_seq *s, const int32_t *tokens, int n, const struct tdm_tail *tail,
                          const tdm_flag *cancelled, struct tdm_error *err) {
	int32_t last[TDM_MAX_ROWS];
	uint8_t wanted[TDM_MAX_ROWS] = {0}, *none = n > LAST_ROWS ? calloc((size_t)n, 1) : NULL;
	int n_last = n < LAST_ROWS ? n : LAST_ROWS;
	int room = s->engine->info.context - s->length - n, status = TDM_OK;
	if (n > n_last)
		status = tdm_seq_eval(s, tokens, n - n_last, none, cancelled, err);
	free(none);
	if (status != TDM_OK)
		return status;
	memcpy(last, tokens + n - n_last, (size_t)n_last * sizeof *last);
	int more = tail->more(tail->context, last + n_last, room < TAIL_ROWS ? room : TAIL_ROWS);
	memset(wanted + n_last - 1, 1, (size_t)more + 1);
	return tdm_seq_eval(s, last, n_last + more, wanted, cancelled, err);
}

int tdm_seq_prompt_and(struct tdm_seq *s, const char *tenant, const int32_t *tokens, int n, const struct tdm_tail *tail,
                       const tdm_flag *cancelled, int *reused, struct tdm_error *err) {
	tdm_seq_rewind(s, 0);
	s->is_new = true;
	s->root = s->n_layers || s->added ? 0 : tdm_prefix_root(tenant, s->adapter ? s->adapter->id : 0);
	int status = tdm_seq_check(s, tokens, n, err);
	if (status != TDM_OK)
		return status;
	if (!grow_room(s, n))
		return tdm_fail(err, TDM_ENOMEM, "no memory for a sequence of %d tokens", n);
	memcpy(s->tokens, tokens, (size_t)n * sizeof *tokens);
	reuse(s, n - 1); // one token at least is computed, for its logits
	s->length = s->n_held;
	if (reused)
		*reused = s->length;
	if (tail)
		status = eval_with_tail(s, tokens + s->length, n - s->length, tail, cancelled, err);
	else
		status = tdm_seq_eval(s, tokens + s->length, n - s->length, NULL, cancelled, err);
	if (status != TDM_OK)
		tdm_seq_rewind(s, 0);
	return status;
}

int tdm_seq_prompt(struct tdm_seq *s, const char *tenant, const int32_t *tokens, int n, const tdm_flag *cancelled,
                   int *reused, struct tdm_error *err) {
	return tdm_seq_prompt_and(s, tenant, tokens, n, NULL, cancelled, reused, err);
}

int tdm_seq_rows(const struct tdm_seq *s) {
	return s->rows;
}

int tdm_seq_ids(const struct tdm_seq *s, int32_t *out, int cap) {
	int n = s->length < cap ? s->length : cap;
	if (n > 0)
		memcpy(out, s->tokens, (size_t)n * sizeof *out);
	return s->length;
}

const float *tdm_seq_logits(const struct tdm_seq *s, int row) {
	return row >= 0 && row < s->rows ? s->logits + (size_t)row * tdm_row_floats(s->engine->info.n_vocab) : NULL;
}

const float *tdm_seq_hidden(const struct tdm_seq *s, int row) {
	return row >= 0 && row < s->rows ? s->hidden + (size_t)row * tdm_row_floats(s->engine->info.width) : NULL;
}
