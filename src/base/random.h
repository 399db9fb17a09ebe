// Random numbers: seeded streams (xoshiro256**, Blackman and Vigna 2018; seeded by splitmix64) that give the same
// values on every machine, and bytes from the system for identifiers and keys.
#pragma once
#include "base/status.h"
#include <stdint.h>

struct tdm_rng {
	uint64_t s[4];
};

void tdm_rng_init(struct tdm_rng *rng, uint64_t seed);
// A stream of its own for a named purpose: equal (seed, name, index) give equal streams, different ones independent
// streams.
void tdm_rng_stream(struct tdm_rng *rng, uint64_t seed, const char *name, uint64_t index);
uint64_t tdm_rng_u64(struct tdm_rng *rng);
uint64_t tdm_rng_below(struct tdm_rng *rng, uint64_t n); // uniform on 0..n-1 without bias; n > 0
double tdm_rng_double(struct tdm_rng *rng);              // uniform on [0, 1), 53 bits
double tdm_rng_normal(struct tdm_rng *rng);              // standard normal
int tdm_system_random(void *out, size_t n);              // TDM_OK or TDM_EIO
void tdm_make_id(char *out, const char *prefix);         // prefix + 24 base62 characters + NUL: time, then chance
#define TDM_ID_BYTES 40                                  // room for any identifier
