// Decimal: the nearest double to a number written in decimal digits, whatever the locale.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The double nearest to digits * 10^exponent (ties to even). False, out untouched, where exponent is out of -27..27.
bool tdm_decimal_short(uint64_t digits, int64_t exponent, double *out);
// The same for a number of any length: text[0..n) holds digits and at most one point. Infinity above the largest
// double.
double tdm_decimal_long(const char *text, size_t n, int64_t exponent);
