// Judge: asks a model whether a text is harmful, and reads the answer from its probabilities.
#pragma once
#include "models/model.h"

#define TDM_JUDGE_BYTES 1500 // longest piece shown at once; a longer text is judged piece by piece and the worst counts

// form: the question, with one %s for the text. *harmful: probability of "yes" against "no". A judge that cannot answer
// is TDM_EGUARD: nothing may pass that was to be judged.
int tdm_judge_ask(struct tdm_model *judge, struct tdm_run *run, const char *form, const char *text, size_t n,
                  double *harmful);
