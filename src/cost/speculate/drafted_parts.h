// Inside of an answer that is drafted (drafted.h): its state, and what drafting.c does for drafted.c.
#pragma once
#include "cost/speculate/drafted.h"
#include "models/together.h"

struct tdm_side { // one session and what it has done
	struct tdm_session *session;
	int seen; // answer tokens it has evaluated
	int64_t passes, us;
};

// What the draft does while the target verifies: it takes its draft for accepted, guesses the target's own token after
// it, and drafts on. For answers without chance and form: nothing is drawn that could be for nothing.
struct tdm_ahead {
	struct tdm_apart apart;
	bool is_on;
	atomic_bool is_enough; // the target has come back: what there is will do
	int32_t guess, drafted[TDM_DRAFT_MOST];
	int n;
};

struct tdm_bush; // bush.h

struct tdm_drafted {
	struct tdm_run *run;
	const struct tdm_drafted_kind *kind;
	const struct tdm_request *asked;
	struct tdm_request request; // with the limit of the answer
	struct tdm_side target, draft;
	struct tdm_sampling sampling;
	bool is_greedy;
	struct tdm_rng draw, accept, replace;
	int n_vocab, gamma, opening;
	bool is_timed, is_off; // gamma is chosen by time; the draft is left alone
	struct tdm_pace pace;
	int tried;       // gamma of the draft that is there
	int32_t *tokens; // of the answer so far (the target has not evaluated the last one), with room for a draft
	int n_tokens;
	int32_t drafted[TDM_DRAFT_MOST];
	int n_drafted;
	bool has_more; // of cascades: q holds the draft's row after all of them, and `more` what it says best there
	int32_t more;
	double path;     // how likely all of it is, as the draft sees it
	bool is_drafted; // the draft for the next step is there
	struct tdm_ahead ahead;
	struct tdm_bush *bush; // of trees
	int64_t all_drafted, all_accepted;
	int64_t accepted_at[TDM_DRAFT_MOST]; // by their place in a draft
	size_t prompt_bytes;
	int64_t start_us, prompt_us;
	float *p, *q; // the target's row in work; one row for each drafted token, of cascades one more
	struct tdm_writer *writer;
	struct tdm_keeper *keeper; // of the wanted form: masks the rows of both sides alike
	int failed;                // status of a row that could not be masked
	struct tdm_apart apart;    // the draft's opening
	bool is_opened;            // it is over
	int opened;                // its status
	int64_t waited_us;         // for it
};

// parents: of a tree, which is not counted as seen; NULL: a chain.
int tdm_side_append(struct tdm_side *side, struct tdm_run *run, const int32_t *tokens, const int *parents, int n);
int tdm_side_forget(struct tdm_side *side, int seen); // all but the first `seen` tokens of the answer

// The row after the answer so far and `extra` drafted tokens, without what the wanted form excludes.
const float *tdm_draft_row(struct tdm_drafted *a, const float *logits, int extra);
// The distribution there. Without sampling and penalty the logits themselves will do: only their largest is looked at.
const float *tdm_draft_transform(struct tdm_drafted *a, const float *logits, int extra, float *probs);
// The same at temperature 1 where there is no chance: what cascades weigh.
void tdm_draft_weigh(const struct tdm_drafted *a, const float *row, int extra, float *probs);
// As many of `gamma` tokens after an answer of n as the token limit and the draft's context leave room for.
int tdm_draft_fitting(const struct tdm_drafted *a, int n, int gamma);
// At most gamma tokens after the answer so far. run: of the thread that drafts.
int tdm_draft_make(struct tdm_drafted *a, struct tdm_run *run, int gamma);
int tdm_draft_clip(struct tdm_drafted *a, int n); // keeps at most n drafted tokens; of the last the draft has no row
// Drafts on, on a thread of its own, until it is stopped. run: of the thread that starts it.
void tdm_draft_ahead(struct tdm_drafted *a, const struct tdm_run *run);
bool tdm_draft_stop(struct tdm_drafted *a); // after the target's pass, whatever came of it. True: there is a draft

// What drafted.c does for trees too.
int tdm_draft_emit(struct tdm_drafted *a, int32_t token, int row); // one more token of the answer, of the target's row
// A draft of n tokens was made and verified. What was drafted ahead has taken no time; an answer's last drafts are cut,
// which says nothing of others.
void tdm_draft_timed(struct tdm_drafted *a, int n, int64_t made_us, int64_t pass_us);
void tdm_draft_choose(struct tdm_drafted *a); // how many tokens the next draft may have, by time

// Verifies what the target has just evaluated; a->failed where a row could not be masked.
struct tdm_verified tdm_draft_verify(struct tdm_drafted *a);
