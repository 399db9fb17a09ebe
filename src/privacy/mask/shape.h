// Shape: a number in the place of a private number that looks like it: the same digits count, the same separators. For
// texts and programs that check the form. FF1 of NIST SP 800-38G with AES-256; FF3 was withdrawn. Whoever sees it
// cannot tell that it stands for another one, and it may be somebody's: so it is an option.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TDM_SHAPE_FEWEST 6 // digits: a domain of a million (SP 800-38G, section 5.1)
#define TDM_SHAPE_MOST 20

// digits[0..n), each 0-9, in place. tweak: at most 64 bytes. Error: TDM_EINTERNAL, and the digits are as they were.
int tdm_ff1(const uint8_t key[32], const uint8_t *tweak, size_t n_tweak, uint8_t *digits, size_t n);
// Writes text[0..n) with other digits to out, n bytes. luhn: the last digit checks the others, as it does on cards.
// False: too few digits or too many, or no cipher; nothing was written.
bool tdm_shape(const uint8_t key[32], const char *label, const char *text, size_t n, bool luhn, char *out);
