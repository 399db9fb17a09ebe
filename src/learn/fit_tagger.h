// Fit tagger: a structured averaged perceptron over texts that are drawn anew in every epoch, and texts of files. One
// thread, no randomness but the seed: the same lists, templates, files and seed give the same weights.
#pragma once
#include "learn/tagger_corpus.h"

struct tdm_fit_tagger {
	const struct tdm_tagger_text *text;
	const struct tdm_tagger_corpus *corpus; // further texts, read once an epoch; NULL = none
	struct tdm_gazetteer lists;
	uint64_t seed;
	int64_t epochs, texts; // texts: drawn per epoch
	unsigned log2_slots;
	void (*epoch_done)(void *arg, int64_t epoch, double wrong); // share of words with a wrong tag; NULL = none
	void *arg;
};
// out->owned holds the weights; out->lists is the one given. Error: TDM_EVALUE, TDM_ENOMEM.
int tdm_fit_tagger(const struct tdm_fit_tagger *o, struct tdm_tagger *out, struct tdm_error *err);

struct tdm_tagger_measure {
	uint64_t names, found;  // words of names; those that were tagged as any
	uint64_t others, taken; // other words; those that were tagged
};
// Adds what one bias does to the texts of a corpus, their letters changed to `how`.
int tdm_tagger_measure(const struct tdm_tagger *tagger, const struct tdm_tagger_corpus *corpus, float bias,
                       enum tdm_case how, struct tdm_tagger_measure *out, struct tdm_error *err);

// The gazetteer of lists "first", "surname", "city", "country", "firm", "group", "allow", "word" and of the small
// words of corpus and drawn texts. first, words: one to a line, NULL = none. Blocks are from malloc.
struct tdm_fit_lists {
	const struct tdm_tagger_text *text;
	const struct tdm_tagger_corpus *corpus;
	const char *first, *words;
	size_t n_first, n_words;
	uint64_t seed;
};
int tdm_fit_tagger_lists(const struct tdm_fit_lists *o, struct tdm_gazetteer *out, struct tdm_error *err);
