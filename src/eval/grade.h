// Grade: how the answer in a recorded reply is read, and when it is right. One grader for all models of a table: a
// parser moves a model by several points and so decides who wins.
//
// To add a grader: a reader of the answer and its row in grade.c.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include "eval/outcomes.h"

#define TDM_GRADERS "exact|text|number|date|zeroeval" // for TDM_OPT_CHOICE; numbers as here

// The normal forms of all answers, [item][model], NULL = none, which equals nothing. A cell with an answer is read as
// it is, one with a whole reply only has its answer taken out first. Error: TDM_ENOMEM.
int tdm_grade_answers(const struct tdm_outcomes *o, int grader, struct tdm_arena *arena, const char ***out,
                      struct tdm_error *err);
// The normal forms of the right answers, one per item. Error: TDM_EVALUE for an item whose gold has none.
int tdm_grade_gold(const struct tdm_outcomes *o, int grader, struct tdm_arena *arena, const char ***out,
                   struct tdm_error *err);
