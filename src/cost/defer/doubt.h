// Doubt: how unsure a model is of its next token, from its logits; larger = less sure. And the pen: who of two writes
// the next token, with hysteresis. Pure functions, so that a decision can be repeated and tested without a model.
//
//   entropy   H(p) in nats (R-Stitch 2507.17307; R2R's alternative 2505.21600)
//   margin    1 - (p1 - p2), the two most likely tokens; 0..1
//   logu      aleatoric uncertainty of the ten largest logits as evidence (LogU): needs positive logits, which are
//             clamped, and depends on their scale: a threshold of one model is none of another
// A new signal: a row in `doubts`, a name in TDM_DOUBTS.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TDM_DOUBTS "entropy|margin|logu"
enum { TDM_N_DOUBTS = 3 };
extern const char *const tdm_doubt_names[TDM_N_DOUBTS];

double tdm_doubt(int signal, const float *logits, int n); // signal: place in TDM_DOUBTS; a logit of -INFINITY: never

struct tdm_pen_rule {
	double take, release; // the large one takes the pen from `take` on and gives it back below `release`
	int64_t first, stay;  // so many tokens it writes at the beginning, and at least each time it is asked
};

struct tdm_pen {
	bool is_large;
	int64_t held; // tokens written by who has it, without a break
};

bool tdm_pen_asks(const struct tdm_pen_rule *rule, const struct tdm_pen *pen, int64_t n); // does a doubt matter now?
void tdm_pen_decide(const struct tdm_pen_rule *rule, struct tdm_pen *pen, double doubt);
void tdm_pen_force(struct tdm_pen *pen, bool is_large);
