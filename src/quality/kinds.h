// The kinds of quality: several models make a better answer than each alone. A new kind: one file with its row, one
// line here, one in cli/kinds.c.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_fuse;  // one next-token distribution from several models
extern const struct tdm_kind tdm_kind_guide; // one model's words enter another's prompt
