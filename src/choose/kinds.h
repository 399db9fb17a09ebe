// The kind of choose: one decision over all four goals.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind tdm_kind_choose; // one of several arms for each request, by its objective
