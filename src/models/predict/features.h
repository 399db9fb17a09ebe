// Features: what scorers see, as a vector of numbers. Routers and gates decide on them, learn/fit fits on them; both
// must see the same numbers, so this is the only place that makes them. Equal input, equal numbers on every machine.
//
// Of a question: 4,096 hashed counts (words, pairs of words, runs of 3 to 5 characters; lower case for ASCII, every
// digit as 0: how many digits there are says more about difficulty than which), as ln(1 + count), of length 1 together;
// then the length of the text and its share of digits.
// Of a question and its answer: the same again for the answer's text, then signs of trust: how sure the writer was of
// its words, how many of them the question contains, and how the two are related (relations.h); then the products of
// any two signs, because a sign means one thing in a copied name and another in a sum, and for the same reason every
// sign under each of the first words that say what is asked, which are hashed to 128 numbers. A new sign: a row in
// features.c, one in the enum; old files do not fit then.
#pragma once
#include "models/logprobs.h"
#include "models/model.h"
#include "models/predict/relations.h"

#define TDM_N_GRAMS 4096
enum tdm_sign {
	TDM_SIGN_LEAST, // doubt (-ln(1e-4 - ln p)) of the least sure piece, of the mean, of all together, ...
	TDM_SIGN_MEAN,
	TDM_SIGN_SUM,
	TDM_SIGN_SECOND,
	TDM_SIGN_FIRST,
	TDM_SIGN_LAST,
	TDM_SIGN_MEAN_LOGPROB,
	TDM_SIGN_LEAST_LOGPROB,
	TDM_SIGN_LEAST_P,
	TDM_SIGN_SUM_P,
	TDM_SIGN_PIECES, // ln(1 + n)
	TDM_SIGN_BYTES,  // ln(1 + n)
	TDM_SIGN_COPIED, // share of the answer's words that the question contains
	TDM_SIGN_NEW,    // ln(1 + words that it does not contain)
	TDM_SIGN_COPIED_NUMBERS,
	TDM_SIGN_NUMBERS, // 1: there are any
	TDM_SIGN_COPIED_PAIRS,
	TDM_SIGN_RELATIONS, // as many as there are
	TDM_N_SIGNS = TDM_SIGN_RELATIONS + TDM_N_RELATIONS
};
#define TDM_N_ASKED 128 // words that say what is asked, hashed
enum {
	TDM_N_SIGN_PAIRS = TDM_N_SIGNS * (TDM_N_SIGNS + 1) / 2,
	TDM_FEATURE_LENGTH = TDM_N_GRAMS,
	TDM_FEATURE_DIGITS,
	TDM_N_QUESTION_FEATURES,
	TDM_FEATURE_ANSWER = TDM_N_QUESTION_FEATURES, // its grams
	TDM_FEATURE_SIGNS = TDM_FEATURE_ANSWER + TDM_N_GRAMS,
	TDM_FEATURE_PAIRS = TDM_FEATURE_SIGNS + TDM_N_SIGNS,      // sign i with sign k <= i at i (i + 1) / 2 + k
	TDM_FEATURE_ASKED = TDM_FEATURE_PAIRS + TDM_N_SIGN_PAIRS, // sign i under word w at w TDM_N_SIGNS + i
	TDM_N_FEATURES = TDM_FEATURE_ASKED + TDM_N_ASKED * TDM_N_SIGNS
};

enum tdm_reads { TDM_READS_QUESTION, TDM_READS_ANSWER };
static inline int tdm_n_features(enum tdm_reads reads) {
	return reads == TDM_READS_ANSWER ? TDM_N_FEATURES : TDM_N_QUESTION_FEATURES;
}

struct tdm_seen { // what is judged; the last three are read by TDM_READS_ANSWER only
	const char *question;
	size_t n_question;
	const char *answer;
	size_t n_answer;
	struct tdm_logprobs logprobs;
};
// The question of a request: its last message of the user; empty when there is none.
struct tdm_seen tdm_seen_question(const struct tdm_request *request);
void tdm_features(enum tdm_reads reads, const struct tdm_seen *seen, float *out); // tdm_n_features(reads) numbers
// The hashed counts alone, over n_grams numbers that are 0: a power of two, the more the fewer words share one.
void tdm_feature_grams(const char *text, size_t n, float *out, int n_grams);
const char *tdm_sign_name(int sign); // of TDM_N_SIGNS
