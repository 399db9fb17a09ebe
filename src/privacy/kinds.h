// The kinds of privacy: what leaves the machine, and how much it says. A new kind: one file with its row, one line
// here, one in cli/kinds.c.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_mask;     // hide, ask, restore
extern const struct tdm_kind tdm_kind_delegate; // ask a public question, answer at home
extern const struct tdm_kind tdm_kind_perturb;  // ask with noise in the words
extern const struct tdm_kind tdm_kind_retrieve; // passages of one's own documents
