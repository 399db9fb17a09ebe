// Task: one way to ask for words, vectors and judgements.
#include "models/task.h"
#include <string.h>

int tdm_task_try(const struct tdm_task *t, struct tdm_model *m, struct tdm_run *run, bool *shown) {
	*shown = false;
	if (t->needs == TDM_CAN_EMBED)
		return tdm_embed_all(m, run, t->inputs, t->n, t->vectors, t->width);
	if (t->needs == TDM_CAN_SCORE)
		return tdm_score(m, run, t->request, t->texts, t->n, t->logprobs, t->n_tokens);
	return tdm_attempt(m, run, t->request, t->hold, t->sink, t->result, shown);
}

int tdm_task_check(const struct tdm_build *b, const struct tdm_model *policy) {
	if (policy->can & TDM_TASKS)
		return TDM_OK;
	return tdm_fail(b->error, TDM_ECONFIG,
	                "%s: its models have nothing in common: expected all to write text, to make "
	                "vectors (embed) or to judge texts (score)",
	                b->where);
}

int tdm_task_generate(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                      struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_task t = {.needs = TDM_CAN_TEXT, .request = request, .sink = sink, .result = result};
	return way(m, run, &t);
}

int tdm_task_embed(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                   const float **out, int *width) {
	struct tdm_message first = {.from = TDM_FROM_USER, .text = n ? texts[0].text : "", .len = n ? texts[0].len : 0};
	struct tdm_request request;
	struct tdm_task t = {.needs = TDM_CAN_EMBED, .request = &request, .inputs = texts, .n = n};
	tdm_request_init(&request);
	request.messages = &first;
	request.n_messages = 1;
	t.vectors = out;
	t.width = width;
	return way(m, run, &t);
}

int tdm_task_score(tdm_task_way *way, struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                   const char *const *texts, size_t n, double *logprobs, int *n_tokens) {
	struct tdm_task t = {.needs = TDM_CAN_SCORE, .request = request, .texts = texts, .n = n};
	t.logprobs = logprobs;
	t.n_tokens = n_tokens;
	return way(m, run, &t);
}
