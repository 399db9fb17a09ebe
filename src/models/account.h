// Account: what a request may spend, and the one place where that is taken. A key's limits and budget, and the kinds
// limit and budget, are accounts on a run; a run has a chain of them.
//
// The rules it protects: every call of a source takes the most it may cost from every account of its run before it is
// made (tdm_generate asks here, so no fallback, sample, judge or repetition goes round it), and pays what it did cost
// when it has ended, however it ended. What a source uses without being asked through tdm_generate (sessions, scores,
// embeddings) is paid at once when it is known.
//
// An account is read-only while a run has it, but for `denied`. Money is counted in billionths of the currency.
#pragma once
#include "ledger/shared.h"
#include "models/model.h"

enum tdm_unit {
	TDM_UNIT_REQUESTS, // taken at the entry
	TDM_UNIT_PLACES,   // at the entry, until the request leaves
	TDM_UNIT_CALLS,    // of sources
	TDM_UNIT_TOKENS,   // of prompts and answers
	TDM_UNIT_MONEY,
};
enum tdm_budget_window { TDM_WINDOW_HOUR, TDM_WINDOW_DAY, TDM_WINDOW_WEEK, TDM_WINDOW_MONTH, TDM_WINDOW_TOTAL };
#define TDM_WINDOW_NAMES \
	"hour|day|week|month|total" // as choices of an option; days begin at 0:00 UTC, weeks on Mondays
enum tdm_when_down { TDM_DOWN_OPEN, TDM_DOWN_CLOSED, TDM_DOWN_LOCAL }; // when the shared state does not answer:
#define TDM_WHEN_DOWN_NAMES "open|closed|local" // as if there were no bound; 503; bounded in this process alone

struct tdm_quota {   // one bound
	const char *key; // in the shared state
	enum tdm_unit unit;
	enum tdm_meter meter; // WINDOW for budgets, RATE for limits of requests and tokens, SLOTS for places
	enum tdm_budget_window window;
	enum tdm_when_down when_down;
	int64_t limit, period_us; // period_us: of RATE and SLOTS
	const char *metric;       // WINDOW: by which name metrics tell what is left; NULL = they do not
};

enum { TDM_MOST_QUOTAS = 6 };
struct tdm_account {
	struct tdm_shared *shared;
	const char *who; // whose bound, in sentences: "key demo", "model cheap"
	struct tdm_quota quotas[TDM_MOST_QUOTAS];
	size_t n;
	int64_t answer_tokens;    // reserved for an answer whose request states no longest
	int64_t (*wall_us)(void); // tests; NULL = tdm_wall_us
	atomic_bool denied;       // it has refused a call
	struct tdm_account *next;
};

int64_t tdm_money(double amount);                                                       // billionths, rounded up
int64_t tdm_window_number(enum tdm_budget_window w, int64_t wall_us, int64_t *left_us); // *left_us: of it; 0 = for ever

// --- the entry: requests and places
struct tdm_visit {
	struct tdm_claim claims[TDM_MOST_QUOTAS];
	size_t quotas[TDM_MOST_QUOTAS]; // of each claim
	size_t n;
};
// TDM_OK; TDM_ERATE with err->retry_after_ms; TDM_ESTATE. Every visit that was let in must leave.
int tdm_account_enter(struct tdm_account *a, struct tdm_visit *visit, struct tdm_error *err);
void tdm_account_leave(struct tdm_account *a, struct tdm_visit *visit);

// --- calls of sources, for tdm_generate
struct tdm_spending {
	struct tdm_claim *claims;
	enum tdm_unit *units;
	const char **metrics;
	int64_t *used;
	size_t n;
	struct tdm_call **rows; // where the record's rows of this call begin
};
// TDM_OK; TDM_EQUOTA, TDM_ERATE, TDM_ESTATE or TDM_ENOMEM with run->error set.
int tdm_spend_begin(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request,
                    struct tdm_spending *s);
void tdm_spend_end(struct tdm_run *run, struct tdm_spending *s);
// Could the call be paid now? Takes nothing; the same errors. For sessions, which pay when they know.
int tdm_spend_check(struct tdm_run *run, const struct tdm_model *source, const struct tdm_request *request);
// What a call that nothing was taken for has used; a part of tdm_generate's is left to it.
void tdm_spend_charge(struct tdm_run *run, const struct tdm_call *call);
