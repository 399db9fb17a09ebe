// Talk: one question to a model with the answer written to the terminal; what ask and chat share.
#pragma once
#include "base/bytes.h"
#include "models/model.h"

struct tdm_talk {
	bool colour;              // text coloured by the model that wrote it
	bool receipt;             // the receipt as JSON after the answer
	uint64_t seed;            // 0 = from the system
	float temperature;        // negative = the model's own setting
	struct tdm_price dearest; // of the tree
	int max_tokens;           // 0 = the model's own limit
};

// Asks, streams the answer to standard output and a one-line account to standard error. answer (may be NULL) receives
// the text. Error: the model's, with its sentence.
int tdm_talk(const struct tdm_talk *talk, struct tdm_model *model, const struct tdm_message *messages,
             size_t n_messages, struct tdm_bytes *answer, struct tdm_error *err);
// Whether standard output wants colours (a terminal, and NO_COLOR unset).
bool tdm_talk_wants_colour(void);
