// Decimal: numbers of up to 19 digits and small exponents with integers of the machine, all others with strtod.
//
// The rule kept here: the result is the double nearest to what is written, never one beside it. Integers are exact, and
// what a division leaves over decides ties. strtod is given no point, so that a locale cannot change what it reads.
#include "base/decimal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

// 5^k: the powers below 2^63; 10^k is 5^k * 2^k, and powers of two cost no precision.
#define LAST_POWER 27
#define LAST_EXACT_POWER 22 // the last one that is a double
static const uint64_t fives[LAST_POWER + 1] = {
    1u,
    5u,
    25u,
    125u,
    625u,
    3125u,
    15625u,
    78125u,
    390625u,
    1953125u,
    9765625u,
    48828125u,
    244140625u,
    1220703125u,
    6103515625u,
    30517578125u,
    152587890625u,
    762939453125u,
    3814697265625u,
    19073486328125u,
    95367431640625u,
    476837158203125u,
    2384185791015625u,
    11920928955078125u,
    59604644775390625u,
    298023223876953125u,
    1490116119384765625u,
    7450580596923828125u,
};

static double power_of_two(int exponent) {
	uint64_t bits = (uint64_t)(1023 + exponent) << 52;
	double power;
	memcpy(&power, &bits, sizeof power);
	return power;
}

// Both are shifted up as far as they go, so that the quotient has 63 or 64 bits: 53 decide, the others and a bit for
// the rest are what rounding needs.
static double divide(uint64_t digits, int power) {
	int up = __builtin_clzll(digits), down = __builtin_clzll(fives[power]);
	uint64_t divisor = fives[power] << down;
	wide dividend = (wide)(digits << up) << 63;
	uint64_t quotient = (uint64_t)(dividend / divisor);
	if (dividend - (wide)quotient * divisor != 0)
		quotient |= 1;
	return (double)quotient * power_of_two(down - up - 63 - power);
}

bool tdm_decimal_short(uint64_t digits, int64_t exponent, double *out) {
	if (exponent < -LAST_POWER || exponent > LAST_POWER)
		return false;
	int power = (int)(exponent < 0 ? -exponent : exponent);
	if (digits == 0)
		*out = 0;
	else if (exponent >= 0)
		*out = (double)((wide)digits * fives[power]) * power_of_two(power);
	else if (digits >> 53 == 0 && power <= LAST_EXACT_POWER) // both are doubles, and the division rounds once
		*out = (double)digits / (double)fives[power] * power_of_two(-power);
	else
		*out = divide(digits, power);
	return true;
}

// The middle between two doubles has at most 767 digits: of what follows, it only matters whether it is zero.
#define N_DIGITS 800

double tdm_decimal_long(const char *text, size_t n, int64_t exponent) {
	char digits[N_DIGITS + 16];
	size_t kept = 0;
	bool is_fraction = false, has_rest = false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '.') {
			is_fraction = true;
		} else if (kept == N_DIGITS) {
			has_rest |= text[i] != '0';
			exponent += !is_fraction;
		} else {
			exponent -= is_fraction;
			if (kept || text[i] != '0')
				digits[kept++] = text[i];
		}
	}
	if (has_rest) {
		digits[kept++] = '1';
		exponent--;
	}
	if (!kept)
		return 0;
	int clamped = exponent > 9999 ? 9999 : exponent < -9999 ? -9999 : (int)exponent;
	snprintf(digits + kept, sizeof digits - kept, "e%d", clamped);
	return strtod(digits, NULL);
}
