// The kinds of trust: whether an answer may be given, and whether it may be believed. A new kind: one file with its
// row, one line here, one in cli/kinds.c.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_guard; // a small guardian around a generator
