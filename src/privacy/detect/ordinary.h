// Ordinary: numbers that are written as dates, years, lists, decimals and sums are. One check digit of ten agrees with
// any of them by chance, so that only a word of context makes an identifier of one.
#pragma once
#include "privacy/detect/entities.h"

bool tdm_only_digits(const struct tdm_candidate *c); // of the number that the candidate's compact form holds
bool tdm_is_ordinary(const struct tdm_candidate *c);
