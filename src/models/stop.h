// Stop: finds the first stop string in text that arrives in pieces. Text that may begin a stop string is not safe to
// send until it cannot.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Looks at text[0..n), all of which is still unsent. The stop string that begins at *safe, the earliest one. NULL:
// *safe bytes can be sent now, the rest may still begin a stop string; with `final` (no more text follows) that is all
// of it. Empty stop strings never match.
const char *tdm_stop_find(const char *const *stop, size_t n_stop, const char *text, size_t n, bool final, size_t *safe);
size_t tdm_stop_longest(const char *const *stop, size_t n_stop); // bytes of the longest
