// Decimal: doubles and the decimal digits that stand for them, whatever the locale.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The double nearest to digits * 10^exponent (ties to even). False, out untouched, where exponent is out of -27..27.
bool tdm_decimal_short(uint64_t digits, int64_t exponent, double *out);
// The same for a number of any length: text[0..n) holds digits and at most one point. Infinity above the largest
// double.
double tdm_decimal_long(const char *text, size_t n, int64_t exponent);
// Writes value with the fewest of 15 to 17 digits that read back as the same double (as %.15g, %.16g or %.17g does) and
// returns the length, without a NUL. value is finite.
#define TDM_DECIMAL_BYTES 32
size_t tdm_decimal_write(char out[TDM_DECIMAL_BYTES], double value);
// The double nearest to value rounded to so many digits (1..17), as reading what %.*g writes gives it.
double tdm_decimal_round(double value, int digits);
