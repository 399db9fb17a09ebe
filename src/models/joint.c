#include "models/joint.h"

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

int32_t tdm_joint_choose(const struct tdm_sampling *s, const float *logits, int n_vocab, const int32_t *recent,
                         int n_recent, float *probs, struct tdm_rng *rng) {
	if (s->temperature <= 0 && s->repeat_penalty == 1)
		return tdm_argmax(logits, n_vocab);
	tdm_sampling_probs(s, logits, n_vocab, recent, n_recent, probs);
	return s->temperature <= 0 ? tdm_argmax(probs, n_vocab) : tdm_sample(probs, n_vocab, rng);
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
	    .completion_tokens = completion_tokens,
	    .cost = ((double)session->prompt_tokens * price->in + (double)completion_tokens * price->out) / 1e6,
	    .us = us,
	    .attempt = 1,
	};
	run->record->model_us += us;
	return tdm_record_call(run->record, &call);
}
