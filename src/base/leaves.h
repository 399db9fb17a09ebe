// Leaves: the strings (keys too) and numbers of a JSON text, with the places where they stand, so that some of them can
// be written anew and every other byte of the text stays as it is.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

struct tdm_leaf {
	size_t start, end; // in the text, with the quotes
	const char *text;  // without them, escapes read; a number as it is written
	size_t n;
	const uint32_t *at; // n + 1 offsets into the source; NULL = start + 1 + i, or start + i for a number
	bool is_string;
};

// *leaves: in the order of the text. TDM_EJSON when data[0..n) is not one JSON text, TDM_ENOMEM.
int tdm_leaves_read(struct tdm_arena *arena, const char *data, size_t n, struct tdm_leaf **leaves, size_t *n_leaves,
                    struct tdm_error *err);
size_t tdm_leaf_origin(const struct tdm_leaf *leaf, size_t at); // the offset in the source of byte `at` of the leaf
