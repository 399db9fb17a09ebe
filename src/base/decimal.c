// Decimal: numbers of up to 19 digits and small exponents with integers of the machine, all others with strtod.
//
// The rule kept here: the result is the double nearest to what is written, never one beside it. Integers are exact, and
// what a division leaves over decides ties. strtod is given no point, so that a locale cannot change what it reads.
#include "base/decimal.h"
#include <float.h>
#include <math.h>
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

// --- writing

static const uint64_t tens[] = {1u,
                                10u,
                                100u,
                                1000u,
                                10000u,
                                100000u,
                                1000000u,
                                10000000u,
                                100000000u,
                                1000000000u,
                                10000000000u,
                                100000000000u,
                                1000000000000u,
                                10000000000000u,
                                100000000000000u,
                                1000000000000000u,
                                10000000000000000u,
                                100000000000000000u};

struct digits {
	uint64_t number; // value is nearest to number * 10^-places
	int places;
};

// fraction * 2^-down * 10^places, rounded (ties to even); exact up to the rounding.
static uint64_t scale(uint64_t fraction, int down, int places) {
	wide product = (wide)fraction * fives[places];
	down -= places;
	if (down <= 0)
		return (uint64_t)(product << -down);
	if (down >= 127)
		return 0;
	wide half = (wide)1 << (down - 1), rest = product & (half * 2 - 1);
	uint64_t number = (uint64_t)(product >> down);
	return number + (rest > half || (rest == half && (number & 1)));
}

// value (above 0) with n digits; false where the powers at hand do not reach.
static bool round_to(double value, int n, struct digits *out) {
	int exponent;
	double fraction = frexp(value, &exponent); // value = fraction * 2^exponent, fraction from 1/2 to 1
	int places = n - (int)floor((exponent - 1) * 0.30102999566398120) - 1; // right, or one too many
	if (exponent > 53 || exponent < -80)
		return false;
	for (int i = 0; i < 2; i++, places--) {
		if (places < 0 || places > LAST_POWER)
			return false;
		out->number = scale((uint64_t)(fraction * 0x1p53), 53 - exponent, places);
		out->places = places;
		if (out->number <= tens[n])
			return true;
	}
	return false;
}

static size_t put_number(char *out, uint64_t number) {
	char text[20];
	size_t n = 0, i = 0;
	do
		text[n++] = (char)('0' + number % 10);
	while (number /= 10);
	while (n)
		out[i++] = text[--n];
	return i;
}

// As %g does: exponents below -4 are written as such. d has no zeros at its end, and is no integer.
static size_t put_digits(char *out, const struct digits *d) {
	char text[20];
	size_t n = put_number(text, d->number), at = 0;
	int exponent = (int)n - 1 - d->places;
	if (exponent < -4) {
		out[at++] = text[0];
		if (n > 1)
			out[at++] = '.';
		memcpy(out + at, text + 1, n - 1);
		at += n - 1;
		out[at++] = 'e';
		out[at++] = '-';
		if (exponent > -10)
			out[at++] = '0';
		return at + put_number(out + at, (uint64_t)-exponent);
	}
	for (int i = exponent; i < 0; i++) {
		out[at++] = '0';
		if (i == exponent)
			out[at++] = '.';
	}
	size_t before = exponent < 0 ? 0 : (size_t)exponent + 1;
	memcpy(out + at, text, before);
	at += before;
	if (before && before < n)
		out[at++] = '.';
	memcpy(out + at, text + before, n - before);
	return at + n - before;
}

static void drop_zeros(struct digits *d) {
	while (d->places > 0 && d->number % 10 == 0) {
		d->number /= 10;
		d->places--;
	}
}

// 15 digits always survive, except for subnormal numbers, which have fewer.
static size_t write_slowly(char *out, double value) {
	int n = 0;
	for (int digits = fabs(value) < DBL_MIN ? 1 : 15; digits <= 17; digits++) {
		n = snprintf(out, TDM_DECIMAL_BYTES, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return (size_t)n;
}

size_t tdm_decimal_write(char out[TDM_DECIMAL_BYTES], double value) {
	double size = fabs(value), back;
	struct digits d;
	if (trunc(value) == value)
		return write_slowly(out, value);
	for (int n = 15; n <= 17 && round_to(size, n, &d); n++) {
		if (!tdm_decimal_short(d.number, -d.places, &back) || back != size)
			continue;
		drop_zeros(&d);
		out[0] = '-';
		return (value < 0) + put_digits(out + (value < 0), &d);
	}
	return write_slowly(out, value);
}

double tdm_decimal_round(double value, int digits) {
	char text[TDM_DECIMAL_BYTES];
	struct digits d;
	double rounded;
	if (isfinite(value) && trunc(value) != value && round_to(fabs(value), digits, &d) &&
	    tdm_decimal_short(d.number, -d.places, &rounded))
		return value < 0 ? -rounded : rounded;
	snprintf(text, sizeof text, "%.*g", digits, value);
	return strtod(text, NULL);
}
