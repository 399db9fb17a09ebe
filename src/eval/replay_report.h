// Replay's report: what came of a replay, as tables and a plot for the terminal, as JSON and as SVG.
#pragma once
#include "base/bytes.h"
#include "eval/replay.h"

void tdm_replay_table(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out);
void tdm_replay_json(const struct tdm_replay *r, const struct tdm_replay_options *o, struct tdm_bytes *out);
// A table for `tandem certify`. Nothing without labels.
void tdm_replay_labels(const struct tdm_replay *r, struct tdm_bytes *out);
// The routing curves. SVG, or letters for a terminal; nothing without scores. Error: TDM_ENOMEM.
int tdm_replay_plot(const struct tdm_replay *r, bool svg, struct tdm_bytes *out, struct tdm_error *err);
