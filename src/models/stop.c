// Stop: plain search; a handful of short strings against the short text that is held.
#include "models/stop.h"
#include <string.h>

// Does text[0..n) begin with `stop`, or is all of it a beginning of `stop`?
static bool agrees(const char *stop, size_t length, const char *text, size_t n) {
	return !memcmp(stop, text, n < length ? n : length);
}

const char *tdm_stop_find(const char *const *stop, size_t n_stop, const char *text, size_t n, bool final,
                          size_t *safe) {
	for (size_t at = 0; at < n; at++) {
		bool may_begin = false;
		for (size_t i = 0; i < n_stop; i++) {
			size_t length = strlen(stop[i]);
			if (length == 0 || !agrees(stop[i], length, text + at, n - at))
				continue;
			if (length <= n - at) {
				*safe = at;
				return stop[i];
			}
			may_begin = !final;
		}
		// An earlier beginning may yet become the first match, so a later whole match has to wait for it.
		if (may_begin) {
			*safe = at;
			return NULL;
		}
	}
	*safe = n;
	return NULL;
}

size_t tdm_stop_longest(const char *const *stop, size_t n_stop) {
	size_t longest = 0;
	for (size_t i = 0; i < n_stop; i++)
		longest = strlen(stop[i]) > longest ? strlen(stop[i]) : longest;
	return longest;
}
