// Vectors: of texts, as endpoints need them.
#pragma once
#include "models/model.h"

// The vector of a text: finite, of length 1; with dimensions its first numbers, at length 1 again, if the model's
// vectors may be cut. Error: TDM_EVALUE about "dimensions", TDM_EINTERNAL for a vector that is none, those of
// tdm_embed.
int tdm_vector(struct tdm_model *m, struct tdm_run *run, const struct tdm_message *text, int64_t dimensions,
               const float **out, int *width);
