// Lexicon: words with vectors, and the laws by which one word is replaced by another (perturb.c draws from them).
//
// The rule it protects: a law is a function of the word, the table and chance that does not depend on the word, so that
// its bound can be checked by enumeration; what it says is what is drawn.
#pragma once
#include "base/arena.h"
#include "base/random.h"
#include "base/status.h"
#include "models/kind.h"
#include "privacy/mask/chance.h"

#define TDM_LEXICON_MOST 20000 // words

struct tdm_lexicon {
	size_t n;
	int width;
	const char **words;   // lower case
	float *vectors;       // [n][width]
	int32_t *slots;       // of the hash of words; -1: empty
	size_t n_slots;       // a power of two
	double diameter;      // no two words are farther from each other
	int32_t *set, *order; // of custext: the set of a word; words by their sets
	int32_t *first;       // n_sets + 1: where a set begins in order
	double *spread;       // of each set: its largest distance
	size_t n_sets;
};

enum tdm_noise { TDM_NOISE_SANTEXT, TDM_NOISE_CUSTEXT, TDM_NOISE_RANTEXT };

// Text, a word and its numbers a line; or a weight file, whose embedding is read: the tokens that are words. k: words
// of a set. Error: TDM_ECONFIG, TDM_ENOMEM.
int tdm_lexicon_open(const struct tdm_build *b, const char *name, int64_t k, struct tdm_lexicon **out);
int tdm_lexicon_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, int64_t k,
                     struct tdm_lexicon **out, struct tdm_error *err);
int32_t tdm_lexicon_find(const struct tdm_lexicon *l, const char *word, size_t n); // any letter case; -1: not there
double tdm_lexicon_distance(const struct tdm_lexicon *l, int32_t x, int32_t y);    // Euclidean

// The radius of RANTEXT's list: the distance of a word to its near-th nearest (1 = the nearest); neither is the word
// that is replaced.
double tdm_lexicon_radius(const struct tdm_lexicon *l, int32_t center, int64_t near, double *scratch);
// weights[n]: to what P(y | x) is proportional. x -1: an unknown word, uniform. radius: of RANTEXT.
// SANTEXT: exp(-epsilon d / 2): ratio at most exp(epsilon d(x, x')). CUSTEXT: exp(epsilon u / 2), u = 1 - d / spread,
// over the word's set, nothing elsewhere: at most exp(epsilon) within a set. RANTEXT: exp(epsilon u / 2) over all
// words, u = max(0, 1 - d / radius): at most exp(epsilon).
void tdm_lexicon_law(const struct tdm_lexicon *l, enum tdm_noise noise, double epsilon, int32_t x, double radius,
                     double *weights);

// One draw; scratch: 2 n doubles. k: most of `near`. TDM_OK or TDM_EIO.
int tdm_lexicon_draw(const struct tdm_lexicon *l, enum tdm_noise noise, double epsilon, int64_t k, int32_t x,
                     struct tdm_chance *chance, double *scratch, int32_t *out);
