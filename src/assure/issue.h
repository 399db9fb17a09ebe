// Issue: from a labelled table to a certificate, unsigned. Pure: equal input, equal certificate.
#pragma once
#include "assure/certificate.h"
#include "assure/labels.h"

#define TDM_BOUND_AUTO TDM_N_BOUNDS // binomial for losses of 0 and 1, betting for graded ones

struct tdm_issue {
	enum tdm_risk risk;
	const char *epsilon, *delta; // decimals between 0 and 1
	enum tdm_bound bound;        // never normal
	enum tdm_procedure procedure;
	bool each_group;       // the promise is made for every group, not for all together
	int64_t starts, steps; // grid: from, and in `steps` equal steps down to `to`
	double from, to;
	uint64_t seed;
	const char *subject, *loss, *loss_source, *models, *prompts, *gate, *config, *code;
	int64_t issued_us, days; // wall clock; how long it is in force
};
extern const char *const tdm_risk_names[TDM_N_RISKS];
#define TDM_RISK_CHOICES "joint|selective|class|net"

// Error: TDM_EVALUE (a claim that cannot be, scores outside the grid's reach, the normal bound, no threshold where not
// even keeping nothing is without loss), TDM_ENOMEM. A certificate whose lambda is "inf" promises for keeping nothing.
int tdm_issue_certificate(struct tdm_arena *arena, const struct tdm_issue *issue, const struct tdm_labels *table,
                          struct tdm_certificate *out, struct tdm_error *err);
// The issue that a certificate says it comes from, for finding it again. Error: TDM_ECONFIG.
int tdm_issue_again(const struct tdm_certificate *c, struct tdm_issue *out, struct tdm_error *err);
