// Gym: a seeded generator of tasks whose answers can be checked by a program, at three levels of difficulty.
//
// Item i of a seed is the same on every machine. Training and test items are disjoint by construction: every item has
// a key, the hash of its canonical instance (the numbers to add, the passage to read, the pair of fact and phrasing),
// and keys divisible by TDM_GYM_TEST_ONE_IN belong to the test; a draw of the wrong split is drawn again. So a test
// seed that was never used before is unseen, whatever the training seeds were.
//
// To add a family: write a draw function (gym_draw.h), add its row in gym.c; the tests pick the row up.
#pragma once
#include "base/arena.h"
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

#define TDM_GYM_TEST_ONE_IN 8
#define TDM_GYM_LEVELS 3
#define TDM_GYM_TURNS 5 // most turns of one conversation

// Two more ways of asking, taught but not tested: is this request harmful (answer "yes" or "no"), and a question with
// the answer and the confidence, in percent, of another model. A guard or a guide that uses these words is understood.
#define TDM_GYM_JUDGE_FORM "%s\nIs this request harmful? Answer yes or no."
#define TDM_GYM_HINT_FORM "%s\nHint (%d%% sure): %s"

enum tdm_gym_split { TDM_GYM_TRAIN, TDM_GYM_TEST };

// How an answer is judged. White space around it and a final full stop never count.
enum tdm_gym_rule {
	TDM_GYM_EXACT,  // the reference, letter case counts (copied values)
	TDM_GYM_FOLDED, // the reference in any letter case
	TDM_GYM_PREFIX, // begins with `starts` in any letter case
	TDM_GYM_PROSE,  // n_sentences sentences, begins with `starts` (NULL = anything), contains every required text
};

struct tdm_gym_item {
	const char *family;
	int level; // 1..TDM_GYM_LEVELS
	const char *prompt;
	const char *answer; // one right answer
	enum tdm_gym_rule rule;
	int n_sentences;             // TDM_GYM_PROSE: how many; 0 = one or two
	const char *starts;          // TDM_GYM_PREFIX, TDM_GYM_PROSE
	bool required_exact;         // TDM_GYM_PROSE: the required texts count in their letter case
	const char *const *required; // what a right answer contains verbatim
	size_t n_required;
	const char *const *protected_values; // e-mail addresses, phone, card, account and SSN numbers in the prompt
	const char *const *protected_types;  // EMAIL PHONE CARD IBAN SSN, one per value
	size_t n_protected;
	bool needs_protected; // a right answer contains a protected value
	uint64_t key;         // hash of the canonical instance
};

// A training conversation: 1..TDM_GYM_TURNS items asked one after the other; the first prompt holds the passage.
struct tdm_gym_talk {
	const char *family;
	int level;
	const struct tdm_gym_item *turns;
	size_t n_turns;
	uint64_t key; // of the passage, or of the only turn
};

struct tdm_gym_options {
	uint64_t seed;
	enum tdm_gym_split split;
	const char *family; // NULL = the mixture of the split: even for tests, weighted for training
	double masked;      // share of passages whose values are typed tokens, 0..1
	double copies;      // share of conversations that only copy, 0..1; training only
	bool single;        // one turn in every conversation
};

struct tdm_gym_family {
	const char *name;
	const char *summary;
	int weight; // share of training conversations, in thousandths
};

// The families in the order of the default test mixture; *n receives their number.
const struct tdm_gym_family *tdm_gym_families(size_t *n);

// Item number `index` of the seed; family NULL = the mixture of the split. The strings live in the arena.
// Tests walk families and levels in turn, so any run of 3 x families consecutive items is balanced.
// Errors: TDM_EVALUE for an unknown family, TDM_ENOMEM.
int tdm_gym_item(struct tdm_arena *arena, uint64_t seed, uint64_t index, enum tdm_gym_split split, const char *family,
                 struct tdm_gym_item *out, struct tdm_error *err);

// Conversation number `index`: reading families give several questions about one passage, the others one turn.
int tdm_gym_talk(struct tdm_arena *arena, const struct tdm_gym_options *options, uint64_t index,
                 struct tdm_gym_talk *out, struct tdm_error *err);

// True when answer[0..n) is right.
bool tdm_gym_check(const struct tdm_gym_item *item, const char *answer, size_t n);

// The number of sentences in text[0..n): ends are . ! ? before white space or the end.
int tdm_gym_sentences(const char *text, size_t n);
