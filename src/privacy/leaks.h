// Leaks: which private values of a conversation the far side is shown, in whatever form, and how many of them it may be
// shown. A value is known here by a keyed hash in its conversation; values themselves are nowhere.
#pragma once
#include "base/value.h"
#include "ledger/record.h"
#include "privacy/mask/hide.h"

// What one mask has shown since it was made, by conversation. Used by several threads.
struct tdm_leaks;
struct tdm_leaks *tdm_leaks_new(void); // NULL: no memory
void tdm_leaks_free(struct tdm_leaks *l);

struct tdm_shown { // one value of a request
	const struct tdm_entity *entity;
	const char *as; // token, mark, clear
	uint64_t hash;
};
struct tdm_showing { // what one request would show
	struct tdm_arena *arena;
	uint8_t key[TDM_SESSION_KEY_BYTES];
	char conversation[17];
	struct tdm_shown *items; // each time
	size_t n, cap;
	bool failed; // no memory
};
// key: of the conversation; mask: what shows it, which counts for itself.
void tdm_showing_init(struct tdm_showing *s, struct tdm_arena *arena, const uint8_t key[TDM_SESSION_KEY_BYTES],
                      const char *mask);
void tdm_showing_add(struct tdm_showing *s, const struct tdm_find *find, const char *as);
// Adds what a detector finds in the masked texts up to level 3, but for numbers that stand for others (own): it leaves
// in clear. Error: that of tdm_detect.
int tdm_showing_look(struct tdm_showing *s, const struct tdm_detector *detector, const struct tdm_text *masked,
                     size_t n, const struct tdm_restorer *own, struct tdm_error *err);
void tdm_showing_record(const struct tdm_showing *s, struct tdm_record *record);

// What an earlier process has shown, by the part "left" of a receipt: it counts as shown.
void tdm_leaks_recall(struct tdm_leaks *l, const struct tdm_value *left);

struct tdm_leak_limit {
	int64_t all, clear; // distinct values of a conversation, in any form and in clear; negative: no limit
};
struct tdm_leak_count {
	int64_t n, limit;
	const char *what; // values, clear_values
};
// Whether the conversation may be shown this too. True: it counts as shown from now on. False: *over says by what.
// The mask has no memory for it: false too, over->limit is -1.
bool tdm_leaks_allow(struct tdm_leaks *l, const struct tdm_showing *s, struct tdm_leak_limit limit,
                     struct tdm_leak_count *over);
