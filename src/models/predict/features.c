#include "models/predict/features.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HASH_START 14695981039346656037u
#define HASH_FACTOR 1099511628211u // FNV-1a, 64 bits
#define LENGTH_SCALE 8.0           // ln of the bytes of a long prompt: keeps the feature near 1
#define SURE 1e-4                  // a log-probability nearer to 0 says no more
#define SIGN_LIMIT 1.0             // of a sign after scaling
#define MOST_ASKED 24              // words
#define N_KNOWN 65536              // bits: a hash for each word of a question

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

struct grams {
	float *out;
	int n;
};

static void count(const struct grams *g, uint64_t hash) {
	g->out[(hash ^ hash >> 29) % (uint64_t)g->n] += 1;
}

static void count_words(const char *text, size_t n, const struct grams *out) {
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

static void count_characters(const char *text, size_t n, const struct grams *out) {
	for (size_t i = 0; i < n; i++) {
		uint64_t hash = step(HASH_START, 'c');
		for (size_t k = 0; k < 5 && i + k < n; k++) {
			hash = step(hash, folded(text[i + k]));
			if (k >= 2)
				count(out, hash);
		}
	}
}

static void to_unit_length(const struct grams *g) {
	double sum = 0;
	for (int i = 0; i < g->n; i++) {
		if (g->out[i] <= 0)
			continue;
		g->out[i] = (float)log1p((double)g->out[i]);
		sum += (double)g->out[i] * (double)g->out[i];
	}
	double scale = sum > 0 ? 1 / sqrt(sum) : 0;
	for (int i = 0; i < g->n; i++)
		g->out[i] = (float)((double)g->out[i] * scale);
}

void tdm_feature_grams(const char *text, size_t n, float *out, int n_grams) {
	const struct grams g = {out, n_grams};
	count_words(text, n, &g);
	count_characters(text, n, &g);
	to_unit_length(&g);
}

// --- the words that question and answer share

struct words { // a walk over the words of a text
	const char *text;
	size_t n, at;
	uint64_t hash, pair; // of the word, and of it with the one before; pair 0: it is the first
	uint64_t kind;       // of the word with every digit as 0
	bool is_number;
};

static bool next_word(struct words *w) {
	uint64_t before = w->hash;
	while (w->at < w->n && !is_word(folded(w->text[w->at])))
		w->at++;
	if (w->at == w->n)
		return false;
	w->is_number = folded(w->text[w->at]) == '0';
	w->hash = w->kind = HASH_START;
	for (; w->at < w->n && is_word(folded(w->text[w->at])); w->at++) {
		char c = w->text[w->at];
		w->kind = step(w->kind, folded(c));
		w->hash = step(w->hash, (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
	}
	w->pair = before ? (before * HASH_FACTOR) ^ w->hash : 0;
	return true;
}

static uint64_t bit_of(uint64_t hash) {
	return (hash ^ hash >> 17 ^ hash >> 37) % N_KNOWN;
}

static void know(uint8_t *known, uint64_t hash) {
	uint64_t bit = bit_of(hash);
	known[bit / 8] |= (uint8_t)(1 << bit % 8);
}

static bool is_known(const uint8_t *known, uint64_t hash) {
	uint64_t bit = bit_of(hash);
	return known[bit / 8] >> bit % 8 & 1;
}

static double share(double part, double whole) {
	return whole > 0 ? part / whole : 0;
}

static void compare_words(const struct tdm_seen *seen, double *out) {
	uint8_t known[N_KNOWN / 8] = {0};
	struct words q = {.text = seen->question, .n = seen->n_question}, a = {.text = seen->answer, .n = seen->n_answer};
	double words = 0, copied = 0, numbers = 0, copied_numbers = 0, pairs = 0, copied_pairs = 0;
	while (next_word(&q)) {
		know(known, q.hash);
		if (q.pair)
			know(known, q.pair);
	}
	while (next_word(&a)) {
		bool is_copy = is_known(known, a.hash);
		words++;
		copied += is_copy;
		numbers += a.is_number;
		copied_numbers += a.is_number && is_copy;
		pairs += a.pair != 0;
		copied_pairs += a.pair && is_known(known, a.pair);
	}
	out[TDM_SIGN_COPIED] = share(copied, words);
	out[TDM_SIGN_NEW] = log1p(words - copied);
	out[TDM_SIGN_COPIED_NUMBERS] = share(copied_numbers, numbers);
	out[TDM_SIGN_NUMBERS] = numbers > 0;
	out[TDM_SIGN_COPIED_PAIRS] = share(copied_pairs, pairs);
}

// --- signs

static const char *const sign_names[TDM_SIGN_RELATIONS] = {
    "least", "mean",   "sum",   "second", "first", "last",           "mean_logprob", "least_logprob", "least_p",
    "sum_p", "pieces", "bytes", "copied", "new",   "copied_numbers", "numbers",      "copied_pairs",
};

const char *tdm_sign_name(int sign) {
	return sign < TDM_SIGN_RELATIONS ? sign_names[sign] : tdm_relation_names[sign - TDM_SIGN_RELATIONS];
}

// What brings each near 0 with a spread of about a quarter: the middle and four times the spread.
static const struct {
	double middle, scale;
} signs[TDM_SIGN_RELATIONS] = {
    [TDM_SIGN_LEAST] = {1.6, 9},
    [TDM_SIGN_MEAN] = {2.7, 9},
    [TDM_SIGN_SUM] = {1.1, 9},
    [TDM_SIGN_SECOND] = {4.3, 13},
    [TDM_SIGN_FIRST] = {3.4, 12},
    [TDM_SIGN_LAST] = {5, 12},
    [TDM_SIGN_MEAN_LOGPROB] = {-0.3, 1.8},
    [TDM_SIGN_LEAST_LOGPROB] = {-0.7, 3.4},
    [TDM_SIGN_LEAST_P] = {0.6, 1.3},
    [TDM_SIGN_SUM_P] = {0.55, 1.4},
    [TDM_SIGN_PIECES] = {1.8, 3.5},
    [TDM_SIGN_BYTES] = {2.5, 4.6},
    [TDM_SIGN_COPIED] = {0.35, 1.6},
    [TDM_SIGN_NEW] = {0.95, 3},
    [TDM_SIGN_COPIED_NUMBERS] = {0.3, 1.7},
    [TDM_SIGN_NUMBERS] = {0.5, 2},
    [TDM_SIGN_COPIED_PAIRS] = {0.2, 1.4},
};

static double doubt(double logprob) {
	return -log(SURE - (logprob < 0 ? logprob : 0));
}

static void measure(const struct tdm_seen *seen, double *out) {
	const struct tdm_logprobs *p = &seen->logprobs;
	double mean = p->n ? p->sum / p->n : 0;
	out[TDM_SIGN_LEAST] = doubt(p->least);
	out[TDM_SIGN_MEAN] = doubt(mean);
	out[TDM_SIGN_SUM] = doubt(p->sum);
	out[TDM_SIGN_SECOND] = doubt(p->second);
	out[TDM_SIGN_FIRST] = doubt(p->first);
	out[TDM_SIGN_LAST] = doubt(p->last);
	out[TDM_SIGN_MEAN_LOGPROB] = mean;
	out[TDM_SIGN_LEAST_LOGPROB] = p->least;
	out[TDM_SIGN_LEAST_P] = exp(p->least);
	out[TDM_SIGN_SUM_P] = exp(p->sum);
	out[TDM_SIGN_PIECES] = log1p(p->n);
	out[TDM_SIGN_BYTES] = log1p((double)seen->n_answer);
	compare_words(seen, out);
	tdm_relations(seen->question, seen->n_question, seen->answer, seen->n_answer, out + TDM_SIGN_RELATIONS);
}

static void scale(double x[TDM_N_SIGNS]) {
	for (int i = 0; i < TDM_SIGN_RELATIONS; i++)
		x[i] = fmax(-SIGN_LIMIT, fmin(SIGN_LIMIT, (x[i] - signs[i].middle) / signs[i].scale));
	for (int i = TDM_SIGN_RELATIONS; i < TDM_N_SIGNS; i++)
		x[i] /= 2;
}

// The first words that say what is asked, hashed; each counts by one over the root of how many there are.
static int read_asked(const struct tdm_seen *seen, uint8_t asked[TDM_N_ASKED]) {
	struct tdm_piece_of_text passage = tdm_passage(seen->question, seen->n_question);
	const char *end = passage.n ? passage.text + passage.n : seen->question;
	struct words parts[] = {
	    {.text = seen->question, .n = passage.n ? (size_t)(passage.text - seen->question) : 0},
	    {.text = end, .n = seen->n_question - (size_t)(end - seen->question)},
	};
	int n = 0, seen_words = 0;
	memset(asked, 0, TDM_N_ASKED);
	for (int i = 0; i < 2; i++)
		while (seen_words < MOST_ASKED && next_word(&parts[i])) {
			uint8_t *at = &asked[(parts[i].kind ^ parts[i].kind >> 29) % TDM_N_ASKED];
			seen_words++;
			n += !*at;
			*at = 1;
		}
	return n;
}

static void add_signs(const struct tdm_seen *seen, float *out) {
	double x[TDM_N_SIGNS];
	uint8_t asked[TDM_N_ASKED];
	measure(seen, x);
	scale(x);
	for (int i = 0; i < TDM_N_SIGNS; i++) {
		out[TDM_FEATURE_SIGNS + i] = (float)x[i];
		for (int k = 0; k <= i; k++)
			out[TDM_FEATURE_PAIRS + i * (i + 1) / 2 + k] = (float)(x[i] * x[k]);
	}
	int n = read_asked(seen, asked);
	for (int w = 0; w < TDM_N_ASKED; w++)
		for (int i = 0; asked[w] && i < TDM_N_SIGNS; i++)
			out[TDM_FEATURE_ASKED + w * TDM_N_SIGNS + i] = (float)(x[i] / sqrt(n));
}

// --- the whole

struct tdm_seen tdm_seen_question(const struct tdm_request *request) {
	for (size_t i = request->n_messages; i-- > 0;)
		if (request->messages[i].from == TDM_FROM_USER)
			return (struct tdm_seen){.question = request->messages[i].text, .n_question = request->messages[i].len};
	return (struct tdm_seen){.question = ""};
}

void tdm_features(enum tdm_reads reads, const struct tdm_seen *seen, float *out) {
	size_t digits = 0, n = seen->n_question;
	memset(out, 0, (size_t)tdm_n_features(reads) * sizeof *out);
	tdm_feature_grams(seen->question, n, out, TDM_N_GRAMS);
	for (size_t i = 0; i < n; i++)
		digits += folded(seen->question[i]) == '0';
	out[TDM_FEATURE_LENGTH] = (float)(log1p((double)n) / LENGTH_SCALE);
	out[TDM_FEATURE_DIGITS] = (float)share((double)digits, (double)n);
	if (reads != TDM_READS_ANSWER)
		return;
	tdm_feature_grams(seen->answer, seen->n_answer, out + TDM_FEATURE_ANSWER, TDM_N_GRAMS);
	add_signs(seen, out);
}
