#include "models/local/lockstep.h"
#include "base/clock.h"
#include "models/local/joint.h"
#include "models/together.h"
#include <stdlib.h>
#include <string.h>

struct lockstep {
	struct tdm_session session;
	struct tdm_session *members[TDM_LOCKSTEP_MAX];
	int n;
	tdm_lockstep_rule *rule;
	const void *settings;
	float *rows;      // combined rows of the last eval, made when asked for
	uint8_t *is_made; // per row
	int n_rows, cap;  // of the last eval; room
	struct tdm_lockstep_stats stats;
};

static struct lockstep *of(struct tdm_session *s) {
	return (struct lockstep *)s;
}

static int make_room(struct lockstep *l, struct tdm_run *run, int n_rows) {
	if (n_rows > l->cap) {
		free(l->rows);
		free(l->is_made);
		l->rows = calloc((size_t)n_rows * (size_t)l->session.n_vocab, sizeof *l->rows);
		l->is_made = calloc((size_t)n_rows, 1);
		l->cap = l->rows && l->is_made ? n_rows : 0;
		if (!l->cap)
			return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for %d rows", l->session.model->name, n_rows);
	}
	memset(l->is_made, 0, (size_t)n_rows);
	l->n_rows = n_rows;
	return TDM_OK;
}

static int prompt(struct tdm_session *s, struct tdm_run *run, const struct tdm_request *request,
                  const struct tdm_tail *tail) {
	struct lockstep *l = of(s);
	int64_t started_us = tdm_now_us();
	int status = make_room(l, run, 1);
	s->context = INT32_MAX;
	if (status == TDM_OK)
		status = tdm_together_prompt(run, request, l->members, l->n);
	l->stats.us += tdm_now_us() - started_us;
	l->stats.passes++;
	s->prompt_tokens = l->members[0]->prompt_tokens;
	s->cached_tokens = l->members[0]->cached_tokens;
	for (int m = 0; m < l->n; m++) { // lengths are the leader's; the member with the least room for an answer ends it
		int room = l->members[m]->context - l->members[m]->prompt_tokens;
		if (room < s->context - s->prompt_tokens)
			s->context = s->prompt_tokens + room;
	}
	return status;
}

// Member m is as long as the leader, but for its own rendering of the prompt.
static int rewind_member(struct lockstep *l, int m, int length) {
	struct tdm_session *member = l->members[m];
	return member->ops->rewind(member, length - l->session.prompt_tokens + member->prompt_tokens);
}

static int length(struct tdm_session *s) {
	return of(s)->members[0]->ops->length(of(s)->members[0]);
}

static int eval(struct tdm_session *s, struct tdm_run *run, const int32_t *tokens, const int *parents, int n) {
	struct lockstep *l = of(s);
	int before = length(s), m = 0;
	int64_t started_us = tdm_now_us();
	int status = make_room(l, run, n);
	for (; m < l->n && status == TDM_OK; m++)
		status = l->members[m]->ops->eval(l->members[m], run, tokens, parents, n);
	l->stats.us += tdm_now_us() - started_us;
	l->stats.passes++;
	if (status == TDM_OK)
		return TDM_OK;
	for (int back = 0; back + 1 < m; back++) // all members as before the call
		rewind_member(l, back, before);
	l->n_rows = 0;
	return status;
}

static void keep(struct tdm_session *s, int node) {
	for (int m = 0; m < of(s)->n; m++)
		of(s)->members[m]->ops->keep(of(s)->members[m], node);
}

static const float *logits(struct tdm_session *s, int row) {
	struct lockstep *l = of(s);
	const float *rows[TDM_LOCKSTEP_MAX];
	float *out = l->rows + (size_t)row * (size_t)s->n_vocab;
	if (l->is_made[row])
		return out;
	for (int m = 0; m < l->n; m++)
		rows[m] = l->members[m]->ops->logits(l->members[m], row);
	l->rule(l->settings, rows, l->n, s->n_vocab, out);
	l->is_made[row] = 1;
	l->stats.rows++;
	int32_t best = tdm_argmax(out, s->n_vocab);
	for (int m = 0; m < l->n; m++)
		l->stats.differs[m] += best != tdm_argmax(rows[m], s->n_vocab);
	return out;
}

static int rewind_all(struct tdm_session *s, int to) {
	struct lockstep *l = of(s);
	int status = TDM_OK;
	for (int m = 0; m < l->n && status == TDM_OK; m++)
		status = rewind_member(l, m, to);
	l->n_rows = 0;
	return status;
}

static size_t piece(struct tdm_session *s, int32_t token, const char **text) {
	return of(s)->members[0]->ops->piece(of(s)->members[0], token, text);
}

static bool is_end(struct tdm_session *s, int32_t token) {
	return of(s)->members[0]->ops->is_end(of(s)->members[0], token);
}

static int tokenize(struct tdm_session *s, const char *text, size_t len, int32_t *out, int cap) {
	return of(s)->members[0]->ops->tokenize(of(s)->members[0], text, len, out, cap);
}

static const struct tdm_token_tree *tokens_of_leader(struct tdm_session *s, struct tdm_run *run) {
	struct tdm_session *leader = of(s)->members[0];
	return leader->ops->tokens ? leader->ops->tokens(leader, run) : NULL;
}

static void close_all(struct tdm_session *s) {
	struct lockstep *l = of(s);
	for (int m = 0; m < l->n; m++)
		l->members[m]->ops->close(l->members[m]);
	free(l->rows);
	free(l->is_made);
	free(l);
}

static const float *no_hidden(struct tdm_session *s, int row) {
	return NULL;
}

static int fork_all(struct tdm_session *s, struct tdm_run *run, struct tdm_session **out);

static const struct tdm_session_ops ops = {
    .prompt = prompt,
    .eval = eval,
    .keep = keep,
    .logits = logits,
    .hidden = no_hidden,
    .length = length,
    .rewind = rewind_all,
    .fork = fork_all,
    .piece = piece,
    .is_end = is_end,
    .tokenize = tokenize,
    .close = close_all,
    .tokens = tokens_of_leader,
};

// The copy has no rows until its first eval.
static int fork_all(struct tdm_session *s, struct tdm_run *run, struct tdm_session **out) {
	struct lockstep *from = of(s), *copy = calloc(1, sizeof *copy);
	if (!copy)
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a session", s->model->name);
	copy->session = from->session;
	copy->rule = from->rule;
	copy->settings = from->settings;
	int status = TDM_OK;
	for (int m = 0; m < from->n && status == TDM_OK; m++) {
		status = from->members[m]->ops->fork(from->members[m], run, &copy->members[m]);
		copy->n += status == TDM_OK;
	}
	if (status != TDM_OK) {
		close_all(&copy->session);
		return status;
	}
	*out = &copy->session;
	return TDM_OK;
}

int tdm_lockstep_open(struct tdm_model *by, struct tdm_model *const *members, size_t n, tdm_lockstep_rule *rule,
                      const void *settings, struct tdm_run *run, struct tdm_session **out) {
	if (n == 0 || n > TDM_LOCKSTEP_MAX)
		return tdm_fail(&run->error, TDM_EVALUE, "%s: %zu members, expected 1 to %d", by->name, n, TDM_LOCKSTEP_MAX);
	struct lockstep *l = calloc(1, sizeof *l);
	if (!l)
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for a session", by->name);
	l->rule = rule;
	l->settings = settings;
	int status = TDM_OK;
	for (size_t m = 0; m < n && status == TDM_OK; m++) {
		status = members[m]->ops->open(members[m], run, &l->members[m]);
		l->n += status == TDM_OK;
		if (status == TDM_OK)
			status = tdm_joint_check(run, by->name, l->members[0], l->members[m]);
	}
	if (status != TDM_OK) {
		close_all(&l->session);
		return status;
	}
	l->session = *l->members[0];
	l->session.ops = &ops;
	l->session.model = by;
	*out = &l->session;
	return TDM_OK;
}

const struct tdm_lockstep_stats *tdm_lockstep_stats(const struct tdm_session *session) {
	return &((const struct lockstep *)session)->stats;
}

const struct tdm_session *tdm_lockstep_member(const struct tdm_session *session, size_t m) {
	return ((const struct lockstep *)session)->members[m];
}
