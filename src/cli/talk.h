// Talk: one question to a model with the answer written to the terminal; what ask and chat share.
#pragma once
#include "base/bytes.h"
#include "base/option.h"
#include "models/model.h"
#include <stddef.h>

// The options of whoever asks: rows for the table of `type`, which has a struct tdm_asked called `field`.
struct tdm_asked {
	const char *config, *model, *system;
	double temperature;
	int64_t max_tokens;
};
// clang-format off
#define TDM_TALK_OPTIONS(type, field) \
	{"config", TDM_OPT_STRING, offsetof(type, field.config), NULL, 0, 0, NULL, "settings file"}, \
	{"model", TDM_OPT_STRING, offsetof(type, field.model), NULL, 0, 0, NULL, \
	 "name in the settings; absent: serve.default"}, \
	{"system", TDM_OPT_STRING, offsetof(type, field.system), NULL, 0, 0, NULL, "system message"}, \
	{"temperature", TDM_OPT_NUMBER, offsetof(type, field.temperature), "-1", -1, 2, NULL, \
	 "negative: the model's own"}, \
	{"max-tokens", TDM_OPT_INT, offsetof(type, field.max_tokens), "0", 0, 1 << 20, NULL, "0: the model's own limit"}
// clang-format on

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
