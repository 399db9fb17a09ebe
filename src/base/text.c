// Text: the distance between two words, for "did you mean".
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

static size_t smaller(size_t a, size_t b) {
	return a < b ? a : b;
}

// Levenshtein distance in characters, one row of the table at a time. Without memory: the longer length.
size_t tdm_edit_distance(const char *a, const char *b) {
	size_t n_a = strlen(a), n_b = strlen(b), n = 0;
	size_t *row = malloc((n_b + 1) * sizeof *row);
	uint32_t *chars = malloc((n_b + 1) * sizeof *chars), c;
	if (!row || !chars) {
		n = n_a > n_b ? n_a : n_b;
		goto done;
	}
	for (size_t at = 0; at < n_b; n++)
		at += tdm_utf8_next(b + at, n_b - at, &chars[n]);
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t at = 0; at < n_a;) {
		at += tdm_utf8_next(a + at, n_a - at, &c);
		size_t diagonal = row[0]++;
		for (size_t j = 1; j <= n; j++) {
			size_t above = row[j];
			row[j] = smaller(smaller(above, row[j - 1]) + 1, diagonal + (chars[j - 1] != c));
			diagonal = above;
		}
	}
	n = row[n];
done:
	free(chars);
	free(row);
	return n;
}
