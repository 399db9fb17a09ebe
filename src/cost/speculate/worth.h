// Worth: whether an answer is to be drafted by a model at all. What pace.h cannot see is weighed here: that the draft
// has to read the prompt, and that the beginning of an answer is drafted meanwhile.
//
// The rule it protects: whole answers are compared, with and without a draft, of prompts about as long; neither side is
// believed for ever, so each is tried again now and then, but what is known to lose only as far as a two-hundredth of
// all time pays for it.
#pragma once
#include "cost/speculate/pace.h"
#include <stddef.h>

enum { TDM_WORTH_SIZES = 24 };

struct tdm_worth { // all zero at first
	struct tdm_worth_of {
		double byte_us;         // of a prompt: of the target alone, until its first token is there; 0 = not known
		double ratio[2], alone; // [with a draft]: time to what prompt and plain passes take, which is `alone`
		double n[2];            // answers that were measured; of prompts half or twice as long half as many, and so on
		double n_plain;         // answers that byte_us is of
		int n_since;            // answers since the other side was tried
	} of[TDM_WORTH_SIZES];      // by the length of the prompt, each twice as long as the one before
	double purse_us;            // for trying what loses
	bool has_begun;             // somebody has asked
};

// Whether the next answer to a prompt of so many bytes is drafted.
bool tdm_worth_ask(struct tdm_worth *w, size_t prompt_bytes);
// An answer of n tokens is over that took us microseconds, prompt_us of them until its first token was there.
// was_asked: with a draft. p: what its passes have taken.
void tdm_worth_tell(struct tdm_worth *w, size_t prompt_bytes, bool was_asked, const struct tdm_pace *p, int n,
                    int64_t prompt_us, int64_t us);
