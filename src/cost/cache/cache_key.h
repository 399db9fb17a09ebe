// Key of a cache: everything that shapes an answer, in one canonical form, hashed. Two requests with one key may share
// an answer; whatever could make a difference is in it: tenant, tree, objective, sampling, tools, form, every message.
#pragma once
#include "base/bytes.h"
#include "base/crypto.h"
#include "models/model.h"

struct tdm_cache_key {
	uint8_t exact[TDM_SHA256_BYTES];
	uint8_t near[TDM_SHA256_BYTES]; // without the words of the last message
	const char *words;              // these, when that is a user's; else NULL
	size_t n_words;
};

// place: what the answers come from: the settings' hash and the cache's name. TDM_OK or TDM_ENOMEM, with run->error.
int tdm_cache_key(struct tdm_run *run, const struct tdm_request *request, const char *place, struct tdm_cache_key *out);
// JSON with sorted keys and one form for each number; text that is no JSON becomes a string.
void tdm_canonical_json(struct tdm_arena *arena, const char *text, size_t n, struct tdm_bytes *out);
