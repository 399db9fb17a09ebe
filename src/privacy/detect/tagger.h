// Tagger: finds names of persons, places, organisations and groups by a structured averaged perceptron whose weights
// stand in one hashed table. The bias on O is its one knob: a lower one hides more.
//
// File, little-endian: "TDMTAG" and two digits of the version; log2 of the slots; bytes of the gazetteer (u32 each);
// scale, 17 biases, 17 x 17 transitions (f32); one int8 per slot; the gazetteer; SHA-256 of all before it.
#pragma once
#include "privacy/detect/gazetteer.h"
#include "privacy/detect/tagger_features.h"

#define TDM_TAGGER_VERSION "01"
enum tdm_tag_kind { TDM_TAG_PER, TDM_TAG_LOC, TDM_TAG_ORG, TDM_TAG_MISC, TDM_N_TAG_KINDS };
// 0 is O; then B, I, L, U of every kind.
enum { TDM_TAG_O, TDM_TAG_B, TDM_TAG_I, TDM_TAG_L, TDM_TAG_U, TDM_N_TAGS = 1 + 4 * TDM_N_TAG_KINDS };
static inline int tdm_tag_of(int position, int kind) { // position: TDM_TAG_B ..
	return position == TDM_TAG_O ? TDM_TAG_O : position + 4 * kind;
}
static inline int tdm_tag_position(int tag) {
	return tag ? (tag - 1) % 4 + 1 : TDM_TAG_O;
}
static inline int tdm_tag_kind(int tag) {
	return (tag - 1) / 4;
}
bool tdm_tag_follows(int tag, int next); // next may stand behind tag; TDM_N_TAGS: the border of a sentence

struct tdm_tagger {
	const int8_t *weights;
	unsigned log2_slots;
	float scale, bias[TDM_N_TAGS], next[TDM_N_TAGS][TDM_N_TAGS];
	struct tdm_gazetteer lists;
	void *owned; // memory of a file that was read
};

#define TDM_TAGGER_LIMIT_BYTES ((size_t)64 << 20)
// data stays the caller's and must outlive the tagger. name: of the file, for the error (TDM_EFORMAT).
int tdm_tagger_read(const void *data, size_t n, const char *name, struct tdm_tagger *out, struct tdm_error *err);
int tdm_tagger_open(const char *path, struct tdm_tagger *out, struct tdm_error *err);
void tdm_tagger_release(struct tdm_tagger *tagger);

static inline size_t tdm_tagger_slot(unsigned log2_slots, uint64_t feature) { // of its first tag
	return (size_t)(((feature >> 32) * (((uint64_t)1 << log2_slots) - TDM_N_TAGS)) >> 32);
}
// The best legal path through scores[n][TDM_N_TAGS]. n <= TDM_TAGGER_WINDOW.
void tdm_tagger_path(const float (*scores)[TDM_N_TAGS], size_t n, const float (*next)[TDM_N_TAGS], uint8_t *tags);

// Called for every name: terms[first..last] of the kind. Negative: stops, and tdm_tagger_find returns it.
typedef int tdm_tagger_fn(void *arg, enum tdm_tag_kind kind, const struct tdm_term *first, const struct tdm_term *last);
// bias: added to the one of O. Fills lists and memory of the terms. seen: see tdm_memory_mark.
int tdm_tagger_find(const struct tdm_tagger *tagger, const char *text, struct tdm_terms *terms, float bias,
                    uint8_t *seen, tdm_tagger_fn *found, void *arg);
// The file of these weights, appended. Error: TDM_ENOMEM.
struct tdm_bytes;
int tdm_tagger_write(const struct tdm_tagger *tagger, struct tdm_bytes *out);
