// Lock-step: several sessions write one text. Each member keeps a session of its own, with its own rendering of the
// request; a rule combines their raw logits into one row; the token chosen from that row is appended to all of them.
//
// The result is itself a session, so it can be decoded from, sampled from, verified against like any other. The rule
// sees raw logits; temperature and the other settings apply once, to what it made. The first member leads: its
// settings, its end tokens, its pieces. Members must share one vocabulary.
#pragma once
#include "models/model.h"

#define TDM_LOCKSTEP_MAX 8

// logits[m]: n_vocab raw logits of member m. out: the combined ones; -INFINITY = never.
typedef void tdm_lockstep_rule(const void *settings, const float *const *logits, int n_members, int n_vocab,
                               float *out);

struct tdm_lockstep_stats {
	int64_t rows, passes, us;          // rows combined; evals of each member, the prompt included; time in all of them
	int64_t differs[TDM_LOCKSTEP_MAX]; // rows whose largest logit is not that member's
};

// by: the model that the session belongs to. settings is passed to the rule and must outlive the session.
// Error: of the members, or TDM_ECONFIG when vocabularies differ. Nothing stays open then.
int tdm_lockstep_open(struct tdm_model *by, struct tdm_model *const *members, size_t n, tdm_lockstep_rule *rule,
                      const void *settings, struct tdm_run *run, struct tdm_session **out);
const struct tdm_lockstep_stats *tdm_lockstep_stats(const struct tdm_session *session);
const struct tdm_session *tdm_lockstep_member(const struct tdm_session *session, size_t m);
