// Drawing of gym items: what the families share. Only the gym includes this file.
//
// Memory failures set draw->failed and give empty strings, so that a family checks nothing and the caller once.
#pragma once
#include "base/random.h"
#include "eval/gym.h"

struct tdm_gym_draw {
	struct tdm_arena *arena;
	struct tdm_rng rng;
	double masked; // chance that a passage carries typed tokens in the place of values
	bool failed;
};

#define TDM_GYM_COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define TDM_GYM_PICK(draw, table) ((table)[tdm_rng_below(&(draw)->rng, TDM_GYM_COUNT(table))])

int tdm_gym_range(struct tdm_gym_draw *draw, int low, int high); // uniform, both ends included
bool tdm_gym_chance(struct tdm_gym_draw *draw, double p);
const char *tdm_gym_text(struct tdm_gym_draw *draw, const char *format, ...) __attribute__((format(printf, 2, 3)));
// text with every {X} replaced by with[i], where names[i] == X: tdm_gym_fill(d, "{N} is here.", "N", name)
const char *tdm_gym_fill(struct tdm_gym_draw *draw, const char *text, const char *names, ...);
uint64_t tdm_gym_hash(const char *text);
uint64_t tdm_gym_key(const char *text, bool test); // a key that belongs to the wanted split
bool tdm_gym_key_is_test(uint64_t key);
// Sets the required texts (n of them, const char *).
void tdm_gym_require(struct tdm_gym_draw *draw, struct tdm_gym_item *item, int n, ...);
// n different numbers of 0..limit-1, in random order.
void tdm_gym_choose(struct tdm_gym_draw *draw, int *out, int n, int limit);

// A family draws one item: prompt, answer, rule and key; family and level are set by the caller.
typedef void tdm_gym_draw_fn(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out);
tdm_gym_draw_fn tdm_gym_draw_add, tdm_gym_draw_sort, tdm_gym_draw_count, tdm_gym_draw_reverse;
tdm_gym_draw_fn tdm_gym_draw_dates, tdm_gym_draw_units, tdm_gym_draw_facts;
tdm_gym_draw_fn tdm_gym_draw_refuse, tdm_gym_draw_text;
tdm_gym_draw_fn tdm_gym_draw_read, tdm_gym_draw_message, tdm_gym_draw_unanswerable;

// Other ways of asking an item, taught so that the judge and the guide of this program find them known.
void tdm_gym_judge_aside(struct tdm_gym_draw *draw, bool harmful, struct tdm_gym_item *item);
void tdm_gym_hint_aside(struct tdm_gym_draw *draw, const char *other_answer, struct tdm_gym_item *item);

// Copying alone, taught and not tested: short questions whose answer stands in them. Reading is built on it, and is
// learned much sooner with it.
void tdm_gym_draw_copy(struct tdm_gym_draw *draw, struct tdm_gym_item *out);

// The facts, for the test of the table.
struct tdm_gym_fact {
	const char *relation, *subject, *object;
	bool turned; // asked both ways
};
size_t tdm_gym_n_facts(void);
void tdm_gym_fact(size_t index, struct tdm_gym_fact *out);
