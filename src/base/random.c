// Random numbers: xoshiro256** streams for everything that must be repeatable, and the system's generator for
// identifiers and keys.
//
// The rule kept here: a stream gives the same values on every machine. That is why the normal distribution uses a
// logarithm of its own: the last bit of the C library's depends on the processor.
#include "base/random.h"
#include "base/clock.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define ID_DIGITS 24
#define TIME_DIGITS 7 // milliseconds to the year 2081

static uint64_t splitmix(uint64_t *state) {
	uint64_t z = *state += 0x9E3779B97F4A7C15u;
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return z ^ (z >> 31);
}

void tdm_rng_init(struct tdm_rng *rng, uint64_t seed) {
	for (int i = 0; i < 4; i++)
		rng->s[i] = splitmix(&seed);
}

// Seed, name (FNV-1a) and index are mixed one after the other, so that no two of them can cancel out.
void tdm_rng_stream(struct tdm_rng *rng, uint64_t seed, const char *name, uint64_t index) {
	uint64_t hash = 0xCBF29CE484222325u;
	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 0x100000001B3u;
	uint64_t state = seed;
	state = splitmix(&state) ^ hash;
	state = splitmix(&state) ^ index;
	tdm_rng_init(rng, splitmix(&state));
}

static uint64_t rotate(uint64_t x, int k) {
	return (x << k) | (x >> (64 - k));
}

uint64_t tdm_rng_u64(struct tdm_rng *rng) {
	uint64_t *s = rng->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

// Multiply and shift (Lemire 2019): the low half of the product tells the draws that would favour some values.
uint64_t tdm_rng_below(struct tdm_rng *rng, uint64_t n) {
	unsigned __int128 product = (unsigned __int128)tdm_rng_u64(rng) * n;
	if ((uint64_t)product < n) {
		uint64_t unfair = -n % n;
		while ((uint64_t)product < unfair)
			product = (unsigned __int128)tdm_rng_u64(rng) * n;
	}
	return (uint64_t)(product >> 64);
}

double tdm_rng_double(struct tdm_rng *rng) {
	return (double)(tdm_rng_u64(rng) >> 11) * 0x1p-53;
}

// ln x = e ln 2 + 2 atanh((m - 1) / (m + 1)) with m in [sqrt(1/2), sqrt(2)); twelve terms leave less than 1e-17.
static double exact_log(double x) {
	int exponent;
	double m = frexp(x, &exponent);
	if (m < 0.70710678118654752) {
		m *= 2;
		exponent--;
	}
	double r = (m - 1) / (m + 1), r2 = r * r, sum = 0;
	for (int k = 23; k > 0; k -= 2)
		sum = sum * r2 + 1.0 / k;
	return exponent * 0.69314718055994531 + 2 * r * sum;
}

// Marsaglia's polar method; the second value of the pair is not kept, so that a stream has no hidden state.
double tdm_rng_normal(struct tdm_rng *rng) {
	double u, v, s;
	do {
		u = 2 * tdm_rng_double(rng) - 1;
		v = 2 * tdm_rng_double(rng) - 1;
		s = u * u + v * v;
	} while (s >= 1 || s == 0);
	return u * sqrt(-2 * exact_log(s) / s);
}

static int ask_system(void *out, size_t n) {
	unsigned char *next = out;
	while (n) {
		ssize_t got = getrandom(next, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return TDM_EIO;
		next += got;
		n -= (size_t)got;
	}
	return TDM_OK;
}

// Small amounts come from a store of the thread, so that a request with several of them asks the system once. What was
// given out is wiped.
int tdm_system_random(void *out, size_t n) {
	static _Thread_local unsigned char store[2048];
	static _Thread_local size_t left;
	if (n > sizeof store / 16)
		return ask_system(out, n);
	if (n > left) {
		if (ask_system(store, sizeof store))
			return TDM_EIO;
		left = sizeof store;
	}
	left -= n;
	memcpy(out, store + left, n);
	memset(store + left, 0, n);
	return TDM_OK;
}

// An identifier must be unique even where the system's generator is missing; it is not a secret.
static void seed_id(struct tdm_rng *rng) {
	if (tdm_system_random(rng->s, sizeof rng->s) != TDM_OK || !(rng->s[0] | rng->s[1] | rng->s[2] | rng->s[3]))
		tdm_rng_stream(rng, (uint64_t)tdm_now_us(), "id", (uint64_t)getpid() << 32 ^ (uintptr_t)rng);
}

// The time comes first, so that identifiers sort as they were made and an index of them grows at its end; 17 characters
// of chance (101 bits) follow.
void tdm_make_id(char *out, const char *prefix) {
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	struct tdm_rng rng;
	seed_id(&rng);
	size_t n = strnlen(prefix, TDM_ID_BYTES - 25);
	uint64_t ms = (uint64_t)tdm_wall_us() / 1000;
	memcpy(out, prefix, n);
	for (size_t i = TIME_DIGITS; i-- > 0; ms /= 62)
		out[n + i] = digits[ms % 62];
	for (size_t i = TIME_DIGITS; i < ID_DIGITS; i++)
		out[n + i] = digits[tdm_rng_below(&rng, 62)];
	out[n + ID_DIGITS] = 0;
}
