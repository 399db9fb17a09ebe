// Delegate, inside: what delegate.c (the settings, one request), public.c (questions that are asked once) and rounds.c
// (a conversation with the large model) share.
#pragma once
#include "models/collect.h"
#include "privacy/mask/home.h"

struct tdm_delegate_options {
	int form, reply, then;
	bool list;
	const char *instruction;
	double leak, relevance, money, temperature;
	int64_t level, copied, rounds, tasks, chunk, overlap, samples, jobs, parallel, examples, keywords, wait_ms, tokens;
};
enum {
	TDM_FORM_SKETCH,
	TDM_FORM_REWRITE,
	TDM_FORM_KEYWORDS,
	TDM_FORM_EXAMPLES,
	TDM_FORM_RELEVANT,
	TDM_FORM_CHAT,
	TDM_FORM_JOBS
};
#define TDM_DELEGATE_COPIES "copies private words" // why nothing was sent
enum { TDM_REPLY_AUTO, TDM_REPLY_ANSWER, TDM_REPLY_OUTLINE, TDM_REPLY_CONTEXT };
extern const char *const tdm_delegate_forms[];

struct tdm_delegate {
	struct tdm_model model;
	struct tdm_delegate_options o;
	struct tdm_model *small, *large;
	struct tdm_detector detector;
	struct tdm_scanner *scanner; // NULL: a mask's
	int level;                   // the mask's
};

struct tdm_delegation { // one request
	const struct tdm_delegate *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_home home;
	struct tdm_words reply; // of the large one, with the values filled in; of notes and rounds: what it led to
	struct tdm_words notes; // what goes home with it: the questions it answers (examples); empty: nothing
	const char *why;        // not NULL: the small one answers alone
	int reply_kind;         // of tdm_delegate_options.reply, never AUTO
	bool without_parts;     // the answer is written without the document
	size_t leaked, hidden;  // values of the request in what was about to leave; stretches that became slots
	int again;              // questions that were written again
	int64_t rounds, jobs, answers;
	int64_t large_in, large_out, small_in, small_out; // tokens
	double cost_before;
};

// A text of the table (delegate_prompts.c) with words in the place of {name}: as JSON strings, but {name!} as they are.
struct tdm_fill {
	const char *name;
	struct tdm_words words;
};
const char *tdm_delegate_prompt(struct tdm_arena *arena, const char *name, const struct tdm_fill *fills, size_t n,
                                size_t *len);
// The same text around fills, not of the table.
const char *tdm_delegate_fill(struct tdm_arena *arena, const char *text, const struct tdm_fill *fills, size_t n,
                              size_t *len);

// The small one at home: one message, its whole answer trimmed. purpose: of the receipt. max_tokens 0: its own limit.
struct tdm_home_ask {
	const char *text;
	size_t len;
	const char *purpose;
	int64_t draw;
	float temperature; // negative: as the request says
};
int tdm_delegate_small(const struct tdm_delegation *e, struct tdm_run *run, const struct tdm_home_ask *ask,
                       struct tdm_words *out, struct tdm_result *result);
// The large one: an instruction and a question, which were cleaned. Its answer, trimmed. Leaves nothing when money or
// the objective's max_cost is spent: then e->why says so and TDM_OK is returned.
int tdm_delegate_large(struct tdm_delegation *e, const struct tdm_words *system, const struct tdm_words *user,
                       struct tdm_words *out);
// tdm_home_clean, with what it found added up.
int tdm_delegate_clean(struct tdm_delegation *e, struct tdm_words *texts, size_t n, unsigned copies,
                       struct tdm_home_look *look);
struct tdm_words tdm_trimmed(const char *text, size_t n);

int tdm_delegate_public(struct tdm_delegation *e); // sketch to relevant
int tdm_delegate_rounds(struct tdm_delegation *e); // chat and jobs
