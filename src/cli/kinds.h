// The only place that knows every kind.
#pragma once
#include "models/kind.h"

extern const struct tdm_kind *const tdm_kinds[]; // NULL-terminated
