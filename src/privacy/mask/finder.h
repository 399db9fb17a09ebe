// Finder: a model at home that lists, as JSON, what is private in texts that are about to leave. What it lists is
// hidden like the operator's own list, beside what the recognisers find; it can add to that and never take away.
#pragma once
#include "models/model.h"
#include "privacy/detect/detect.h"

#define TDM_FINDER_BYTES 1500 // of text in one question, cut at a blank

// *out: the detector with what the model listed, as far as it stands in the texts; its memory is of the run. Error:
// that of the model, or TDM_EGUARD where its answer cannot be read; nothing may be sent.
int tdm_finder_ask(struct tdm_model *finder, struct tdm_run *run, const struct tdm_text *texts, size_t n,
                   const struct tdm_detector *detector, struct tdm_detector *out);
