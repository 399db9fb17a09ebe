// Report: what came of a run, as a table for the terminal and as JSON.
#pragma once
#include "eval/summary.h"

// Families as rows, models as columns, then the totals. summaries: one per model.
void tdm_report_table(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, struct tdm_bytes *out);
// Everything, the single outcomes included; no text of a prompt or an answer. settings: hash of the settings, or NULL.
void tdm_report_json(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, const char *settings,
                     struct tdm_bytes *out);
// Bars of accuracy per family, and cost against accuracy, as SVG. Error: TDM_ENOMEM.
int tdm_report_svg(const struct tdm_eval *e, const struct tdm_eval_summary *summaries, struct tdm_bytes *out,
                   struct tdm_error *err);
// A row per item with its question, and of every model whether it was right, what it cost and how long it took (ms),
// for those who read tables of outcomes (outcomes.h). Error: TDM_ENOMEM.
int tdm_report_outcomes(const struct tdm_eval *e, struct tdm_bytes *out, struct tdm_error *err);
// A table for `tandem certify`: policy, the models of its first two roles and the baseline are among the evaluated
// ones. The third column of answers, next, is there where what is passed on is not answered by the baseline. Error:
// TDM_EVALUE.
int tdm_report_labels(const struct tdm_eval *e, const struct tdm_model *policy, struct tdm_bytes *out,
                      struct tdm_error *err);
