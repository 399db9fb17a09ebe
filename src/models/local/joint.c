#include "models/local/joint.h"
#include "models/account.h"
#include "models/keeper.h"
#include "models/local/writer.h"

enum { REPEAT_WINDOW = 64 }; // when a request asks for a penalty and the model has no window of its own

struct tdm_sampling tdm_joint_sampling(const struct tdm_request *request, const struct tdm_session *session) {
	struct tdm_sampling s = session->own;
	if (request->temperature >= 0)
		s.temperature = request->temperature;
	if (request->top_k >= 0)
		s.top_k = request->top_k;
	if (request->top_p >= 0)
		s.top_p = request->top_p;
	if (request->min_p >= 0)
		s.min_p = request->min_p;
	if (request->repeat_penalty > 0)
		s.repeat_penalty = request->repeat_penalty;
	if (s.top_p <= 0)
		s.top_p = 1;
	if (s.repeat_penalty <= 0)
		s.repeat_penalty = 1;
	if (s.repeat_penalty != 1 && s.repeat_window <= 0)
		s.repeat_window = REPEAT_WINDOW;
	return s;
}

struct tdm_request tdm_joint_request(const struct tdm_request *request, const struct tdm_session *session) {
	struct tdm_request own = *request;
	if (own.max_tokens <= 0)
		own.max_tokens = session->max_tokens;
	return own;
}

int32_t tdm_joint_choose(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                         int n_recent, float *probs, struct tdm_rng *rng) {
	if (s->temperature <= 0 && s->repeat_penalty == 1)
		return tdm_argmax(logits, n_vocab);
	tdm_sampling_probs(s, logits, n_vocab, recent, n_recent, probs);
	return s->temperature <= 0 ? tdm_argmax(probs, n_vocab) : tdm_sample(probs, n_vocab, tdm_rng_double(rng));
}

int tdm_joint_check(struct tdm_run *run, const char *who, const struct tdm_session *a, const struct tdm_session *b) {
	if (a->vocab_id == b->vocab_id && a->n_vocab == b->n_vocab)
		return TDM_OK;
	return tdm_fail(&run->error, TDM_ECONFIG,
	                "%s: models %s and %s have different vocabularies, but must share one to decode token by token",
	                who, a->model->name, b->model->name);
}

const char *tdm_call_status(int status) {
	if (status == TDM_OK)
		return "ok";
	return status == TDM_EGONE || status == TDM_EDEADLINE ? "cancelled" : "failed";
}

struct tdm_call *tdm_joint_record(struct tdm_run *run, const struct tdm_session *session, const char *purpose,
                                  int status, int64_t completion_tokens, int64_t us) {
	const struct tdm_price *price = &session->model->price;
	struct tdm_call call = {
	    .model = session->model->name,
	    .purpose = purpose,
	    .status = tdm_call_status(status),
	    .prompt_tokens = session->prompt_tokens,
	    .cached_tokens = session->cached_tokens,
	    .completion_tokens = completion_tokens,
	    .cost = ((double)session->prompt_tokens * price->in + (double)completion_tokens * price->out) / 1e6,
	    .us = us,
	    .attempt = 1,
	};
	run->record->model_us += us;
	tdm_spend_charge(run, &call);
	return tdm_record_call(run->record, &call);
}

struct decoding {
	struct tdm_run *run;
	struct tdm_session *session;
	struct tdm_request request;
	struct tdm_writer *writer;
	struct tdm_keeper *keeper;
	struct tdm_sampling sampling;
	struct tdm_rng rng;
	float *probs;
	int32_t *answer;
	int n;
};

static int prepare(struct decoding *d, const struct tdm_request *request, const char *author, struct tdm_sink *sink) {
	struct tdm_session *s = d->session;
	int status = s->ops->prompt(s, d->run, request, NULL);
	if (status != TDM_OK)
		return status;
	d->sampling = tdm_joint_sampling(request, s);
	d->probs = tdm_arena_array(d->run->arena, (size_t)s->n_vocab, sizeof *d->probs);
	d->answer = tdm_arena_array(d->run->arena, (size_t)(s->context - s->prompt_tokens) + 1, sizeof *d->answer);
	d->request = tdm_joint_request(request, s);
	d->writer = tdm_writer_new(d->run, &d->request, s, sink, author);
	tdm_rng_stream(&d->rng, d->run->seed, author, request->draw);
	if (d->probs && d->answer && d->writer)
		return tdm_keeper_open(d->run, request, s, &d->keeper);
	return tdm_fail(&d->run->error, TDM_ENOMEM, "model %s: no memory for the answer", author);
}

// One token. TDM_SINK_ENOUGH when the answer has ended or the context is full.
static int decode(struct decoding *d) {
	struct tdm_session *s = d->session;
	const float *logits = s->ops->logits(s, 0);
	const float *row = tdm_keeper_row(d->keeper, d->answer, d->n, logits);
	if (!row)
		return d->run->error.status;
	int32_t token = tdm_joint_choose(&d->sampling, row, s->n_vocab, d->answer, d->n, d->probs, &d->rng);
	d->answer[d->n++] = token;
	int status = tdm_writer_token(d->writer, token, logits, NULL);
	if (status == TDM_OK)
		status = tdm_run_check(d->run);
	if (status != TDM_OK)
		return status;
	if (s->prompt_tokens + d->n > s->context)
		return TDM_SINK_ENOUGH;
	return s->ops->eval(s, d->run, &token, NULL, 1);
}

int tdm_joint_decode(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                     const char *author, struct tdm_sink *sink, struct tdm_result *result) {
	struct decoding d = {.run = run, .session = session};
	int status = prepare(&d, request, author, sink);
	while (status == TDM_OK)
		status = decode(&d);
	tdm_keeper_close(d.keeper);
	result->completion_tokens = d.n; // what a failed answer has cost
	return status < 0 ? status : tdm_writer_end(d.writer, result);
}
