// Relations: what a program can tell of an answer by holding it against its question, without knowing the task: is it
// the same list in another order, is a number the sum of two others, does a copied value belong to who is asked about.
//
// The rule it protects: each is a fact about the two texts that anybody can compute, 0 where it does not apply; whether
// it speaks for the answer is for the fit to find (features.h). Time is linear in the question for a bounded answer.
// A new relation: a row in `names`, one in the enum, and what sets it; weights of scorers do not fit then.
#pragma once
#include <stddef.h>

enum tdm_relation {
	TDM_REL_PERMUTED, // of a run of the question's items: 1 yes, -1 no, 0 the answer is no list
	TDM_REL_SORTED,   // up or down
	TDM_REL_REVERSED, // of such a run
	TDM_REL_RESULT,   // of one of the four operations on the question's two numbers
	TDM_REL_RATIO,    // to the question's number: one of the usual ones of units and dates
	TDM_REL_COUNTED,  // how often a word that is named first occurs behind it
	TDM_REL_TIME,     // the times of day differ by the durations that are named
	TDM_REL_OWNER,    // the person before a copied value is who is asked about
	TDM_REL_WHOLE,    // everything with a digit or an @ occurs in the question
	TDM_REL_CONTEXT,  // words before the copied value are asked for
	TDM_REL_NAMES,    // persons of the answer are those asked about
	TDM_REL_ABSENT,   // 1: nothing of the passage is in the answer
	TDM_REL_EXPECTED, // then: 1 nobody who is asked about is there, -1 somebody is, with what is asked for
	TDM_REL_ENDED,    // like a sentence
	TDM_REL_REPEATED, // a word twice in a row, or dots
	TDM_N_RELATIONS
};
extern const char *const tdm_relation_names[TDM_N_RELATIONS];

// out: -1 to 1 each. Only the first 256 bytes of the answer and 16,384 of the question are looked at.
void tdm_relations(const char *question, size_t n_question, const char *answer, size_t n_answer,
                   double out[TDM_N_RELATIONS]);

struct tdm_piece_of_text {
	const char *text;
	size_t n;
};
// A question of several lines is a passage, the longest of them, and what is asked about it; one line asks all.
struct tdm_piece_of_text tdm_passage(const char *question, size_t n);
