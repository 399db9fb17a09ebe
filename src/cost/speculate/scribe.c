// The two ways of writing. A model that is asked for words answers a call with more of them than are wanted at once, so
// that a round trip pays for several steps: as long as the answer goes the way it wrote, the rest is there already.
#include "cost/speculate/scribe.h"
#include "base/clock.h"
#include "models/collect.h"
#include "models/local/joint.h"
#include "models/keeper.h"
#include "models/shadow.h"
#include <stdlib.h>

enum { AT_ONCE = 64, TEXT_LIMIT = 1 << 16 }; // tokens asked of a model; bytes of what it may answer

struct tdm_scribe {
	struct tdm_model *model;
	const struct tdm_request *request;
	double min_prob;
	struct tdm_bytes draft; // what was written last
	size_t at;              // after how much of the answer
	bool is_end;            // and the answer ended with it
	bool is_silent;
	struct tdm_error why;
	struct tdm_run run;          // its own: what goes wrong with a draft is not the answer's failure
	struct tdm_session *session; // NULL: none yet, or a model that is asked
	struct tdm_shadow *shadow;
	struct tdm_keeper *keeper; // of the wanted form, so that it does not draft what cannot come; NULL: none
	int64_t us, passes, tokens;
};

struct tdm_scribe *tdm_scribe_new(struct tdm_model *model, const struct tdm_request *request, double min_prob) {
	struct tdm_scribe *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	*s = (struct tdm_scribe){.model = model, .request = request, .min_prob = min_prob};
	tdm_bytes_init(&s->draft, TEXT_LIMIT);
	return s;
}

const char *tdm_scribe_silence(const struct tdm_scribe *s) {
	return s->is_silent ? s->why.text : NULL;
}

static void fall_silent(struct tdm_scribe *s, const struct tdm_error *why) {
	s->is_silent = true;
	s->why = *why;
	tdm_bytes_clear(&s->draft);
}

// --- a session

static int open_session(struct tdm_scribe *s, struct tdm_run *run) {
	int status = s->model->ops->open(s->model, run, &s->session);
	if (status == TDM_OK)
		status = s->session->ops->prompt(s->session, run, s->request, NULL);
	if (status != TDM_OK)
		return status;
	s->passes++;
	if (tdm_keeper_open(run, s->request, s->session, &s->keeper) != TDM_OK)
		tdm_error_clear(&run->error); // the target keeps it
	s->shadow = tdm_shadow_new(s->session);
	return s->shadow ? TDM_OK : tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for a draft", s->model->name);
}

// The row without what the wanted form excludes, as long as the answer in these tokens is in the form.
static const float *keep_form(struct tdm_scribe *s, const float *logits) {
	int n;
	const int32_t *tokens = tdm_shadow_tokens(s->shadow, &n);
	const float *row = tdm_keeper_row(s->keeper, tokens, n, logits);
	if (row)
		return row;
	tdm_error_clear(&s->run.error);
	tdm_keeper_close(s->keeper);
	s->keeper = NULL;
	return logits;
}

// The most likely token of a row, unless all of the draft is then too unlikely or the answer ends.
static bool choose(struct tdm_scribe *s, const float *logits, double *path) {
	const struct tdm_session_ops *ops = s->session->ops;
	const char *piece;
	logits = keep_form(s, logits);
	int32_t best = tdm_argmax(logits, s->session->n_vocab);
	if (s->min_prob > 0)
		*path /= tdm_exp_sum(logits, s->session->n_vocab, logits[best]);
	if (*path < s->min_prob)
		return false;
	s->is_end = ops->is_end(s->session, best);
	size_t n = ops->piece(s->session, best, &piece);
	if (s->is_end || n == 0)
		return false;
	tdm_bytes_add(&s->draft, piece, n);
	s->tokens++;
	return !s->draft.failed;
}

static int draft_tokens(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len, int n) {
	struct tdm_bytes text;
	const float *logits = NULL;
	double path = 1;
	int status = s->session ? TDM_OK : open_session(s, run);
	tdm_bytes_init(&text, (size_t)1 << 30);
	tdm_bytes_add(&text, answer, len);
	for (int i = 0; status == TDM_OK && i < n; i++) {
		size_t had = s->draft.len;
		status = text.failed ? tdm_fail(&run->error, TDM_ENOMEM, "no memory for a draft")
		                     : tdm_shadow_follow(s->shadow, run, text.data ? text.data : "", text.len, &logits);
		s->passes++;
		if (status != TDM_OK || !logits || !choose(s, logits, &path))
			break;
		tdm_bytes_add(&text, s->draft.data + had, s->draft.len - had);
	}
	tdm_bytes_release(&text);
	return status;
}

// --- a model

// The request with the answer so far as what its writer has said already.
static int goes_on(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len, struct tdm_request *out) {
	const struct tdm_request *rq = s->request;
	size_t n = rq->n_messages;
	bool is_open = rq->raw || (n && rq->messages[n - 1].from == TDM_FROM_ASSISTANT);
	struct tdm_message *messages = tdm_arena_array(run->arena, n + 1, sizeof *messages), *last;
	struct tdm_raw *raw = tdm_arena_alloc(run->arena, sizeof *raw);
	if (!messages || !raw)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory to ask model %s for a draft", s->model->name);
	memcpy(messages, rq->messages, n * sizeof *messages);
	last = &messages[is_open ? n - 1 : n];
	if (!is_open)
		*last = (struct tdm_message){.from = TDM_FROM_ASSISTANT};
	char *text = tdm_arena_alloc(run->arena, last->len + len + 1);
	if (!text)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory to ask model %s for a draft", s->model->name);
	if (last->len)
		memcpy(text, last->text, last->len);
	memcpy(text + last->len, answer, len);
	last->text = text;
	last->len += len;
	tdm_request_init(out);
	out->messages = messages;
	out->n_messages = is_open || len == 0 ? n : n + 1;
	out->raw = rq->raw ? raw : NULL;
	out->max_tokens = AT_ONCE;
	out->temperature = 0;
	out->purpose = "draft";
	return TDM_OK;
}

static int ask(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len) {
	struct tdm_collect words;
	struct tdm_result result = {0};
	struct tdm_request request;
	int status = goes_on(s, run, answer, len, &request);
	tdm_collect_init(&words, TEXT_LIMIT - 1, NULL, NULL);
	if (status == TDM_OK)
		status = tdm_generate(s->model, run, &request, &words.sink, &result);
	if (status == TDM_OK)
		tdm_bytes_add(&s->draft, words.text.data, words.text.len);
	s->is_end = status == TDM_OK && result.finish == TDM_FINISH_STOP;
	tdm_collect_release(&words);
	return status;
}

// --- writing

// Whether the answer has gone the way that was written before, and there is some left.
static bool has_rest(const struct tdm_scribe *s, const char *answer, size_t len) {
	if (len < s->at || len - s->at > s->draft.len || !s->draft.data)
		return false;
	size_t n = len - s->at;
	return (n < s->draft.len || s->is_end) && !memcmp(s->draft.data, answer + s->at, n);
}

static int write_anew(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len, int n) {
	tdm_bytes_clear(&s->draft);
	s->at = len;
	s->is_end = false;
	return s->model->can & TDM_CAN_STEP ? draft_tokens(s, run, answer, len, n) : ask(s, run, answer, len);
}

void tdm_scribe_write(struct tdm_scribe *s, struct tdm_run *run, const char *answer, size_t len, int n, int64_t most_us,
                      struct tdm_written *out) {
	int64_t start_us = tdm_now_us();
	*out = (struct tdm_written){0};
	if (s->is_silent)
		return;
	struct tdm_run *own = &s->run;
	*own = *run;
	bool is_step = s->model->can & TDM_CAN_STEP;
	if (!is_step && most_us > 0 && (!own->deadline_us || start_us + most_us < own->deadline_us))
		own->deadline_us = start_us + most_us;
	int status = !is_step && has_rest(s, answer, len) ? TDM_OK : write_anew(s, own, answer, len, n);
	s->us += tdm_now_us() - start_us;
	if (status != TDM_OK && status != TDM_EDEADLINE)
		fall_silent(s, &own->error);
	if (status != TDM_OK)
		return;
	size_t used = len - s->at;
	*out = (struct tdm_written){s->draft.data ? s->draft.data + used : "", s->draft.len - used, s->is_end};
}

void tdm_scribe_free(struct tdm_scribe *s, struct tdm_run *run, int status) {
	if (!s)
		return;
	struct tdm_call *c =
	    s->session ? tdm_joint_record(run, s->session, "draft", s->is_silent ? s->why.status : status, s->tokens, s->us)
	               : NULL;
	if (c)
		c->passes = s->passes;
	tdm_shadow_free(s->shadow);
	tdm_keeper_close(s->keeper);
	if (s->session)
		s->session->ops->close(s->session);
	tdm_bytes_release(&s->draft);
	free(s);
}
