// Alias: made-up names that stand for real ones, where a text is to read like one. Each is rare, no English word, and
// no part of another, so that it can be found again without looking at what stands beside it.
#pragma once
#include <stddef.h>

const char *const *tdm_aliases(const char *label, size_t *n); // of PERSON, PLACE, ORG; NULL: of others there are none
