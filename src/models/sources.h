// Sources: the models that answer by themselves, and what they share: the row that each call leaves in the record.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_local, tdm_kind_remote, tdm_kind_script;
struct tdm_remote_place { // where a remote sends to, by the names of telemetry
	const char *host;     // n_host bytes
	size_t n_host;
	int port;
	const char *provider, *model;
};
bool tdm_remote_place(const struct tdm_model *m, struct tdm_remote_place *out); // false: it is no remote
// What a remote's own settings say where a request leaves it open: negative temperature and max_tokens 0 = the
// upstream's.
bool tdm_remote_own(const struct tdm_model *m, double *temperature, int64_t *max_tokens); // false: it is no remote
bool tdm_remote_is_open(struct tdm_model *m); // a remote whose upstream is left alone for a moment
extern const struct tdm_kind tdm_kind_retry, tdm_kind_fallback, tdm_kind_pool, tdm_kind_deadline,
    tdm_kind_tools; // policies over them

// Where a kind's strings count tokens without a tokenizer: four bytes are about one token of English text.
int64_t tdm_estimate_tokens(size_t bytes);
size_t tdm_request_bytes(const struct tdm_request *request); // of all messages

// One call of a source from its start (tdm_now_us) to now. purpose: request->purpose wins over `standard`. The status
// of the row follows from `status`; cost from the model's price. The row, or NULL when out of memory.
struct tdm_call *tdm_source_called(const struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request,
                                   const char *standard, int64_t started_us, int status,
                                   const struct tdm_result *result);
