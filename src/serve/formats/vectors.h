// Vectors: of texts, as endpoints need them.
#pragma once
#include "serve/formats/prompts.h"

// A vector for each text, in the run's arena: finite, of length 1; with dimensions its first numbers, at length 1
// again, if the model's vectors may be cut. Error: TDM_EVALUE about "dimensions", TDM_EINTERNAL for a vector that is
// none, those of tdm_embed_all.
int tdm_vectors(struct tdm_model *m, struct tdm_run *run, const struct tdm_prompts *texts, int64_t dimensions,
                const float ***out, int *width);
