// Features: a text as a vector of numbers that linear scorers read. Routers decide on them, learn/fit fits on them;
// both must see the same numbers, so this is the only place that makes them.
//
// 4,096 hashed counts (words, pairs of words, runs of 3 to 5 characters; lower case for ASCII, every digit as 0: how
// many digits there are says more about difficulty than which), as ln(1 + count), of length 1 together; then the length
// of the text and its share of digits. The same text gives the same numbers on every machine.
#pragma once
#include <stddef.h>

#define TDM_N_GRAMS 4096
enum { TDM_FEATURE_LENGTH = TDM_N_GRAMS, TDM_FEATURE_DIGITS, TDM_N_FEATURES };

void tdm_features(const char *text, size_t n, float out[TDM_N_FEATURES]);
