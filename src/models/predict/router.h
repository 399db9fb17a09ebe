// Router: a fitted scorer of requests over two or more models, and the file that holds it. From the text of a request,
// or from its vector by an embedding model, it tells for every model how good its answer is likely to be and what it is
// likely to cost. learn/router_fit makes it, cost/route decides by it; both see the same numbers through this file.
//
// The models stand in the order of the table they were fitted on: the first is the cheapest, the last the strong one
// that answers whatever is not decided. `good` of a model is the probability that its answer does for that of the last:
//
//   quality      (1 + q_m - q_last) / 2, q by a logistic or a linear predictor for each model, cost by a linear one
//   gap          sigma(w_m x), fitted on the transformed label q_m >= q_last - t
//   knn          as quality, q and cost being means over the nearest items by cosine
//   similarity   sigma(s_m - s_last), s by Bradley-Terry over all items, each weighted 10^(1 + cosine / largest cosine)
//   mf           sigma(s_m - s_last), s_m = join . (table_m * (projection x)), table_m of length 1
//
// The sources: CARROT 2502.03261, HybridLLM 2404.14618, RouterBench 2403.12031, RouteLLM 2406.18665 (the last two).
//
// What x is (`reads`): numbers of the text; the vector of an embedding model; or what the small model says before it
// answers: the signs of its first row of logits (models/predict/probe.h), and with them the hidden state they come
// from. A request is familiar as far as its words were seen in the fit; what is too unfamiliar is better left
// undecided.
//
//   {"router": 1, "scorer": "quality", "models": [names], "reads": "text", "vector", "hidden" or "logits", "width": of
//   the
//    vectors or states, 0 with text,
//    "scores": [101], "spend": [101], "familiar": [101], "words": hex, then what the scorer holds}
// "loss": "square" makes quality linear. scores, familiar: quantiles over the items of the fit, each judged without it;
// spend: the mean price where the threshold is that quantile of scores, as a share of the last model's.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "models/predict/features.h"
#include "models/kind.h"
#include "models/predict/linear.h"
#include <stdbool.h>

enum tdm_router_scorer {
	TDM_ROUTER_QUALITY,
	TDM_ROUTER_GAP,
	TDM_ROUTER_KNN,
	TDM_ROUTER_SIMILARITY,
	TDM_ROUTER_MF,
	TDM_ROUTER_SCORERS
};
extern const char *const tdm_router_names[TDM_ROUTER_SCORERS];
enum tdm_router_reads {
	TDM_ROUTER_READS_TEXT,
	TDM_ROUTER_READS_VECTOR, // by an embedding model
	TDM_ROUTER_READS_HIDDEN, // of the small model: the signs of its first row, then its hidden state
	TDM_ROUTER_READS_LOGITS, // the signs alone
	TDM_ROUTER_READS
};
extern const char *const tdm_router_reads_names[TDM_ROUTER_READS];
enum {
	TDM_ROUTER_MODELS = 16, // at most
	// Numbers of a text: hashed counts, ln length, its square, share of digits, a place for each first line.
	TDM_ROUTER_GRAMS = 32768,
	TDM_ROUTER_HEADS = 1024,
	TDM_ROUTER_TEXT = TDM_ROUTER_GRAMS + 3 + TDM_ROUTER_HEADS,
	TDM_ROUTER_FOLDED = 256,  // fewer counts with signs in so many, for the scorers that compare or project
	TDM_ROUTER_WIDTH = 8192,  // of a vector, at most
	TDM_ROUTER_WORDS = 8192,  // bytes: a bit for every hash of a word
	TDM_ROUTER_ITEMS = 50000, // that knn and similarity keep, at most
};

struct tdm_router {
	enum tdm_router_scorer scorer;
	enum tdm_router_reads reads;
	int n_models, width; // width: of the vectors; 0 = it reads the text
	const char *models[TDM_ROUTER_MODELS];
	double by_score[TDM_N_QUANTILES], spend[TDM_N_QUANTILES], by_familiar[TDM_N_QUANTILES];
	unsigned char words[TDM_ROUTER_WORDS];
	double mean_cost[TDM_ROUTER_MODELS];
	float *quality, *cost;             // quality, gap: [n_models][inputs + 1], the bias last
	bool is_linear;                    // quality: fitted with the square loss, q = w x within 0..1
	int neighbours;                    // knn
	size_t n_items;                    // knn, similarity
	signed char *vectors;              // [n_items][inputs]
	float *lengths;                    // [n_items] of the vectors
	float *outcomes;                   // [n_items][n_models]: quality
	float *prices;                     // [n_items][n_models]
	int rank;                          // mf
	float *projection, *tables, *join; // [rank][inputs], [n_models][rank], [rank]
};

// Numbers that its scorer works on.
int tdm_router_inputs(const struct tdm_router *r);
// Whether the scorer says how good each answer is, not only which of two is better.
bool tdm_router_predicts(enum tdm_router_scorer scorer);

struct tdm_router_sight { // what is judged
	const char *text;
	size_t n;
	const float *vector; // width numbers; NULL where the router reads the text
};
// The vector of a text as the router reads it, *width numbers in the run's arena: from an embedding model, or from a
// session of the small model, which has the text as the user's only message. Error: of the model.
int tdm_router_vector(enum tdm_router_reads reads, struct tdm_run *run, struct tdm_model *from, const char *text,
                      size_t n, const float **out, int *width);
void tdm_router_features(const struct tdm_router *r, const struct tdm_router_sight *s, float *out); // inputs numbers
void tdm_router_learn_words(struct tdm_router *r, const char *text, size_t n);
double tdm_router_familiar(const struct tdm_router *r, const char *text, size_t n); // 0..1
// Makes a vector of whole numbers -127..127 and returns its length.
float tdm_router_shrink(const float *x, int n, signed char *out);

struct tdm_router_look { // what it sees in a request
	double good[TDM_ROUTER_MODELS], cost[TDM_ROUTER_MODELS], quality[TDM_ROUTER_MODELS];
	double familiar;
};
// quality: as good, where the scorer only compares. Error: TDM_ENOMEM.
int tdm_router_judge(const struct tdm_router *r, const struct tdm_router_sight *s, struct tdm_arena *arena,
                     struct tdm_router_look *out);

struct tdm_router_policy {
	double threshold;          // the first model whose good reaches it
	double willingness_to_pay; // > 0: instead, the model with the largest willingness * quality - cost
	double least_familiar;     // below: undecided
};
// The number of the model. A pure function; the last model where none is good enough, and where it is undecided.
int tdm_router_choose(const struct tdm_router *r, const struct tdm_router_look *look,
                      const struct tdm_router_policy *policy, bool *undecided);
// The highest threshold whose mean price was no more than this share of the last model's; -INFINITY: none was.
double tdm_router_threshold_by_spend(const struct tdm_router *r, double share);

// name: of the file, for the sentence. Errors: TDM_EFORMAT, TDM_ENOMEM. The result lives in the arena.
int tdm_router_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, struct tdm_router **out,
                    struct tdm_error *err);
void tdm_router_write(const struct tdm_router *r, struct tdm_bytes *out);
// For create() of a kind: a path or embedded:NAME. Error: TDM_ECONFIG with b->error set.
int tdm_router_open(const struct tdm_build *b, const char *name, struct tdm_router **out);
