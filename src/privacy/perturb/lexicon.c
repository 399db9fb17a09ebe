// Lexicon: see lexicon.h. Distances are computed when they are needed: a table of them would be larger than most
// vectors.
#include "privacy/perturb/lexicon.h"
#include "engine/vocab.h"
#include "models/predict/linear.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT_BYTES ((size_t)1 << 30)
#define MOST_NUMBERS 4096

static uint64_t hash_of(const char *word, size_t n) {
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (unsigned char)tolower((unsigned char)word[i])) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

static bool is_same(const char *word, const char *text, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (!word[i] || word[i] != (char)tolower((unsigned char)text[i]))
			return false;
	return !word[n];
}

// The slot of a word, or the empty one where it would stand.
static size_t slot_of(const struct tdm_lexicon *l, const char *word, size_t n) {
	size_t at = hash_of(word, n) & (l->n_slots - 1);
	while (l->slots[at] >= 0 && !is_same(l->words[l->slots[at]], word, n))
		at = (at + 1) & (l->n_slots - 1);
	return at;
}

int32_t tdm_lexicon_find(const struct tdm_lexicon *l, const char *word, size_t n) {
	return l->slots[slot_of(l, word, n)];
}

double tdm_lexicon_distance(const struct tdm_lexicon *l, int32_t x, int32_t y) {
	const float *a = l->vectors + (size_t)x * (size_t)l->width, *b = l->vectors + (size_t)y * (size_t)l->width;
	double sum = 0;
	for (int i = 0; i < l->width; i++) {
		double d = (double)a[i] - (double)b[i];
		sum += d * d;
	}
	return sqrt(sum);
}

// --- reading

static int full(const char *name, struct tdm_error *err) {
	return tdm_fail(err, TDM_ECONFIG, "%s: expected at most %d words with at most %d numbers", name, TDM_LEXICON_MOST,
	                MOST_NUMBERS);
}

static int make_room(struct tdm_lexicon *l, struct tdm_arena *arena, const char *name, size_t cap, int width,
                     struct tdm_error *err) {
	if (cap > TDM_LEXICON_MOST || width > MOST_NUMBERS)
		return full(name, err);
	l->width = width;
	l->n_slots = 4;
	while (l->n_slots < 2 * cap)
		l->n_slots *= 2;
	l->words = tdm_arena_array(arena, cap + 1, sizeof *l->words);
	l->vectors = tdm_arena_array(arena, (cap + 1) * (size_t)width, sizeof *l->vectors);
	l->slots = tdm_arena_array(arena, l->n_slots, sizeof *l->slots);
	if (!l->words || !l->vectors || !l->slots)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for %zu words", name, cap);
	for (size_t i = 0; i < l->n_slots; i++)
		l->slots[i] = -1;
	return TDM_OK;
}

// Where its vector goes; NULL: it is there already, or there is no memory.
static float *add_word(struct tdm_lexicon *l, struct tdm_arena *arena, const char *word, size_t n) {
	size_t slot = slot_of(l, word, n);
	char *copy = l->slots[slot] < 0 ? tdm_arena_copy(arena, word, n) : NULL;
	if (!copy)
		return NULL;
	for (size_t i = 0; i < n; i++)
		copy[i] = (char)tolower((unsigned char)copy[i]);
	l->words[l->n] = copy;
	l->slots[slot] = (int32_t)l->n;
	return l->vectors + l->n++ * (size_t)l->width;
}

// The numbers of a line behind its word; -1: something else stands there.
static int read_numbers(const char *at, const char *end, float *out) {
	int n = 0;
	for (;;) {
		while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
			at++;
		if (at == end)
			return n;
		char *after;
		float value = strtof(at, &after);
		if (after == at || after > end || n == MOST_NUMBERS || !isfinite(value))
			return -1;
		out[n++] = value;
		at = after;
	}
}

static size_t count_lines(const char *data, size_t n) {
	size_t lines = 0;
	for (size_t i = 0; i < n; i++)
		lines += data[i] == '\n' || i + 1 == n;
	return lines;
}

static int read_lines(struct tdm_lexicon *l, struct tdm_arena *arena, const char *name, const char *data, size_t n,
                      struct tdm_error *err) {
	float numbers[MOST_NUMBERS];
	size_t lines = count_lines(data, n), at = 0, line = 0;
	int status = TDM_OK;
	for (size_t end; at < n && status == TDM_OK; at = end + 1) {
		const char *stop = memchr(data + at, '\n', n - at);
		end = stop ? (size_t)(stop - data) : n;
		line++;
		size_t length = 0;
		while (at + length < end && !isspace((unsigned char)data[at + length]))
			length++;
		if (!length)
			continue;
		int width = read_numbers(data + at + length, data + end, numbers);
		if (width < 1 || (l->width && width != l->width))
			return tdm_fail(err, TDM_ECONFIG, "%s line %zu: expected a word and %s numbers", name, line,
			                l->width ? "as many" : "its");
		if (!l->width)
			status = make_room(l, arena, name, lines, width, err);
		float *vector = status == TDM_OK ? add_word(l, arena, data + at, length) : NULL;
		if (vector)
			memcpy(vector, numbers, (size_t)width * sizeof *numbers);
	}
	return status;
}

// A token that is a word: letters, at least two of them, behind a space or none.
static bool word_of(const struct tdm_vocab *v, int32_t token, const char **word, size_t *n) {
	*n = tdm_token_is_special(v, token) ? 0 : tdm_token_piece(v, token, word);
	if (*n && **word == ' ') {
		++*word;
		--*n;
	}
	for (size_t i = 0; i < *n; i++)
		if (!isalpha((unsigned char)(*word)[i]))
			return false;
	return *n >= 2;
}

static int read_tokens(struct tdm_lexicon *l, struct tdm_arena *arena, const char *name, const struct tdm_gguf *g,
                       const struct tdm_vocab *v, struct tdm_error *err) {
	const struct tdm_tensor *t = tdm_gguf_tensor(g, "token_embd.weight");
	size_t n_words = 0, n_vocab = (size_t)tdm_vocab_size(v), n;
	const char *word;
	if (!t || t->n_dims != 2 || t->dims[1] < n_vocab)
		return tdm_fail(err, TDM_ECONFIG, "%s: the file has no embedding of its vocabulary", name);
	for (size_t i = 0; i < n_vocab; i++)
		n_words += word_of(v, (int32_t)i, &word, &n);
	int status = make_room(l, arena, name, n_words, (int)t->dims[0], err);
	for (size_t i = 0; i < n_vocab && status == TDM_OK; i++) {
		float *vector = word_of(v, (int32_t)i, &word, &n) ? add_word(l, arena, word, n) : NULL;
		if (vector)
			tdm_dequantize(t->type, (const char *)t->data + i * (t->bytes / t->dims[1]), t->dims[0], vector);
	}
	return status;
}

static int read_weights(struct tdm_lexicon *l, struct tdm_arena *arena, const char *name, const char *data, size_t n,
                        struct tdm_error *err) {
	struct tdm_gguf *g = NULL;
	struct tdm_vocab *v = NULL;
	int status = tdm_gguf_memory(name, data, n, &g, err);
	if (status == TDM_OK)
		status = tdm_vocab_read(g, &v, err);
	if (status == TDM_OK)
		status = read_tokens(l, arena, name, g, v, err);
	if (v)
		tdm_vocab_free(v);
	if (g)
		tdm_gguf_close(g);
	return status;
}

// --- what is known of the table

static void measure(struct tdm_lexicon *l) {
	double *mean = calloc((size_t)l->width, sizeof *mean), far = 0;
	for (size_t i = 0; mean && i < l->n * (size_t)l->width; i++)
		mean[i % (size_t)l->width] += (double)l->vectors[i] / (double)l->n;
	for (size_t i = 0; i < l->n; i++) {
		double sum = 0;
		for (int k = 0; k < l->width; k++) {
			double d = (double)l->vectors[i * (size_t)l->width + (size_t)k] - (mean ? mean[k] : 0);
			sum += d * d;
		}
		far = sum > far ? sum : far;
	}
	l->diameter = 2 * sqrt(far);
	free(mean);
}

struct near {
	double distance;
	int32_t word;
};

static int by_distance(const void *a, const void *b) {
	const struct near *x = a, *y = b;
	return x->distance != y->distance ? (x->distance < y->distance ? -1 : 1)
	                                  : (x->word > y->word) - (x->word < y->word);
}

static double widest(const struct tdm_lexicon *l, const int32_t *words, size_t n) {
	double most = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			most = fmax(most, tdm_lexicon_distance(l, words[i], words[k]));
	return most;
}

// Sets of k words that all share: a word that has none and the nearest to it that have none. The last one may be
// smaller.
static int make_sets(struct tdm_lexicon *l, struct tdm_arena *arena, int64_t k) {
	struct near *list = tdm_arena_array(arena, l->n + 1, sizeof *list);
	size_t n_order = 0;
	l->set = tdm_arena_array(arena, l->n + 1, sizeof *l->set);
	l->order = tdm_arena_array(arena, l->n + 1, sizeof *l->order);
	l->first = tdm_arena_array(arena, l->n + 2, sizeof *l->first);
	l->spread = tdm_arena_array(arena, l->n + 1, sizeof *l->spread);
	if (!list || !l->set || !l->order || !l->first || !l->spread)
		return TDM_ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		l->set[i] = -1;
	for (size_t x = 0; x < l->n; x++) {
		size_t n = 0;
		for (size_t y = x; l->set[x] < 0 && y < l->n; y++)
			if (l->set[y] < 0)
				list[n++] = (struct near){tdm_lexicon_distance(l, (int32_t)x, (int32_t)y), (int32_t)y};
		if (!n)
			continue;
		qsort(list, n, sizeof *list, by_distance);
		for (size_t i = 0; i < n && i < (size_t)k; i++) {
			l->set[list[i].word] = (int32_t)l->n_sets;
			l->order[n_order++] = list[i].word;
		}
		l->spread[l->n_sets] = widest(l, l->order + l->first[l->n_sets], n_order - (size_t)l->first[l->n_sets]);
		l->first[++l->n_sets] = (int32_t)n_order;
	}
	return TDM_OK;
}

int tdm_lexicon_read(struct tdm_arena *arena, const char *name, const char *data, size_t n, int64_t k,
                     struct tdm_lexicon **out, struct tdm_error *err) {
	struct tdm_lexicon *l = tdm_arena_alloc(arena, sizeof *l);
	if (!l)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for words", name);
	bool is_weights = n > 4 && !memcmp(data, "GGUF", 4);
	int status = (is_weights ? read_weights : read_lines)(l, arena, name, data, n, err);
	if (status != TDM_OK)
		return status;
	if (l->n < 2)
		return tdm_fail(err, TDM_ECONFIG, "%s: expected at least two words with their vectors", name);
	measure(l);
	*out = l;
	return make_sets(l, arena, k) ? tdm_fail(err, TDM_ENOMEM, "%s: no memory for sets of words", name) : TDM_OK;
}

int tdm_lexicon_open(const struct tdm_build *b, const char *name, int64_t k, struct tdm_lexicon **out) {
	struct tdm_error why = {0};
	struct tdm_bytes file;
	int status = tdm_linear_file(b, name, FILE_LIMIT_BYTES, &file, &why);
	if (status == TDM_OK)
		status = tdm_lexicon_read(b->arena, name, file.data ? file.data : "", file.len, k, out, &why);
	tdm_bytes_release(&file);
	return status ? tdm_fail(b->error, TDM_ECONFIG, "%s: vectors: %s", b->where, why.text) : TDM_OK;
}

// --- the laws

static int by_number(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

double tdm_lexicon_radius(const struct tdm_lexicon *l, int32_t center, int64_t near, double *scratch) {
	for (size_t i = 0; i < l->n; i++)
		scratch[i] = tdm_lexicon_distance(l, center, (int32_t)i);
	qsort(scratch, l->n, sizeof *scratch, by_number); // the first is the word itself
	return scratch[(size_t)near < l->n ? (size_t)near : l->n - 1];
}

void tdm_lexicon_law(const struct tdm_lexicon *l, enum tdm_noise noise, double epsilon, int32_t x, double radius,
                     double *weights) {
	double spread = x >= 0 ? l->spread[l->set[x]] : 0;
	for (size_t i = 0; i < l->n; i++) {
		int32_t y = (int32_t)i;
		double d = x < 0 ? 0 : tdm_lexicon_distance(l, x, y);
		if (x < 0)
			weights[i] = 1;
		else if (noise == TDM_NOISE_SANTEXT)
			weights[i] = exp(-epsilon * d / 2);
		else if (noise == TDM_NOISE_RANTEXT) // less than the best one is 1, so that nothing overflows
			weights[i] = exp(epsilon * ((radius > 0 ? fmax(0, 1 - d / radius) : d <= 0) - 1) / 2);
		else
			weights[i] = l->set[x] != l->set[y] ? 0 : exp(-epsilon * (spread > 0 ? d / spread : 0) / 2);
	}
}

int tdm_lexicon_draw(const struct tdm_lexicon *l, enum tdm_noise noise, double epsilon, int64_t k, int32_t x,
                     struct tdm_chance *chance, double *scratch, int32_t *out) {
	double u, radius = 0, sum = 0, *weights = scratch + l->n;
	int status = TDM_OK;
	if (noise == TDM_NOISE_RANTEXT && x >= 0) {
		double center, near;
		status = chance->next(chance, &center);
		status = status ? status : chance->next(chance, &near);
		if (status != TDM_OK)
			return status;
		radius = tdm_lexicon_radius(l, (int32_t)(center * (double)l->n), 1 + (int64_t)(near * (double)k), scratch);
	}
	status = chance->next(chance, &u);
	tdm_lexicon_law(l, noise, epsilon, x, radius, weights);
	for (size_t i = 0; i < l->n; i++)
		sum += weights[i];
	double left = u * sum;
	*out = -1;
	for (size_t i = 0; i < l->n && left >= 0; i++) {
		*out = weights[i] > 0 ? (int32_t)i : *out;
		left -= weights[i];
	}
	return status;
}
