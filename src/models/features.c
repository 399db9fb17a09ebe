#include "models/features.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HASH_START 14695981039346656037u
#define HASH_FACTOR 1099511628211u // FNV-1a, 64 bits
#define LENGTH_SCALE 8.0           // ln of the bytes of a long prompt: keeps the feature near 1

static unsigned char folded(char c) {
	if (c >= '0' && c <= '9')
		return '0';
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

static bool is_word(unsigned char c) {
	return c == '0' || (c >= 'a' && c <= 'z') || c >= 0x80;
}

static uint64_t step(uint64_t hash, unsigned char c) {
	return (hash ^ c) * HASH_FACTOR;
}

static void count(float *out, uint64_t hash) {
	out[(hash ^ hash >> 29) % TDM_N_GRAMS] += 1;
}

static void count_words(const char *text, size_t n, float *out) {
	uint64_t before = 0; // hash of the word before; 0 = none
	for (size_t i = 0; i < n;) {
		uint64_t word = step(HASH_START, 'w'), pair = before;
		size_t start = i;
		for (; i < n && is_word(folded(text[i])); i++) {
			word = step(word, folded(text[i]));
			pair = step(pair, folded(text[i]));
		}
		if (i == start) {
			i++;
			continue;
		}
		count(out, word);
		if (before)
			count(out, pair);
		before = step(word, ' ');
	}
}

static void count_characters(const char *text, size_t n, float *out) {
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = step(HASH_START, 'c');
		for (size_t k = 0; k < 5 && i + k < n; k++) {
			hash = step(hash, folded(text[i + k]));
			if (k >= 2)
				count(out, hash);
		}
	}
}

static void to_unit_length(float *x) {
	double sum = 0;
	for (int i = 0; i < TDM_N_GRAMS; i++) {
		x[i] = x[i] > 0 ? (float)log1p((double)x[i]) : 0;
		sum += (double)x[i] * (double)x[i];
	}
	double scale = sum > 0 ? 1 / sqrt(sum) : 0;
	for (int i = 0; i < TDM_N_GRAMS; i++)
		x[i] = (float)((double)x[i] * scale);
}

void tdm_features(const char *text, size_t n, float out[TDM_N_FEATURES]) {
	size_t digits = 0;
	memset(out, 0, TDM_N_FEATURES * sizeof *out);
	count_words(text, n, out);
	count_characters(text, n, out);
	to_unit_length(out);
	for (size_t i = 0; i < n; i++)
		digits += folded(text[i]) == '0';
	out[TDM_FEATURE_LENGTH] = (float)(log1p((double)n) / LENGTH_SCALE);
	out[TDM_FEATURE_DIGITS] = n ? (float)((double)digits / (double)n) : 0;
}
