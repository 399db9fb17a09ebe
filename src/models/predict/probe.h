// Probe: how likely another, larger model would choose another next token than this one: a logistic function of what
// the row of logits says (signs) and of the hidden state that it was made from (Co-LLM 2403.03870, CITER 2502.01976 and
// R2R 2505.21600 learn such a function for token-level routing; this is its linear form). learn/fit_probe fits it,
// defer asks it; both make the numbers here.
//
//   {"version": 1, "probe": {"bias": b, "signs": {"entropy": w, ...}, "hidden": [width numbers]},
//    "quantiles": [101 scores]}     over the tokens of the fit, ascending; hidden: [] = the signs alone
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "models/kind.h"
#include "models/predict/linear.h"

enum tdm_row_sign {
	TDM_ROW_ENTROPY, // of the row, in nats
	TDM_ROW_MARGIN,  // 1 - (p1 - p2)
	TDM_ROW_FIRST,   // 1 - p1
	TDM_ROW_LOG,     // - ln p1
	TDM_ROW_SECOND,  // p2
	TDM_ROW_ODDS,    // ln p1 - ln p2, 20 at most
	TDM_N_ROW_SIGNS
};
extern const char *const tdm_row_sign_names[TDM_N_ROW_SIGNS];
void tdm_row_signs(const float *logits, int n, double out[TDM_N_ROW_SIGNS]); // logits of -INFINITY: never

struct tdm_probe {
	double bias, signs[TDM_N_ROW_SIGNS];
	int width; // of the hidden state; 0 = not looked at
	double *hidden;
	double quantiles[TDM_N_QUANTILES];
};

// hidden: width numbers; may be NULL where width is 0.
double tdm_probe_score(const struct tdm_probe *p, const float *logits, int n, const float *hidden);
// For create() of a kind: a path, or embedded:NAME. Error: TDM_ECONFIG with b->error set. The result lives in b->arena.
int tdm_probe_open(const struct tdm_build *b, const char *name, struct tdm_probe **out);
int tdm_probe_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_probe **out,
                   struct tdm_error *err);
void tdm_probe_write(const struct tdm_probe *p, struct tdm_bytes *out);
