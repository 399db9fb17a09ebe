// What a router reads that is not text: see tdm_router_vector in router.h. What is fitted on and what is judged come
// from here, so that both see the same numbers.
#include "base/clock.h"
#include "models/local/joint.h"
#include "models/predict/probe.h"
#include "models/predict/router.h"
#include <string.h>

static struct tdm_request ask(struct tdm_message *message, const char *text, size_t n) {
	struct tdm_request request;
	*message = (struct tdm_message){.from = TDM_FROM_USER, .text = text, .len = n};
	tdm_request_init(&request);
	request.messages = message;
	request.n_messages = 1;
	return request;
}

static int read_row(enum tdm_router_reads reads, struct tdm_run *run, struct tdm_session *s, const float **out,
                    int *width) {
	double signs[TDM_N_ROW_SIGNS];
	const float *hidden = reads == TDM_ROUTER_READS_HIDDEN ? s->ops->hidden(s, 0) : NULL;
	if (reads == TDM_ROUTER_READS_HIDDEN && !hidden)
		return tdm_fail(&run->error, TDM_ECAPABILITY, "model %s: it does not show its hidden state", s->model->name);
	int n = hidden ? s->width : 0;
	float *x = tdm_arena_array(run->arena, (size_t)(TDM_N_ROW_SIGNS + n), sizeof *x);
	if (!x)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for its state", s->model->name);
	tdm_row_signs(s->ops->logits(s, 0), s->n_vocab, signs);
	for (int i = 0; i < TDM_N_ROW_SIGNS; i++)
		x[i] = (float)signs[i];
	if (hidden)
		memcpy(x + TDM_N_ROW_SIGNS, hidden, (size_t)n * sizeof *x);
	*out = x;
	*width = TDM_N_ROW_SIGNS + n;
	return TDM_OK;
}

static int read_state(enum tdm_router_reads reads, struct tdm_run *run, struct tdm_model *from, const char *text,
                      size_t n, const float **out, int *width) {
	struct tdm_message message;
	struct tdm_request request = ask(&message, text, n);
	struct tdm_session *s = NULL;
	int64_t started_us = tdm_now_us();
	int status = tdm_run_check(run);
	if (!status)
		status = from->ops->open(from, run, &s);
	if (!status)
		status = s->ops->prompt(s, run, &request, NULL);
	if (!status)
		status = read_row(reads, run, s, out, width);
	if (s) {
		tdm_joint_record(run, s, "judge", status, 0, tdm_now_us() - started_us);
		s->ops->close(s);
	}
	return status;
}

int tdm_router_vector(enum tdm_router_reads reads, struct tdm_run *run, struct tdm_model *from, const char *text,
                      size_t n, const float **out, int *width) {
	if (reads == TDM_ROUTER_READS_VECTOR)
		return tdm_embed(from, run, text, n, out, width);
	return read_state(reads, run, from, text, n, out, width);
}
