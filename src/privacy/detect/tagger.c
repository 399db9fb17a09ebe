// Tagger: see tagger.h. The rule it protects: the same file and text give the same tags on every machine; products are
// sums of whole numbers, only transitions and biases are added as floats, in a fixed order.
#include "privacy/detect/tagger.h"
#include "privacy/detect/cues.h"
#include "base/crypto.h"
#include "base/file.h"
#include <math.h>
#include <string.h>

#define MAGIC "TDMTAG" TDM_TAGGER_VERSION
// Shares of the bias, by what a word looks like. Their order is the rule; how large they are was set on PUPA's queries.
#define COMMON_SMALL .03f  // "table"
#define LISTED_SMALL .15f  // "mark"
#define COMMON_FIRST .15f  // of a sentence
#define COMMON_HEADING .3f // of a line where most words have a capital
#define COMMON_SEEN .2f    // the text has it in small letters too
#define COMMON_ALL .4f     // "TABLE"
#define COMMON_CAPITAL .6f // "Table"
#define LISTED_FIRST .5f   // "Mark", first of a sentence
#define UNKNOWN_MIXED .2f  // "getName"
#define UNKNOWN_FIRST .2f  // small letters where a capital belongs
#define UNKNOWN_FOREIGN .2f
#define UNPARTED .15f      // of a script without blanks between words
#define UNKNOWN_DIGITS .5f // "x86"
#define CERTAIN 1e6f       // more than any path of names adds up to
#define N_FLOATS (1 + TDM_N_TAGS + TDM_N_TAGS * TDM_N_TAGS)
#define HEAD_BYTES (8 + 8 + 4 * N_FLOATS)

bool tdm_tag_follows(int tag, int next) {
	bool open = tag < TDM_N_TAGS && (tdm_tag_position(tag) == TDM_TAG_B || tdm_tag_position(tag) == TDM_TAG_I);
	if (next == TDM_N_TAGS)
		return !open;
	bool inside = tdm_tag_position(next) == TDM_TAG_I || tdm_tag_position(next) == TDM_TAG_L;
	return open == inside && (!open || tdm_tag_kind(tag) == tdm_tag_kind(next));
}

static uint32_t read_u32(const uint8_t *p) {
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float read_f32(const uint8_t *p) {
	uint32_t bits = read_u32(p);
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

static bool read_floats(const uint8_t *p, struct tdm_tagger *out) {
	float all[N_FLOATS];
	for (int i = 0; i < N_FLOATS; i++) {
		all[i] = read_f32(p + 4 * i);
		if (!isfinite(all[i]) || fabsf(all[i]) > 1e9f)
			return false;
	}
	out->scale = all[0];
	memcpy(out->bias, all + 1, sizeof out->bias);
	memcpy(out->next, all + 1 + TDM_N_TAGS, sizeof out->next);
	return true;
}

int tdm_tagger_read(const void *data, size_t n, const char *name, struct tdm_tagger *out, struct tdm_error *err) {
	const uint8_t *p = data;
	uint8_t digest[TDM_SHA256_BYTES];
	*out = (struct tdm_tagger){0};
	if (n < HEAD_BYTES + TDM_SHA256_BYTES || memcmp(p, MAGIC, 8) != 0)
		return tdm_fail(err, TDM_EFORMAT, "%s: expected the weights of a tagger (they begin with " MAGIC ")", name);
	uint32_t bits = read_u32(p + 8), lists = read_u32(p + 12);
	if (bits < 10 || bits > 24 || lists % TDM_GAZETTEER_BLOCK ||
	    n != HEAD_BYTES + ((size_t)1 << bits) + lists + TDM_SHA256_BYTES)
		return tdm_fail(err, TDM_EFORMAT, "%s: expected as many bytes as the head of the weights says, not %zu", name,
		                n);
	tdm_sha256(p, n - TDM_SHA256_BYTES, digest);
	if (memcmp(digest, p + n - TDM_SHA256_BYTES, sizeof digest) != 0)
		return tdm_fail(err, TDM_EFORMAT, "%s: the weights are damaged: their SHA-256 is another one", name);
	if (!read_floats(p + 16, out))
		return tdm_fail(err, TDM_EFORMAT, "%s: a bias or transition is no finite number", name);
	out->log2_slots = bits;
	out->weights = (const int8_t *)(p + HEAD_BYTES);
	out->lists = (struct tdm_gazetteer){p + HEAD_BYTES + ((size_t)1 << bits), lists / TDM_GAZETTEER_BLOCK};
	return TDM_OK;
}

int tdm_tagger_open(const char *path, struct tdm_tagger *out, struct tdm_error *err) {
	struct tdm_bytes bytes;
	*out = (struct tdm_tagger){0};
	int status = tdm_file_read(path, TDM_TAGGER_LIMIT_BYTES, &bytes, err);
	if (status != TDM_OK)
		return status;
	status = tdm_tagger_read(bytes.data ? bytes.data : "", bytes.len, path, out, err);
	out->owned = bytes.data;
	if (status != TDM_OK)
		tdm_tagger_release(out);
	return status;
}

void tdm_tagger_release(struct tdm_tagger *tagger) {
	struct tdm_bytes bytes = {.data = tagger->owned};
	tdm_bytes_release(&bytes);
	*tagger = (struct tdm_tagger){0};
}

static void put_u32(struct tdm_bytes *out, uint32_t v) {
	const uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
	tdm_bytes_add(out, bytes, sizeof bytes);
}

static void put_f32(struct tdm_bytes *out, float value) {
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	put_u32(out, bits);
}

int tdm_tagger_write(const struct tdm_tagger *t, struct tdm_bytes *out) {
	uint8_t digest[TDM_SHA256_BYTES];
	size_t start = out->len;
	tdm_bytes_add(out, MAGIC, 8);
	put_u32(out, t->log2_slots);
	put_u32(out, t->lists.n_blocks * TDM_GAZETTEER_BLOCK);
	put_f32(out, t->scale);
	for (int i = 0; i < TDM_N_TAGS; i++)
		put_f32(out, t->bias[i]);
	for (int i = 0; i < TDM_N_TAGS * TDM_N_TAGS; i++)
		put_f32(out, t->next[i / TDM_N_TAGS][i % TDM_N_TAGS]);
	tdm_bytes_add(out, t->weights, (size_t)1 << t->log2_slots);
	tdm_bytes_add(out, t->lists.blocks, (size_t)t->lists.n_blocks * TDM_GAZETTEER_BLOCK);
	if (out->failed)
		return TDM_ENOMEM;
	tdm_sha256(out->data + start, out->len - start, digest);
	tdm_bytes_add(out, digest, sizeof digest);
	return out->failed ? TDM_ENOMEM : TDM_OK;
}

// What O, B and U may follow: O, and L and U of any kind.
static const uint8_t outside[] = {0, 3, 4, 7, 8, 11, 12, 15, 16};

// The best way to a tag from the ones before it.
static float step(const float best[TDM_N_TAGS], const float (*next)[TDM_N_TAGS], int tag, uint8_t *from) {
	const uint8_t inside[] = {(uint8_t)tdm_tag_of(TDM_TAG_B, tdm_tag_kind(tag)),
	                          (uint8_t)tdm_tag_of(TDM_TAG_I, tdm_tag_kind(tag))};
	bool goes_on = tdm_tag_position(tag) == TDM_TAG_I || tdm_tag_position(tag) == TDM_TAG_L;
	const uint8_t *tags = goes_on ? inside : outside;
	float most = -INFINITY;
	*from = tags[0];
	for (size_t k = 0, n = goes_on ? sizeof inside : sizeof outside; k < n; k++) {
		float s = best[tags[k]] + next[tags[k]][tag];
		if (s > most) {
			most = s;
			*from = tags[k];
		}
	}
	return most;
}

void tdm_tagger_path(const float (*scores)[TDM_N_TAGS], size_t n, const float (*next)[TDM_N_TAGS], uint8_t *tags) {
	float best[TDM_N_TAGS], now[TDM_N_TAGS];
	uint8_t from[TDM_TAGGER_WINDOW][TDM_N_TAGS];
	for (int t = 0; t < TDM_N_TAGS; t++)
		best[t] = tdm_tag_follows(TDM_N_TAGS, t) ? scores[0][t] : -INFINITY;
	for (size_t i = 1; i < n; i++) {
		for (int t = 0; t < TDM_N_TAGS; t++)
			now[t] = step(best, next, t, &from[i][t]) + scores[i][t];
		memcpy(best, now, sizeof best);
	}
	int last = TDM_TAG_O;
	for (int t = 1; t < TDM_N_TAGS; t++)
		if (tdm_tag_follows(t, TDM_N_TAGS) && best[t] > best[last])
			last = t;
	for (size_t i = n; i-- > 0; last = i ? from[i][last] : 0)
		tags[i] = (uint8_t)last;
}

typedef int8_t bytes8 __attribute__((vector_size(8)));
typedef int16_t shorts8 __attribute__((vector_size(16)));

static void fetch_weights(const struct tdm_tagger *t, const uint64_t *features, int n) {
	for (int k = 0; k < n; k++)
		__builtin_prefetch(t->weights + tdm_tagger_slot(t->log2_slots, features[k]));
}

// Sums of the weights of all features for the 17 tags of one word.
static void sum_weights(const struct tdm_tagger *t, const uint64_t *features, int n, int sums[TDM_N_TAGS]) {
	shorts8 low = {0}, high = {0};
	int last = 0;
	for (int k = 0; k < n; k++) {
		const int8_t *w = t->weights + tdm_tagger_slot(t->log2_slots, features[k]);
		bytes8 part[2];
		memcpy(part, w, sizeof part);
		low += __builtin_convertvector(part[0], shorts8);
		high += __builtin_convertvector(part[1], shorts8);
		last += w[16];
	}
	for (int i = 0; i < 8; i++) {
		sums[i] = low[i];
		sums[i + 8] = high[i];
	}
	sums[16] = last;
}

struct finder {
	const struct tdm_tagger *tagger;
	const char *text;
	float bias;
	bool foreign; // the text
	tdm_tagger_fn *found;
	void *arg;
	struct tdm_facts facts[TDM_TAGGER_WINDOW];
	float scores[TDM_TAGGER_WINDOW][TDM_N_TAGS];
	uint8_t tags[TDM_TAGGER_WINDOW];
};

// Whether a name begins at term i that is no part of the one before: two persons side by side are one that was cut.
static bool begins(const struct finder *f, const struct tdm_term *terms, size_t i) {
	int position = tdm_tag_position(f->tags[i]);
	if (position != TDM_TAG_B && position != TDM_TAG_U)
		return false;
	bool first = i == 0 || terms[i].line || f->tags[i - 1] == TDM_TAG_O;
	return first || tdm_tag_kind(f->tags[i]) != TDM_TAG_PER || tdm_tag_kind(f->tags[i - 1]) != TDM_TAG_PER;
}

static int report(struct finder *f, const struct tdm_term *terms, size_t n) {
	int status = TDM_OK;
	size_t first = 0;
	for (size_t i = 0; i < n && status == TDM_OK; i++) {
		int position = tdm_tag_position(f->tags[i]);
		if (begins(f, terms, i))
			first = i;
		bool goes_on = i + 1 < n && f->tags[i + 1] && !begins(f, terms, i + 1);
		if ((position == TDM_TAG_L || position == TDM_TAG_U) && !goes_on)
			status = f->found(f->arg, (enum tdm_tag_kind)tdm_tag_kind(f->tags[i]), &terms[first], &terms[i]);
	}
	return status;
}

static bool on(const struct tdm_term *t, enum tdm_list list) {
	return t->lists >> list & 1;
}

static bool is_listed(const struct tdm_term *t) { // as part of a name
	return t->lists & ~(1u << TDM_LIST_WORD | 1u << TDM_LIST_ALLOW);
}

static float share_of_common(const struct tdm_term *t, bool heading) {
	if (t->caps == TDM_CAPS_NONE)
		return is_listed(t) ? LISTED_SMALL : COMMON_SMALL;
	if (is_listed(t))
		return t->first ? LISTED_FIRST : 1;
	if (t->first)
		return COMMON_FIRST;
	if (heading)
		return COMMON_HEADING;
	if (t->memory & TDM_MEMORY_SMALL)
		return COMMON_SEEN;
	return t->caps == TDM_CAPS_ALL ? COMMON_ALL : COMMON_CAPITAL;
}

static float share_of_unknown(const struct tdm_term *t, bool foreign) {
	if (tdm_cues_know(t))
		return UNPARTED;
	if (t->digits)
		return UNKNOWN_DIGITS;
	if (is_listed(t) || t->caps == TDM_CAPS_FIRST || t->caps == TDM_CAPS_ALL)
		return 1;
	if (t->first && t->caps == TDM_CAPS_NONE)
		return UNKNOWN_FIRST;
	return foreign ? UNKNOWN_FOREIGN : t->caps == TDM_CAPS_MIXED ? UNKNOWN_MIXED : 1;
}

// How much of the bias a word takes: one that everybody uses, where it looks like one, is no likelier to be a name
// because somebody wants to hide more. In a heading, or when the text has the word in small letters too, capitals say
// little; and in a text in another language it says little that a word is not a common one.
static float share_of_bias(const struct tdm_term *t, bool heading, bool foreign) {
	if (t->letters == 0 || on(t, TDM_LIST_ALLOW) || (t->digits && t->letters <= 2))
		return 0;
	return on(t, TDM_LIST_WORD) ? share_of_common(t, heading) : share_of_unknown(t, foreign);
}

// A line where most words begin with a capital.
static bool is_heading(const struct tdm_term *terms, size_t n) {
	size_t words = 0, capitals = 0;
	for (size_t i = 0; i < n; i++) {
		words += terms[i].letters > 2;
		capitals += terms[i].letters > 2 && terms[i].caps != TDM_CAPS_NONE;
	}
	return words > 2 && capitals * 10 >= words * 6;
}

// A text where many small words are no common ones: another language, or a program.
static bool is_foreign(const struct tdm_terms *terms) {
	size_t words = 0, unknown = 0;
	for (size_t i = 0; i < terms->n; i++) {
		const struct tdm_term *t = &terms->items[i];
		bool counts = t->letters > 2 && t->digits == 0 && t->caps == TDM_CAPS_NONE;
		words += counts;
		unknown += counts && !on(t, TDM_LIST_WORD);
	}
	return words >= 20 && unknown * 5 >= words;
}

static int find_in_sentence(struct finder *f, const struct tdm_term *terms, size_t n) {
	const struct tdm_tagger *t = f->tagger;
	uint64_t features[2][TDM_TAGGER_FEATURES]; // of a word, and of the next one, whose weights are on their way
	int n_features[2], sums[TDM_N_TAGS];
	bool heading = is_heading(terms, n);
	for (size_t i = 0; i < n; i++)
		tdm_facts_read(f->text, &terms[i], &f->facts[i]);
	n_features[0] = tdm_features_of(f->facts, n, 0, features[0]);
	for (size_t i = 0; i < n; i++) {
		size_t now = i % 2, next = !now;
		if (i + 1 < n) {
			n_features[next] = tdm_features_of(f->facts, n, i + 1, features[next]);
			fetch_weights(t, features[next], n_features[next]);
		}
		sum_weights(t, features[now], n_features[now], sums);
		for (int tag = 0; tag < TDM_N_TAGS; tag++)
			f->scores[i][tag] = t->scale * (float)sums[tag] + t->bias[tag];
		f->scores[i][TDM_TAG_O] += f->bias * share_of_bias(&terms[i], heading, f->foreign);
		if (terms[i].taken)
			f->scores[i][TDM_TAG_O] = CERTAIN;
	}
	tdm_tagger_path((const float(*)[TDM_N_TAGS])f->scores, n, t->next, f->tags);
	return report(f, terms, n);
}

int tdm_tagger_find(const struct tdm_tagger *tagger, const char *text, struct tdm_terms *terms, float bias,
                    uint8_t *seen, tdm_tagger_fn *found, void *arg) {
	struct finder f = {.tagger = tagger, .text = text, .bias = bias, .found = found, .arg = arg};
	int status = TDM_OK;
	tdm_gazetteer_mark(&tagger->lists, text, terms->items, terms->n);
	tdm_memory_mark(terms->items, terms->n, seen);
	f.foreign = is_foreign(terms);
	for (size_t i = 0, n; i < terms->n && status == TDM_OK; i += n) {
		n = 1;
		while (i + n < terms->n && n < TDM_TAGGER_WINDOW && !tdm_terms_break(terms, i + n))
			n++;
		status = find_in_sentence(&f, terms->items + i, n);
	}
	return status;
}
