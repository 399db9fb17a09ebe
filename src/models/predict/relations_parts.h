// What relations.c and owners.c share.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// owner, whole, context, names, absent and expected, where the question is a passage and what is asked about it.
void tdm_relate_owners(const char *question, size_t n_question, const char *answer, size_t n_answer, double *out);
