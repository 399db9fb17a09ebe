// Restore: tokens in an answer become the values they stand for, in a stream, whatever way it is cut.
//
// I1: bytes held back <= longest accepted form - 1, and only while a token may be starting.
// I2: no byte that goes out belongs to an unrestored live token, but inside links (links.h).
// I3: what goes out in sum does not depend on the cuts.
#pragma once
#include "base/bytes.h"
#include "base/automaton.h"
#include "privacy/mask/links.h"
#include "privacy/mask/token.h"

#define TDM_RESTORE_HELD 32 // longest accepted form of a token

struct tdm_restorer { // the live tokens; read-only once links has learnt, any number of streams
	const struct tdm_spelling **spellings;
	struct tdm_automaton *automaton;
	size_t n;
	struct tdm_links links; // where values may come back inside links
};
// Reads the tokens of the vault. Error: TDM_ENOMEM.
int tdm_restorer_init(struct tdm_restorer *r, struct tdm_arena *arena, const struct tdm_vault *vault);

struct tdm_restore { // one stream
	const struct tdm_restorer *tokens;
	uint32_t state;
	char held[TDM_RESTORE_HELD];
	size_t n_held;
	char recent[TDM_RESTORE_HELD * 2]; // what went out last, for counting damaged tokens
	size_t n_recent;
	long restored, damaged, missed; // missed: left as tokens inside links
	struct tdm_link *link;
	bool in_json; // the stream is JSON, where tokens stand inside strings: values come back as a string spells them
};
// link: where it stands, NULL: values come back inside links too. All zero, or of a stream that this one goes on with.
void tdm_restore_init(struct tdm_restore *s, const struct tdm_restorer *tokens, struct tdm_link *link, bool in_json);
// Appends to out what may go out after these bytes.
void tdm_restore_put(struct tdm_restore *s, const char *text, size_t n, struct tdm_bytes *out);
// The stream has ended: what is held is no token. A token cut off after its separator counts as damaged.
void tdm_restore_end(struct tdm_restore *s, struct tdm_bytes *out);
