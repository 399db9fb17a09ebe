// Grammar, inside: the expressions that the languages build, and the network that the constraint runs. For the
// grammar_* files and constraint.c only.
//
// Expressions live in the builder's arena. A function that finds no memory returns NULL, and takes NULL for an
// expression to return NULL again, so that a language checks once at the end.
#pragma once
#include "base/arena.h"
#include "base/value.h"
#include "engine/grammar.h"
#include "engine/runs.h"

enum tdm_expr_kind {
	TDM_EXPR_BYTE,   // one byte of lo..hi; nothing matches when lo > hi
	TDM_EXPR_SEQ,    // all kids in order; no kids: the empty text
	TDM_EXPR_ALT,    // one of the kids; no kids: nothing matches
	TDM_EXPR_REPEAT, // kids[0], min to max times (max < 0: no limit)
	TDM_EXPR_RULE,
	TDM_EXPR_SERIES, // kids[1..n) in order, kids[0] between any two that are there; see flags
};

enum { TDM_MEMBER_REQUIRED = 1, TDM_MEMBER_MANY = 2 }; // MANY: any number of times

struct tdm_expr {
	enum tdm_expr_kind kind;
	uint8_t lo, hi;
	int min, max;
	int rule;
	int n;
	const struct tdm_expr **kids;
	uint8_t *flags; // of a series, one for each kid
};

struct tdm_rule {
	const char *name;
	const struct tdm_expr *expr; // NULL = not defined yet
	bool is_shared;              // one copy in the network, whatever its size
};

struct tdm_builder {
	struct tdm_arena arena;
	struct tdm_grammar_options budget;
	int64_t end_us; // of the processor time of this thread
	struct tdm_rule *rules;
	int n_rules, cap_rules;
	const struct tdm_expr *root; // what the language makes
	struct tdm_error *err;
};

struct tdm_expr_list { // a growing list of kids
	const struct tdm_expr **items;
	int n, cap;
};

bool tdm_expr_list_add(struct tdm_builder *b, struct tdm_expr_list *list, const struct tdm_expr *e);
const struct tdm_expr *tdm_expr_bytes(struct tdm_builder *b, uint8_t lo, uint8_t hi);
const struct tdm_expr *tdm_expr_text(struct tdm_builder *b, const char *text, size_t n);
const struct tdm_expr *tdm_expr_chars(struct tdm_builder *b, uint32_t lo, uint32_t hi); // code points, as UTF-8
const struct tdm_expr *tdm_expr_seq(struct tdm_builder *b, int n, const struct tdm_expr *const *kids);
const struct tdm_expr *tdm_expr_alt(struct tdm_builder *b, int n, const struct tdm_expr *const *kids);
const struct tdm_expr *tdm_expr_pair(struct tdm_builder *b, const struct tdm_expr *x, const struct tdm_expr *y);
const struct tdm_expr *tdm_expr_either(struct tdm_builder *b, const struct tdm_expr *x, const struct tdm_expr *y);
const struct tdm_expr *tdm_expr_repeat(struct tdm_builder *b, const struct tdm_expr *x, int min, int max);
const struct tdm_expr *tdm_expr_rule(struct tdm_builder *b, int rule);
const struct tdm_expr *tdm_expr_series(struct tdm_builder *b, int n, const struct tdm_expr *const *kids,
                                       const uint8_t *flags);
// One of n texts, beginnings shared. words[i] has lengths[i] bytes; both are put in order.
struct tdm_word {
	const char *text;
	size_t len;
};
const struct tdm_expr *tdm_expr_words(struct tdm_builder *b, struct tdm_word *words, size_t n);

int tdm_rule_add(struct tdm_builder *b, const char *name, bool is_shared);  // its number, or -1 without memory
int tdm_rule_find(const struct tdm_builder *b, const char *name, size_t n); // -1 = none
int tdm_budget_bytes(struct tdm_builder *b);                                // the error of an exhausted arena
int tdm_budget_time(struct tdm_builder *b);                                 // TDM_OK, or the error

// Sets of code points, for classes of characters: ranges in any order.
struct tdm_range {
	uint32_t lo, hi;
};
struct tdm_ranges {
	struct tdm_range *items;
	int n, cap;
};
bool tdm_ranges_add(struct tdm_builder *b, struct tdm_ranges *r, uint32_t lo, uint32_t hi);
bool tdm_ranges_finish(struct tdm_builder *b, struct tdm_ranges *r, bool negate); // in order, disjoint

// The languages. TDM_OK with b->root set.
int tdm_gbnf_build(struct tdm_builder *b, const char *text, size_t n);
int tdm_regex_build(struct tdm_builder *b, const char *text, size_t n);
int tdm_schema_build(struct tdm_builder *b, const char *text, size_t n);
int tdm_json_object_build(struct tdm_builder *b);
// A pattern inside a JSON string: found anywhere unless anchored, every character as JSON may write it.
// where: named in errors. Without memory *out is NULL.
int tdm_regex_string(struct tdm_builder *b, const char *where, const char *text, size_t n, const struct tdm_expr **out);

// --- the network

struct tdm_edge {
	int32_t to, next; // next: of the same state, -1 = last
	int32_t rule;     // TDM_EDGE_CALL
	uint8_t kind, lo, hi;
	bool is_tail; // EDGE_CALL: nothing is left to do after the call
};
enum { TDM_EDGE_BYTE, TDM_EDGE_EMPTY, TDM_EDGE_CALL };

struct tdm_copies { // a repetition: n copies, `stride` states each; copy i can be left only through copy i - 1
	int32_t first, stride, n;
};

// How a state reads a set of characters, two bits for each set of the grammar.
enum { TDM_READS_NOTHING, TDM_READS_ALIKE, TDM_READS_APART };
enum { TDM_RUN_SETS = 8 };

struct tdm_grammar {
	struct tdm_grammar_options budget;
	struct tdm_edge *edges;
	int32_t *heads;     // per state: its first edge, -1 = none
	uint8_t *is_final;  // per state: the end of its rule
	uint8_t *has_bytes; // per state: it has an edge that reads
	int32_t n_states, n_edges, cap_states, cap_edges;
	int32_t *starts, *finals, *ranks; // per rule; a rule has a lower rank than those it may begin with
	int n_rules;
	struct tdm_copies *copies; // inner ones before outer ones
	int n_copies, cap_copies;
	uint8_t class_of[256]; // bytes that no edge tells apart share a class
	uint8_t class_byte[256];
	int n_classes;
	int32_t root; // start state of the root rule
	struct tdm_run_set run_sets[TDM_RUN_SETS];
	int n_run_sets;
	uint16_t *readings; // per state; NULL without sets
};

// Makes the network of b's rules and root.
int tdm_network_build(struct tdm_builder *b, struct tdm_grammar *g);
// Drops what can never end, refuses left recursion, finds the ranks and the classes of bytes.
int tdm_network_check(struct tdm_builder *b, struct tdm_grammar *g);
// Finds the sets of characters that states read alike.
int tdm_network_runs(struct tdm_builder *b, struct tdm_grammar *g);
