// Risk: the estimated probability that texts leave with a private value in clear, because no detector found it.
//
// What a stricter look would hide besides may have been missed: each such span adds to the odds. How well the estimate
// fits texts in which people have marked what is private: docs/leaks.md. `tandem certify leak` bounds, whatever the
// estimate is worth, how often a text leaks that is sent below a given one.
#pragma once
#include "privacy/detect/detect.h"

// finds: what tdm_detect found in them at that level. Error: that of tdm_detect.
int tdm_risk_estimate(const struct tdm_detector *detector, struct tdm_arena *arena, const struct tdm_text *texts,
                      size_t n, int level, const struct tdm_finds *finds, double *out, struct tdm_error *err);
