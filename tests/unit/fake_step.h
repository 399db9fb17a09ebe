// A model for tests of strategies over sessions: its logits are rows of a table, picked by the last token or by a hash
// of all tokens of the answer, so that a session that was not rewound gives itself away. Token i is the i-th letter.
#pragma once
#include "engine/engine.h"
#include "models/model.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fake {
	struct tdm_model model;
	const float *table;                               // n_rows x n_vocab logits
	int n_rows, n_vocab, context, prompt_tokens, end; // end: token that ends an answer; -1 = none
	const char *const *pieces;                        // n_vocab; NULL: letters
	bool by_history;
	uint64_t vocab_id;
	int pause_us;                     // before each evaluation
	int tail;                         // see fake_prompt
	int fails_at;                     // evaluation that fails, and every one after it, from 1 on; 0 = none
	int evals, tokens, open_sessions; // what was asked of it
};

struct fake_session {
	struct tdm_session session;
	struct fake *fake;
	int32_t *tokens;
	int n, first_row, n_rows;
	int parents[64], n_tree; // of the tree that is open; its tokens stand after the n; 0 = none
};

static inline const float *fake_logits(struct tdm_session *session, int row) {
	struct fake_session *s = (struct fake_session *)session;
	int n = s->first_row + row, path[64], n_path = 0;
	uint64_t hash = 1469598103934665603u, last;
	if (s->n_tree) {
		n = s->n;
		for (int at = row; at >= 0; at = s->parents[at])
			path[n_path++] = at;
	}
	last = (uint64_t)s->tokens[s->n_tree ? s->n + row : n - 1];
	for (int i = s->session.prompt_tokens; s->fake->by_history && i < n; i++)
		hash = (hash ^ (uint64_t)s->tokens[i]) * 1099511628211u;
	while (n_path > 0)
		hash = (hash ^ (uint64_t)s->tokens[s->n + path[--n_path]]) * 1099511628211u;
	uint64_t pick = s->fake->by_history ? hash >> 7 : last;
	return s->fake->table + (size_t)(pick % (uint64_t)s->fake->n_rows) * (size_t)s->fake->n_vocab;
}

// fake.tail: places for what follows the prompt; -1 = it is not asked for.
static inline int fake_prompt(struct tdm_session *session, struct tdm_run *run, const struct tdm_request *request,
                              const struct tdm_tail *tail) {
	struct fake_session *s = (struct fake_session *)session;
	int cap = s->fake->context - s->fake->prompt_tokens;
	(void)request;
	if (cap < 0)
		return tdm_fail(&run->error, TDM_ECONTEXT, "fake: a prompt of %d tokens does not fit", s->fake->prompt_tokens);
	s->n = s->first_row = s->session.prompt_tokens = s->fake->prompt_tokens;
	memset(s->tokens, 0, (size_t)s->n * sizeof *s->tokens);
	if (tail && s->fake->tail >= 0)
		s->n += tail->more(tail->context, s->tokens + s->n, cap < s->fake->tail ? cap : s->fake->tail);
	s->n_rows = 1 + s->n - s->first_row;
	return TDM_OK;
}

static inline int fake_eval(struct tdm_session *session, struct tdm_run *run, const int32_t *tokens, const int *parents,
                            int n) {
	struct fake_session *s = (struct fake_session *)session;
	if (s->fake->pause_us)
		usleep((useconds_t)s->fake->pause_us);
	s->n_tree = 0;
	if (s->fake->fails_at && s->fake->evals + 1 >= s->fake->fails_at)
		return tdm_fail(&run->error, TDM_EINTERNAL, "fake: fails at evaluation %d", s->fake->fails_at);
	if (n < 1 || s->n + n > s->session.context)
		return tdm_fail(&run->error, TDM_ECONTEXT, "fake: %d tokens do not fit", n);
	memcpy(s->tokens + s->n, tokens, (size_t)n * sizeof *tokens);
	s->first_row = s->n + 1;
	s->n_rows = n;
	s->fake->evals++;
	s->fake->tokens += n;
	if (!parents) {
		s->n += n;
		return TDM_OK;
	}
	memcpy(s->parents, parents, (size_t)n * sizeof *parents);
	s->n_tree = n;
	return TDM_OK;
}

static inline void fake_keep(struct tdm_session *session, int node) {
	struct fake_session *s = (struct fake_session *)session;
	int path[64], n = 0;
	for (int at = node; at >= 0; at = s->parents[at])
		path[n++] = at;
	for (int i = 0; i < n; i++) // a path's nodes ascend
		s->tokens[s->n + i] = s->tokens[s->n + path[n - 1 - i]];
	s->n += n;
	s->n_tree = 0;
}

static inline int fake_ids(struct tdm_session *session, int32_t *out, int cap) {
	struct fake_session *s = (struct fake_session *)session;
	memcpy(out, s->tokens, (size_t)(s->n < cap ? s->n : cap) * sizeof *out);
	return s->n;
}

static inline const float *fake_hidden(struct tdm_session *session, int row) {
	(void)session, (void)row;
	return NULL;
}

static inline int fake_length(struct tdm_session *session) {
	return ((struct fake_session *)session)->n;
}

static inline int fake_rewind(struct tdm_session *session, int length) {
	struct fake_session *s = (struct fake_session *)session;
	if (length > s->n)
		return TDM_EVALUE;
	s->n = length;
	s->n_rows = s->n_tree = 0;
	return TDM_OK;
}

static inline size_t fake_piece(struct tdm_session *session, int32_t token, const char **text) {
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	struct fake_session *s = (struct fake_session *)session;
	*text = s->fake->pieces ? s->fake->pieces[token] : letters + token;
	return token == s->fake->end ? 0 : s->fake->pieces ? strlen(*text) : 1;
}

// The longest token at each place. No token there: -1.
static inline int fake_tokenize(struct tdm_session *session, const char *text, size_t len, int32_t *out, int cap) {
	const char *piece;
	int count = 0;
	for (size_t at = 0, best; at < len; at += best, count++) {
		best = 0;
		for (int32_t i = 0; i < session->n_vocab; i++) {
			size_t n = fake_piece(session, i, &piece);
			if (n <= best || n > len - at || memcmp(piece, text + at, n) != 0)
				continue;
			best = n;
			if (count < cap)
				out[count] = i;
		}
		if (best == 0)
			return -1;
	}
	return count;
}

static inline bool fake_is_end(struct tdm_session *session, int32_t token) {
	return token == ((struct fake_session *)session)->fake->end;
}

static inline void fake_close(struct tdm_session *session) {
	struct fake_session *s = (struct fake_session *)session;
	s->fake->open_sessions--;
	free(s->tokens);
	free(s);
}

static inline int fake_fork(struct tdm_session *session, struct tdm_run *run, struct tdm_session **out) {
	struct fake_session *from = (struct fake_session *)session, *copy = malloc(sizeof *copy);
	if (!copy)
		return tdm_fail(&run->error, TDM_ENOMEM, "fake: no memory");
	*copy = *from;
	copy->tokens = malloc((size_t)from->fake->context * sizeof(int32_t));
	memcpy(copy->tokens, from->tokens, (size_t)from->n * sizeof(int32_t));
	from->fake->open_sessions++;
	*out = &copy->session;
	return TDM_OK;
}

static inline int fake_open(struct tdm_model *m, struct tdm_run *run, struct tdm_session **out) {
	static const struct tdm_session_ops ops = {
	    .prompt = fake_prompt,
	    .eval = fake_eval,
	    .keep = fake_keep,
	    .ids = fake_ids,
	    .logits = fake_logits,
	    .hidden = fake_hidden,
	    .length = fake_length,
	    .rewind = fake_rewind,
	    .fork = fake_fork,
	    .piece = fake_piece,
	    .is_end = fake_is_end,
	    .tokenize = fake_tokenize,
	    .close = fake_close,
	};
	struct fake *f = (struct fake *)m;
	struct fake_session *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(&run->error, TDM_ENOMEM, "fake: no memory");
	*s = (struct fake_session){.fake = f, .tokens = calloc((size_t)f->context, sizeof(int32_t))};
	s->session = (struct tdm_session){.ops = &ops, .model = m, .n_vocab = f->n_vocab, .context = f->context};
	s->session.vocab_id = f->vocab_id;
	f->open_sessions++;
	*out = &s->session;
	return TDM_OK;
}

static inline void fake_init(struct fake *f, const char *name, const float *table, int n_rows, int n_vocab) {
	static const struct tdm_model_ops ops = {.open = fake_open};
	*f = (struct fake){.table = table, .n_rows = n_rows, .n_vocab = n_vocab, .context = 64, .prompt_tokens = 3};
	f->model = (struct tdm_model){.ops = &ops, .name = name, .can = TDM_CAN_STEP};
	f->end = f->tail = -1;
	f->vocab_id = 7;
}
