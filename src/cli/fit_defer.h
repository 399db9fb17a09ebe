// `tandem fit --for defer`: the probe of a pair (learn/fit_probe.h), shown on items that it was not fitted on.
#pragma once
#include "cli/app.h"
#include "cli/command.h"

struct tdm_fit_defer {
	const char *small, *large, *out; // out: NULL = only shown
	uint64_t seed;
	size_t n;
	int max_tokens;
	double l2;
};
int tdm_fit_defer(const struct tdm_fit_defer *o, const struct tdm_app *app, struct tdm_arena *arena,
                  struct tdm_error *err);
