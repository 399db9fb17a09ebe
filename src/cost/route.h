// Route, asked without an answer: what it would decide of a text by itself, for whoever replays recorded outcomes
// through the same code that serves.
#pragma once
#include "models/kind.h"

struct tdm_route_view {
	double score;     // as in the receipt; NAN: no threshold keeps it (undecided)
	double threshold; // in force; NAN: the route decides by willingness_to_pay
};
// text: of the user's only message. Models are asked only for what the scorer reads (vectors, states). Error:
// TDM_EVALUE where m is no route, or of those models.
int tdm_route_view(struct tdm_model *m, struct tdm_run *run, const char *text, size_t n, struct tdm_route_view *out);
