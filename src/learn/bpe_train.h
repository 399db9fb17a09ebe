// Training a byte-level BPE vocabulary: count the pieces of a text, then join the most frequent pair of neighbours,
// again and again (Sennrich, Haddow and Birch 2016). Equal texts give equal vocabularies: ties go to the pair whose
// tokens are older.
#pragma once
#include "base/status.h"
#include "engine/gguf.h"
#include <stddef.h>
#include <stdint.h>

struct tdm_bpe_options {
	int size;              // tokens in all: 256 bytes, merges, 3 special tokens
	int max_piece_bytes;   // no token longer than this
	int64_t min_frequency; // no merge of a pair seen less often
	double min_code_share; // a piece of capitals alone teaches merges only from this share of all pieces on; 0 = always
	const char *presplit;  // name as in engine/presplit.h
};

struct tdm_bpe_trainer;

int tdm_bpe_trainer_new(const struct tdm_bpe_options *options, struct tdm_bpe_trainer **out, struct tdm_error *err);
void tdm_bpe_trainer_free(struct tdm_bpe_trainer *t); // NULL is allowed
// Counts the pieces of one text. Error: TDM_ENOMEM.
int tdm_bpe_trainer_add(struct tdm_bpe_trainer *t, const char *text, size_t n, struct tdm_error *err);
// Learns the merges from what was added. May be called once.
int tdm_bpe_trainer_run(struct tdm_bpe_trainer *t, struct tdm_error *err);

struct tdm_bpe_figures {
	uint64_t bytes, pieces, distinct; // of the text: bytes, pieces and distinct pieces
	uint64_t tokens;                  // the text in tokens after training
	int size, n_merges;
	int64_t last_frequency; // of the last merge
};
void tdm_bpe_trainer_figures(const struct tdm_bpe_trainer *t, struct tdm_bpe_figures *out);

// Puts the vocabulary's keys (tokenizer.*, with a ChatML template) into a weight file being written. Special tokens
// come last: <|endoftext|> (begin, end, padding), <|im_start|>, <|im_end|> (end of turn).
int tdm_bpe_trainer_put(const struct tdm_bpe_trainer *t, struct tdm_gguf_writer *w, struct tdm_error *err);
