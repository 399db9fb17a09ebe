// Shepherd, inside: what shepherd.c (the settings, the gate, the plan), hint.c (a beginning that is continued),
// points.c (points that are written apart) and states.c (a prompt that is read for another) share.
#pragma once
#include "cost/cascade/cascade.h"
#include "models/local/projection.h"
#include "models/predict/router.h"

struct tdm_shepherd_options {
	int part, gate, continues;
	const char *weights, *predictor, *projection;
	const struct tdm_value *threshold, *hints;
	double share, good, willingness_to_pay, temperature;
	int64_t tokens, expected, parallel, samples, points, wait_ms;
};
enum { TDM_PART_PREFIX, TDM_PART_SKETCH, TDM_PART_SKELETON, TDM_PART_STATES };
enum { TDM_CONTINUES_AUTO, TDM_CONTINUES_YES, TDM_CONTINUES_NO };
extern const char *const tdm_part_names[];

#define TDM_WHOLE_ANSWER INT64_MAX // a hint of any length

struct tdm_shepherd {
	struct tdm_model model;
	struct tdm_shepherd_options o;
	struct tdm_model *small, *large;
	const struct tdm_gate *gate;    // of the small one's own answer; NULL: none, or one of the question
	struct tdm_linear *scorer;      // of a question or an answer; NULL: the gate needs none
	struct tdm_projector projector; // of part: states
	struct tdm_router *predictor;   // NULL: `share` or `tokens` say how long a hint is
	int64_t hints[TDM_ROUTER_MODELS];
	double threshold;
};

// Text on its way out, of one author after the other: what was shown is kept, and a stop string that begins with one
// author and ends with the next one is found.
struct tdm_seam {
	struct tdm_sink sink;
	const struct tdm_request *request;
	struct tdm_bytes shown, held; // held: may begin a stop string
	const char *author, *stop;    // of what is held; the stop string that was found
	bool is_enough;               // nothing more goes out
	atomic_bool began;
};
void tdm_seam_init(struct tdm_seam *s, const struct tdm_request *request, struct tdm_sink *next);
void tdm_seam_release(struct tdm_seam *s);
int tdm_seam_end(struct tdm_seam *s); // what is held goes out. TDM_OK, or a negative status

struct tdm_herd { // one request
	const struct tdm_shepherd *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_result *result;
	struct tdm_seam seam;
	struct tdm_said draft; // the small one's own answer, which a gate looked at
	bool has_draft;
	double score;                       // the gate's; NaN: there was none
	double quality;                     // that the predictor expects; NaN: there is none
	int64_t wanted, expected;           // tokens of the hint, of the answer
	int64_t by_large, written;          // tokens of the hint and of the answer that were written
	int64_t prompt_tokens;              // of the first one that answered
	const char *choice, *why;           // for the record; why: NULL = as planned
	bool one_is_out;                    // one of the two has failed: nobody takes over from the other one
	const struct tdm_model *authors[2]; // that wrote something: the last two
	char detail[64];                    // of points and states
	double cost_before;
};

int tdm_herd_prefix(struct tdm_herd *h);
int tdm_herd_points(struct tdm_herd *h);
int tdm_herd_states(struct tdm_herd *h);
// One model alone, with the request as it came; if it fails before a word, the other one.
int tdm_herd_alone(struct tdm_herd *h, struct tdm_model *m);
// Does what the objective's max_cost leaves pay for so many calls of m?
bool tdm_herd_can_pay(struct tdm_herd *h, struct tdm_model *m, double calls);
// Asks the large model, which must begin within wait_ms. A status of tdm_generate; TDM_EUPTIME when it is too slow.
int tdm_herd_ask_large(struct tdm_herd *h, const struct tdm_request *asked, struct tdm_sink *sink,
                       struct tdm_result *result);
void tdm_herd_warn_out(struct tdm_herd *h, const struct tdm_model *m, int status);
// The request with `before`, text[0..n) as a JSON string (NULL: none) and `after` behind the last message of the user.
// TDM_ENOMEM with run->error set.
int tdm_herd_note(const struct tdm_herd *h, struct tdm_run *run, const char *before, const struct tdm_words *quoted,
                  const char *after, struct tdm_request *request);
