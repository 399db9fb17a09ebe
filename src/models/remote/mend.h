// Mend: characters beyond the basic plane are written as two \u escapes in JSON; some servers cut a stream of words
// between them, and no JSON parser takes half a pair. The halves are marked before parsing, and joined after it with
// the half that the next event brings under the same key; one that stays alone becomes U+FFFD.
#pragma once
#include "base/bytes.h"
#include "base/value.h"

struct tdm_mend {
	char key[32];   // whose string ended with a first half; empty = none did
	unsigned first; // the half, 0xD800..0xDBFF
	size_t n_alone; // that became U+FFFD
};

// Whether data has half a pair. If so, out (cleared) is data with halves marked.
bool tdm_mend_mark(const char *data, size_t n, struct tdm_bytes *out);
// Strings of the event, in the arena, with halves joined or replaced. To be asked when mark found one, and while a half
// waits. False: no memory.
bool tdm_mend_join(struct tdm_mend *m, struct tdm_arena *arena, struct tdm_value *event);
