// Errand: one way to ask for words, vectors and judgements.
#include "models/errand.h"
#include <string.h>

int tdm_errand_try(const struct tdm_errand *e, struct tdm_model *m, struct tdm_run *run, bool *shown) {
	*shown = false;
	if (e->needs == TDM_CAN_EMBED)
		return tdm_embed_all(m, run, e->inputs, e->n, e->vectors, e->width);
	if (e->needs == TDM_CAN_SCORE)
		return tdm_score(m, run, e->request, e->texts, e->n, e->logprobs, e->n_tokens);
	return tdm_attempt(m, run, e->request, e->hold, e->sink, e->result, shown);
}

int tdm_errand_check(const struct tdm_build *b, const struct tdm_model *policy) {
	if (policy->can & TDM_ERRANDS)
		return TDM_OK;
	return tdm_fail(b->error, TDM_ECONFIG,
	                "%s: its models have nothing in common: expected all to write text, to make "
	                "vectors (embed) or to judge texts (score)",
	                b->where);
}

// --- a policy with one way

static int go(struct tdm_model *m, struct tdm_run *run, const struct tdm_errand *e) {
	struct tdm_runner *r = (struct tdm_runner *)m;
	return r->way(r, run, e);
}

int tdm_runner_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                        struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_errand e = {.needs = TDM_CAN_TEXT, .request = request, .sink = sink, .result = result};
	return go(m, run, &e);
}

int tdm_runner_embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                     const float **out, int *width) {
	struct tdm_message first = {.from = TDM_FROM_USER, .text = n ? texts[0].text : "", .len = n ? texts[0].len : 0};
	struct tdm_request request;
	struct tdm_errand e = {.needs = TDM_CAN_EMBED, .request = &request, .inputs = texts, .n = n};
	tdm_request_init(&request);
	request.messages = &first;
	request.n_messages = 1;
	e.vectors = out;
	e.width = width;
	return go(m, run, &e);
}

int tdm_runner_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                     const char *const *texts, size_t n, double *logprobs, int *n_tokens) {
	struct tdm_errand e = {.needs = TDM_CAN_SCORE, .request = request, .texts = texts, .n = n};
	e.logprobs = logprobs;
	e.n_tokens = n_tokens;
	return go(m, run, &e);
}
