// Sources: the record of a call, the same for all of them.
#include "models/sources.h"
#include "base/clock.h"
#include "ledger/metric.h"
#include "models/account.h"
#include "models/local/joint.h"
#include "models/spans.h"
#include <string.h>

int64_t tdm_estimate_tokens(size_t bytes) {
	return (int64_t)((bytes + 3) / 4);
}

size_t tdm_request_bytes(const struct tdm_request *request) {
	size_t n = 0;
	for (size_t i = 0; i < request->n_messages; i++) {
		const struct tdm_message *m = &request->messages[i];
		n += m->len;
		for (size_t k = 0; k < m->n_calls; k++)
			n += strlen(m->calls[k].name) + m->calls[k].len;
	}
	for (size_t i = 0; i < request->tools.n; i++) {
		const struct tdm_tool *t = &request->tools.items[i];
		n += strlen(t->name) + (t->description ? strlen(t->description) : 0) + t->len;
	}
	return n;
}

struct tdm_call *tdm_source_called(const struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                                   const char *standard, int64_t started_us, int status,
                                   const struct tdm_result *result) {
	struct tdm_call call = {.model = m->name, .status = tdm_call_status(status), .attempt = 1};
	call.purpose = request && request->purpose ? request->purpose : standard;
	call.prompt_tokens = result->prompt_tokens;
	call.completion_tokens = result->completion_tokens;
	call.cached_tokens = result->cached_tokens;
	call.reasoning_tokens = result->reasoning_tokens;
	call.estimated = result->estimated;
	call.cost = ((double)call.prompt_tokens * m->price.in + (double)call.completion_tokens * m->price.out) / 1e6;
	call.us = tdm_now_us() - started_us;
	run->record->model_us += call.us;
	if (m->kind == &tdm_kind_local) {
		tdm_metric_add(TDM_METRIC_ENGINE_PROMPT, (double)call.prompt_tokens, TDM_LABELS(m->name));
		tdm_metric_add(TDM_METRIC_ENGINE_WRITTEN, (double)call.completion_tokens, TDM_LABELS(m->name));
	}
	tdm_spend_charge(run, &call);
	tdm_span_called(run, m, &call, started_us);
	return tdm_record_call(run->record, &call);
}
