// Fit of a projection (models/local/projection.h): a large model's states of a prompt, added to a small one's
// embeddings, so that the small one says what the conversations say. Next-token loss on the last answer of each; the
// large model is frozen and reads the prompt as it does when it serves; the small one is frozen too, or learns with the
// projection (LLM-to-SLM, arXiv 2402.16844).
#pragma once
#include "base/option.h"
#include <signal.h>

struct tdm_fit_states_options {
	const char *small, *large, *data, *valid, *out, *small_out, *checkpoint;
	int64_t layers, hidden, context, steps, batch_tokens, warmup, seed, every, valid_limit;
	double lr, small_lr, min_lr, clip, beta2;
};
enum { TDM_FIT_STATES_OPTIONS = 21 };
extern const struct tdm_option tdm_fit_states_table[TDM_FIT_STATES_OPTIONS];

// Until `steps`, or *stop is set (may be NULL): then the state is in the checkpoint file, from which a later run goes
// on. The projection begins with an outer matrix of zeros, which is the small model alone. Figures go to the log.
// Error: TDM_EVALUE (options, vocabularies or chat formats that do not fit), and what files give.
int tdm_fit_states(const struct tdm_fit_states_options *options, const volatile sig_atomic_t *stop,
                   struct tdm_error *err);
