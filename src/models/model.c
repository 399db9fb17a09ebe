// Model: the way a model is called. The rule kept here: whatever a model is, a caller sees TDM_OK with a filled result
// or a negative status with one sentence in run->error, and a run that is cancelled or late starts nothing.
#include "models/model.h"
#include "base/clock.h"
#include "models/account.h"
#include "models/sources.h"
#include "models/spans.h"

void tdm_request_init(struct tdm_request *r) {
	*r = (struct tdm_request){.temperature = -1, .top_p = -1, .min_p = -1, .top_k = -1};
}

bool tdm_wants_tools(const struct tdm_request *r) {
	return r->tools.n && r->tools.choice != TDM_TOOLS_NONE;
}

int tdm_run_init(struct tdm_run *run, struct tdm_arena *arena, uint64_t seed) {
	*run = (struct tdm_run){.arena = arena, .seed = seed, .span = -1};
	run->objective.quality = run->objective.max_cost = NAN;
	run->record = tdm_arena_alloc(arena, sizeof *run->record);
	if (!run->record)
		return tdm_fail(&run->error, TDM_ENOMEM, "no memory for the record of a request");
	tdm_record_init(run->record, arena);
	run->record->seed = seed;
	return TDM_OK;
}

static bool is_set(const atomic_bool *flag) {
	return flag && atomic_load_explicit(flag, memory_order_relaxed);
}

int tdm_run_check(struct tdm_run *run) {
	for (struct tdm_run_hook *h = run->hook; h; h = h->next)
		h->look(h);
	if (is_set(run->cancelled) || is_set(run->given_up))
		return tdm_fail(&run->error, TDM_EGONE, "the client has left");
	if (run->deadline_us && tdm_now_us() >= run->deadline_us)
		return tdm_fail(&run->error, TDM_EDEADLINE, "the deadline of the request has passed");
	for (const struct tdm_begin *b = run->begin; b; b = b->outer)
		if (!atomic_load_explicit(&b->began, memory_order_relaxed) && tdm_now_us() >= b->until_us)
			return tdm_fail(&run->error, TDM_EDEADLINE, "the time for the first words has passed");
	return TDM_OK;
}

void tdm_run_saw(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request) {
	for (size_t i = 0; run->tap && i < request->n_messages; i++) {
		const struct tdm_message *m = &request->messages[i];
		run->tap->saw(run->tap, source, m->text, m->len);
		for (size_t k = 0; k < m->n_calls; k++)
			run->tap->saw(run->tap, source, m->calls[k].arguments, m->calls[k].len);
	}
	if (run->tap && request->form && request->form->kind != TDM_GRAMMAR_JSON)
		run->tap->saw(run->tap, source, request->form->text, request->form->len);
}

struct ear {              // hears what a source says, for the tap
	struct tdm_sink base; // first
	struct tdm_tap *tap;
	void *call;
};

static int hear(struct tdm_sink *sink, const struct tdm_event *event) {
	struct ear *e = (struct ear *)sink;
	e->tap->said(e->tap, e->call, event);
	return sink->next->put(sink->next, event);
}

static struct tdm_sink *listen_to(struct ear *e, struct tdm_run *run, const struct tdm_model *source,
                                  const struct tdm_request *request, struct tdm_sink *sink) {
	tdm_run_saw(run, source, request);
	if (!run->tap || !run->tap->asked)
		return sink;
	*e = (struct ear){{hear, sink}, run->tap, run->tap->asked(run->tap, source, request)};
	return &e->base;
}

// The most a call may cost is taken before, the rest given back after.
static int generate_paid(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_spending spending;
	int status = tdm_spend_begin(run, m, request, &spending);
	if (status)
		return status;
	run->paid = run;
	status = m->ops->generate(m, run, request, sink, result);
	run->paid = NULL;
	tdm_spend_end(run, &spending);
	return status;
}

int tdm_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                 struct tdm_result *result) {
	*result = (struct tdm_result){.served = m->name, .mean_logprob = NAN};
	if (!(m->can & TDM_CAN_TEXT))
		return tdm_fail(&run->error, TDM_ECAPABILITY, "model %s cannot write text", m->name);
	if (request->n_messages == 0)
		return tdm_fail_param(&run->error, TDM_EMISSING, "messages", "model %s was asked without a message", m->name);
	bool is_source = m->kind && m->kind->family == TDM_SOURCE;
	if (is_source && request->form && !(m->can & TDM_CAN_FORM))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, TDM_FORM_FIELD, TDM_CANNOT_FORM, m->name);
	if (tdm_wants_tools(request) && !(m->can & TDM_CAN_TOOLS))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, "tools", "tools: model %s cannot call tools", m->name);
	int status = tdm_run_check(run);
	if (status)
		return status;
	struct tdm_span_watch watch;
	struct ear ear;
	if (is_source)
		sink = listen_to(&ear, run, m, request, sink);
	sink = tdm_span_begin(&watch, run, m, request, sink);
	status = is_source && run->accounts && run->paid != run ? generate_paid(m, run, request, sink, result)
	                                                        : m->ops->generate(m, run, request, sink, result);
	tdm_span_end(&watch, status, result);
	if (status < 0) // a model that forgot its sentence still gives one
		return tdm_fail(&run->error, status, "model %s failed", m->name);
	return TDM_OK;
}

// Text by text.
static int embed_each(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                      const float **out, int *width) {
	int status = TDM_OK, first = 0;
	for (size_t i = 0; i < n && !status; i++) {
		status = tdm_run_check(run);
		if (!status)
			status = m->ops->embed(m, run, texts[i].text, texts[i].len, &out[i], width);
		first = i ? first : *width;
		if (!status && *width != first)
			status = tdm_fail(&run->error, TDM_EINTERNAL, "model %s made vectors of two widths", m->name);
	}
	return status;
}

int tdm_embed_all(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n, const float **out,
                  int *width) {
	if (!(m->can & TDM_CAN_EMBED) || !(m->ops->embed || m->ops->embed_all))
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, "model", "model %s makes no vectors of texts", m->name);
	int status = tdm_run_check(run);
	if (status)
		return status;
	bool is_source = m->kind && m->kind->family == TDM_SOURCE;
	for (size_t i = 0; run->tap && is_source && i < n; i++)
		run->tap->saw(run->tap, m, texts[i].text, texts[i].len);
	status = (m->ops->embed_all ? m->ops->embed_all : embed_each)(m, run, texts, n, out, width);
	return status < 0 ? tdm_fail(&run->error, status, "model %s failed", m->name) : TDM_OK;
}

int tdm_embed(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, const float **out, int *width) {
	return tdm_embed_all(m, run, &(struct tdm_words){text, len}, 1, out, width);
}

int tdm_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, const char *const *texts,
              size_t n, double *logprobs, int *n_tokens) {
	if (!(m->can & TDM_CAN_SCORE) || !m->ops->score)
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, "model", "model %s cannot judge texts", m->name);
	int status = tdm_run_check(run);
	if (!status)
		status = m->ops->score(m, run, request, texts, n, logprobs, n_tokens);
	return status < 0 ? tdm_fail(&run->error, status, "model %s failed", m->name) : TDM_OK;
}

static struct tdm_model *counter_of(struct tdm_model *m) {
	struct tdm_model *found = m->ops->count ? m : NULL;
	for (size_t i = 0; i < m->n_parts && !found; i++)
		found = counter_of(m->parts[i]);
	return found;
}

int tdm_count_prompt(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, int64_t *n,
                     bool *estimated) {
	struct tdm_model *counter = counter_of(m);
	*estimated = !counter;
	if (counter)
		return counter->ops->count(counter, run, request, n);
	*n = tdm_estimate_tokens(tdm_request_bytes(request));
	return TDM_OK;
}

void tdm_run_close(struct tdm_run *run, const struct tdm_run_end *end) {
	struct tdm_record *r = run->record;
	if (!end->status)
		r->state = end->finish == TDM_FINISH_STOP || end->finish == TDM_FINISH_CALLS ? TDM_COMPLETE : TDM_INCOMPLETE;
	else if (end->status == TDM_EGONE)
		r->state = TDM_CANCELLED;
	else
		r->state = tdm_status_info(end->status)->http < 500 && !end->shown ? TDM_REFUSED : TDM_FAILED;
	r->error_code = end->status ? tdm_status_info(end->status)->code : NULL;
	r->total_us = tdm_now_us() - r->created_us;
	r->baseline_cost =
	    ((double)end->prompt_tokens * end->dearest.in + (double)end->completion_tokens * end->dearest.out) / 1e6;
}
