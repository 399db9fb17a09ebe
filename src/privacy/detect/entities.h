// Entities: one row per type of private value. A new type: one row in entities.c (and a check in checks.c if it has a
// check digit), twenty valid and twenty invalid vectors in the tests.
//
// A row's pattern is an anchor, not the whole shape: a short expression (Vectorscan syntax) that is found in linear
// time. The check then finds the exact span around it with bounded work, so hostile text costs no more than any other.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tdm_check { TDM_CHECK_NONE, TDM_CHECK_FAIL, TDM_CHECK_ABSTAIN, TDM_CHECK_PASS }; // NONE: not this type at all

#define TDM_NUMBER_DIGITS 20
#define TDM_NUMBER_ROOM 128
struct tdm_number { // digits that end at an anchor, over separators of one or two characters; [0] is the last one
	int n;          // at most TDM_NUMBER_DIGITS
	// Bit i: the i-th digit is the first of its group, and this is a 0; a plus stands before it; a parenthesis.
	uint32_t starts, zeros, pluses, open;
	const uint8_t *digit;
	const uint32_t *at;    // offset of the digit
	const char *separator; // where a group starts: the single character before it; 0 = none, '?' = several characters
	// The three grow downwards, so that a longer number goes on where the one before ended.
	int first;
	uint8_t digits[TDM_NUMBER_ROOM];
	uint32_t offsets[TDM_NUMBER_ROOM];
	char separators[TDM_NUMBER_ROOM];
};
static inline bool tdm_number_starts(const struct tdm_number *d, int i) {
	return d->starts >> i & 1;
}
// The most digits, `most` of them or fewer, that begin where a group does; 0: none.
static inline int tdm_number_groups(const struct tdm_number *d, int most) {
	uint32_t starts = most > 0 ? d->starts & ((1u << most) - 1) : 0;
	return starts ? 32 - __builtin_clz(starts) : 0;
}
// Whether the same separator stands before the last group and before the one in front of it.
static inline bool tdm_number_repeats(const struct tdm_number *d) {
	uint32_t before = d->starts & (d->starts - 1);
	return before && d->separator[__builtin_ctz(before)] == d->separator[__builtin_ctz(d->starts)];
}

#define TDM_COMPACT_BYTES 32
struct tdm_compact { // letters and digits that end at an anchor, capitals, separators left out
	int n, groups;
	int taken;               // of the n, from the end: by the candidate that is told
	uint64_t digits, starts; // bit i: the i-th from the end is a digit, begins a group
	char separator;          // before the last group, 0 when there is one group
	const char *text;        // the last of them is text[TDM_COMPACT_BYTES - 1]
	// A number that ends a little further on goes on with what was read for the one before.
	size_t end;      // of what was read; SIZE_MAX: it was not read as a whole
	uint64_t shorts; // bit i: the i-th from the end begins a group like "a1"
	unsigned n_begun;
	uint32_t begins[TDM_COMPACT_BYTES]; // offsets of the last groups, see tdm_compact_begin()
	size_t used;
	char room[4 * TDM_COMPACT_BYTES];
};
// The offset of a group, of which the last one is 1.
static inline size_t tdm_compact_begin(const struct tdm_compact *k, int group) {
	return k->begins[(k->n_begun - (unsigned)group) % TDM_COMPACT_BYTES];
}

enum tdm_why {           // what speaks for a find
	TDM_WHY_FORM = 1,    // its form
	TDM_WHY_CHECK = 2,   // a check digit, or another test, that is right
	TDM_WHY_WRONG = 4,   // one that is wrong: perhaps mistyped
	TDM_WHY_WORD = 8,    // a word of context near by
	TDM_WHY_LIST = 16,   // the operator's list
	TDM_WHY_OWN = 32,    // the operator's pattern
	TDM_WHY_AGAIN = 64,  // the same value was found elsewhere
	TDM_WHY_TOKEN = 128, // it looks like a token
	TDM_WHY_NAME = 256   // the tagger, or the grammar of addresses
};

struct tdm_entity;
struct tdm_candidate {
	const struct tdm_entity *entity;
	const char *text; // the view; NUL at text[n]
	size_t n;
	size_t anchor;              // offset just after the anchor's match
	size_t start, end;          // set by the check unless it answers NONE
	unsigned why;               // bits of enum tdm_why, set for what is found
	struct tdm_number number;   // filled once per anchor of TDM_ENTITY_NUMBER rows
	struct tdm_compact compact; // filled once per anchor of rows with a shape
};

enum tdm_entity_flag {
	TDM_ENTITY_CONTEXT = 1,   // without a context word the score is at most 0.30
	TDM_ENTITY_HARD = 2,      // the egress monitor blocks on it: a check or a self-identifying form
	TDM_ENTITY_ONE_WAY = 4,   // replaced by a mark, never restored
	TDM_ENTITY_NUMBER = 8,    // the check reads candidate.number
	TDM_ENTITY_GROUPED = 64,  // separators do not make another value
	TDM_ENTITY_STAY = 16,     // not searched for elsewhere in the conversation
	TDM_ENTITY_CASELESS = 32, // the pattern ignores the case of ASCII letters
	TDM_ENTITY_KEEP = 128,    // a wrong check digit says nothing: there are numbers without one
	TDM_ENTITY_WORD = 256,    // not searched for elsewhere where it is of letters alone: it may be any word
};

struct tdm_entity {
	const char *pack;       // of the country; NULL = everywhere
	const char *id, *label; // id: CARD, US_SSN, or the name in [SECRET:name]; label: A-Z, at most 10, used in tokens
	uint8_t level;          // 1, 2, 3
	uint16_t flags;
	float base, threshold; // evidence without check and context; masked when score >= threshold
	const char *pattern;   // NULL = that of the row before; "" = none; "#." = where digits end with a '.' before them;
	                       // "#2.": and with another before the group in front of them
	uint8_t width, least;  // fixed prefixes: bytes of the prefix, fewest characters that follow
	const char *tail;      // what follows: a leading "a" = letters and digits, others literally
	enum tdm_check (*check)(struct tdm_candidate *c); // NULL = prefix and tail, TDM_CHECK_ABSTAIN
	const char *words;                                // context words, space separated; "|" joins words of one term
	// Numbers of letters and digits (compact.c): shapes, space separated: '#' a digit, 'A' a letter, 'X' either, a
	// small letter or digit itself, "*12" repeats, "?5-22" any with four digits. Small letters in front are no part of
	// what is checked. sum: weights, '|', the check character for every remainder; '*' stands where it is, else behind
	// the weights; ';' begins a second sum. date: where six digits of a date begin, as "dmy0", or "dm-0" without the
	// year. bare: by chance less than one of fifty numbers passes, so that digits alone need no word of context.
	const char *shape, *sum, *date;
	bool bare;
	enum tdm_check (*valid)(const char *s, int n);
};

// In order of priority: of two rows with equal evidence over one stretch of text the earlier one gives the label.
extern const struct tdm_entity tdm_entities[];
extern const size_t tdm_n_entities;
// Rows that no pattern finds: exact strings of the operator, and client text in the shape of a token.
extern const struct tdm_entity *const tdm_entity_deny, *const tdm_entity_literal;
extern const struct tdm_entity *const tdm_entity_number; // a wrong check digit beside a word of context
extern const struct tdm_entity *const tdm_entity_beside; // CVV, CARD_EXP and PIN: what stands beside a card, in a row

#define TDM_ENTITY_SETS 6 // a set of rows is that many words of 64 bits
