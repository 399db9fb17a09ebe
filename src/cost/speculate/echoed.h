// Echoed: what the echo of a prompt says about a draft at its end: which of its tokens the upstream would have written
// itself at temperature 0, and what it would have written instead of the next one.
//
// The rule it protects: nothing counts as the upstream's that it has not read as one of its own tokens, ranked first
// behind tokens that are all its own, or really written. What only stands in a list of alternatives is a wish: a draft
// for the next time. What may be a special token, a part of a character or one of two equally likely ones is no text
// that can be judged.
//
// Pure: an echo in, a judgement out.
#pragma once
#include "models/model.h"

struct tdm_echoed {
	const struct tdm_echo *echo;
	const char *text; // that was sent: a context, an answer so far, a draft
	size_t n_text, n_context;
	const size_t *ends; // in text, of the answer's tokens so far
	int n_ends;
};

struct tdm_judged {
	bool fits;                       // the upstream has read context and answer in the tokens they were written in
	int n_context;                   // tokens of the context
	const struct tdm_scored *tokens; // of the draft, that came true
	int n, n_drafted;                // n_drafted: that the draft is, in the upstream's tokens
	const struct tdm_scored *next;   // really written after all of the draft; NULL: nothing, or no text
	bool is_end;                     // the answer ends there
	const char *wish;                // instead of the first token that did not come true; NULL: none, or no text
	size_t n_wish;
};

struct tdm_judged tdm_echoed_judge(const struct tdm_echoed *e);
