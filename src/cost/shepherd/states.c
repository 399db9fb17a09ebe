// States: the large model reads the prompt and writes nothing; what it made of each token is projected and added to the
// small model's embeddings, and the small one decodes alone (LLM-to-SLM, arXiv 2402.16844).
//
// The rule it protects: nothing else than these vectors passes from one to the other, so a projection of zeros is the
// small model alone, byte for byte.
#include "base/clock.h"
#include "cost/shepherd/shepherd.h"
#include "models/gate.h"
#include "models/local/joint.h"
#include "models/local/local.h"
#include "models/local/projection.h"
#include <stdio.h>
#include <stdlib.h>

static int open_large(struct tdm_herd *h, struct tdm_session **out) {
	struct tdm_model *large = h->c->large;
	struct tdm_session *whole = NULL;
	int layers = h->c->projector.layers, status = large->ops->open(large, h->run, &whole);
	*out = whole;
	if (status || !layers)
		return status;
	status = whole->ops->first(whole, h->run, layers, out);
	whole->ops->close(whole);
	return status;
}

// What the small one's embeddings are changed by: *vectors [*n][its width], to be freed.
static int read_prompt(struct tdm_herd *h, float **vectors, int *n) {
	const struct tdm_projector *p = &h->c->projector;
	int64_t started_us = tdm_now_us();
	struct tdm_session *s = NULL;
	float *states = NULL;
	*vectors = NULL;
	int status = open_large(h, &s);
	if (status)
		return status;
	status = tdm_local_states(s, h->run, h->request, &states);
	*n = s->prompt_tokens;
	if (!status) {
		*vectors = malloc((size_t)*n * (size_t)p->n_out * sizeof **vectors);
		status = *vectors ? TDM_OK : tdm_fail(&h->run->error, TDM_ENOMEM, "%s: no memory for states", h->c->model.name);
	}
	if (!status)
		status = tdm_projector_apply(p, states, *n, *vectors, &h->run->error);
	free(states);
	tdm_joint_record(h->run, s, "states", status, 0, tdm_now_us() - started_us);
	s->ops->close(s);
	return status;
}

static int write_answer(struct tdm_herd *h, const float *vectors, int n) {
	struct tdm_model *small = h->c->small;
	int64_t started_us = tdm_now_us();
	struct tdm_session *s = NULL;
	int status = small->ops->open(small, h->run, &s);
	if (status)
		return status;
	tdm_local_add(s, vectors, n);
	status = tdm_joint_decode(h->run, h->request, s, small->name, &h->seam.sink, h->result);
	h->written = h->result->completion_tokens;
	h->prompt_tokens = s->prompt_tokens;
	tdm_joint_record(h->run, s, "answer", status, h->written, tdm_now_us() - started_us);
	s->ops->close(s);
	return status;
}

static bool can_go_on(struct tdm_herd *h, struct tdm_model *failed, int status) {
	if (status >= 0 || h->seam.shown.len || h->seam.held.len || !tdm_gate_may_replace(status))
		return false;
	tdm_herd_warn_out(h, failed, status);
	h->why = failed == h->c->small ? "small failed" : "large failed";
	h->written = 0;
	return true;
}

int tdm_herd_states(struct tdm_herd *h) {
	struct tdm_model *small = h->c->small, *large = h->c->large;
	float *vectors = NULL;
	int n = 0;
	if (!tdm_herd_can_pay(h, large, 1)) {
		h->why = "max_cost";
		return tdm_herd_alone(h, small);
	}
	int status = read_prompt(h, &vectors, &n);
	if (status) {
		free(vectors);
		return can_go_on(h, large, status) ? tdm_herd_alone(h, small) : status;
	}
	status = write_answer(h, vectors, n);
	free(vectors);
	if (can_go_on(h, small, status))
		return tdm_herd_alone(h, large);
	h->choice = tdm_part_names[TDM_PART_STATES];
	h->authors[0] = large;
	h->authors[1] = small;
	snprintf(h->detail, sizeof h->detail, "large read %d tokens; ", n);
	return status;
}
