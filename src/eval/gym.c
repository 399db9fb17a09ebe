// The gym: its families, the mixtures, items and training conversations. See gym.h.
//
// The split is decided in one place, draw_fitting: a draw whose key belongs to the other split is thrown away.
#include "eval/gym.h"
#include "eval/gym_passage.h"
#include <string.h>

#define MOST_DRAWS 20000 // about one draw in eight belongs to the test; this many misses mean that a family has none

static const struct tdm_gym_family families[] = {
    {"add", "addition, subtraction and multiplication of integers", 450},
    {"dates", "weekdays, months, dates and times", 300},
    {"units", "conversion of units", 120},
    {"sort", "sorting of numbers and words", 120},
    {"count", "counting in lists", 200},
    {"reverse", "reversing of lists", 70},
    {"facts", "a fixed table of facts", 80},
    {"read", "copying a value from a passage", 80},
    {"message", "two sentences with values from a passage", 44},
    {"unanswerable", "noticing that a passage does not say it", 44},
    {"refuse", "declining harmful requests", 26},
    {"text", "small talk, advice and sentences under constraints", 40},
};
static tdm_gym_draw_fn *const draws[] = {
    tdm_gym_draw_add,     tdm_gym_draw_dates,        tdm_gym_draw_units,  tdm_gym_draw_sort,
    tdm_gym_draw_count,   tdm_gym_draw_reverse,      tdm_gym_draw_facts,  tdm_gym_draw_read,
    tdm_gym_draw_message, tdm_gym_draw_unanswerable, tdm_gym_draw_refuse, tdm_gym_draw_text,
};
static tdm_gym_ask_fn *const asks[TDM_GYM_COUNT(families)] = {
    [7] = tdm_gym_ask_read, [8] = tdm_gym_ask_message, [9] = tdm_gym_ask_unanswerable};
#define N_FAMILIES TDM_GYM_COUNT(families)

const struct tdm_gym_family *tdm_gym_families(size_t *n) {
	*n = N_FAMILIES;
	return families;
}

static int find_family(const char *name, size_t *out, struct tdm_error *err) {
	for (*out = 0; *out < N_FAMILIES; ++*out)
		if (!strcmp(families[*out].name, name))
			return TDM_OK;
	return tdm_fail(err, TDM_EVALUE,
	                "gym: unknown family \"%s\"; the families are add, dates, units, sort, count, reverse, "
	                "facts, read, message, unanswerable, refuse and text",
	                name);
}

static size_t weighted(struct tdm_gym_draw *draw) {
	int total = 0;
	for (size_t i = 0; i < N_FAMILIES; i++)
		total += families[i].weight;
	int at = tdm_gym_range(draw, 0, total - 1);
	size_t i = 0;
	while (at >= families[i].weight)
		at -= families[i++].weight;
	return i;
}

// The family and level of item `index`: tests walk them in turn, training draws them.
static int choose_kind(struct tdm_gym_draw *draw, const struct tdm_gym_options *o, uint64_t index, size_t *family,
                       int *level, struct tdm_error *err) {
	static const int taught_levels[] = {1, 1, 1, 1, 1, 2, 2, 2, 2, 2,
	                                    2, 2, 3, 3, 3, 3, 3, 3, 3, 3}; // harder ones more often
	uint64_t row = index;
	if (o->family) {
		int status = find_family(o->family, family, err);
		if (status)
			return status;
	} else if (o->split == TDM_GYM_TEST) {
		*family = index % N_FAMILIES;
		row = index / N_FAMILIES;
	} else {
		*family = weighted(draw);
	}
	*level = o->split == TDM_GYM_TEST ? 1 + (int)(row % TDM_GYM_LEVELS) : TDM_GYM_PICK(draw, taught_levels);
	return TDM_OK;
}

static int out_of_memory(struct tdm_error *err) {
	return tdm_fail(err, TDM_ENOMEM, "gym: the arena is too small for an item");
}

static int draw_fitting(struct tdm_gym_draw *draw, enum tdm_gym_split split, size_t family, int level,
                        struct tdm_gym_item *out, struct tdm_error *err) {
	for (int i = 0; i < MOST_DRAWS; i++) {
		*out = (struct tdm_gym_item){.family = families[family].name, .level = level};
		draws[family](draw, level, out);
		if (draw->failed)
			return out_of_memory(err);
		if (tdm_gym_key_is_test(out->key) == (split == TDM_GYM_TEST))
			return TDM_OK;
	}
	return tdm_fail(err, TDM_EINTERNAL, "gym: family %s level %d has no item of the wanted split",
	                families[family].name, level);
}

static int draw_item(struct tdm_gym_draw *draw, const struct tdm_gym_options *o, uint64_t index,
                     struct tdm_gym_item *out, struct tdm_error *err) {
	size_t family;
	int level, status = choose_kind(draw, o, index, &family, &level, err);
	return status ? status : draw_fitting(draw, o->split, family, level, out, err);
}

static void start(struct tdm_gym_draw *draw, struct tdm_arena *arena, const struct tdm_gym_options *o, uint64_t index) {
	*draw = (struct tdm_gym_draw){.arena = arena, .masked = o->masked};
	tdm_rng_stream(&draw->rng, o->seed, o->split == TDM_GYM_TEST ? "gym.test" : "gym.train", index);
}

int tdm_gym_item(struct tdm_arena *arena, uint64_t seed, uint64_t index, enum tdm_gym_split split, const char *family,
                 struct tdm_gym_item *out, struct tdm_error *err) {
	struct tdm_gym_options o = {.seed = seed, .split = split, .family = family};
	struct tdm_gym_draw draw;
	start(&draw, arena, &o, index);
	return draw_item(&draw, &o, index, out, err);
}

// --- conversations

// The question of one turn: the wanted family half of the time, and no question twice, in whatever words.
static void draw_turn(struct tdm_gym_draw *draw, const struct tdm_gym_passage *p, size_t wanted,
                      struct tdm_gym_item *turns, size_t at) {
	static const size_t mix[] = {7, 7, 8, 9}; // read twice, message, unanswerable
	for (int tries = 0; tries < 20; tries++) {
		size_t family = at == 0 || tdm_gym_chance(draw, 0.4) ? wanted : TDM_GYM_PICK(draw, mix);
		turns[at] = (struct tdm_gym_item){.family = families[family].name, .level = p->level};
		asks[family](draw, p, &turns[at]);
		bool fresh = true;
		for (size_t i = 0; i < at; i++)
			fresh &= strcmp(turns[i].prompt, turns[at].prompt) &&
			         (strcmp(turns[i].answer, turns[at].answer) || turns[at].n_required == 0);
		if (fresh)
			return;
	}
}

static int draw_passage_fitting(struct tdm_gym_draw *draw, enum tdm_gym_split split, int level,
                                struct tdm_gym_passage *out, struct tdm_error *err) {
	for (int i = 0; i < MOST_DRAWS; i++) {
		tdm_gym_draw_passage(draw, level, out);
		if (draw->failed)
			return out_of_memory(err);
		if (tdm_gym_key_is_test(out->key) == (split == TDM_GYM_TEST))
			return TDM_OK;
	}
	return tdm_fail(err, TDM_EINTERNAL, "gym: no passage of the wanted split");
}

static int draw_reading(struct tdm_gym_draw *draw, enum tdm_gym_split split, size_t family, int level, size_t n_turns,
                        struct tdm_gym_item *turns, struct tdm_error *err) {
	struct tdm_gym_passage p;
	int status = draw_passage_fitting(draw, split, level, &p, err);
	if (status)
		return status;
	for (size_t i = 0; i < n_turns; i++)
		draw_turn(draw, &p, family, turns, i);
	tdm_gym_join(draw, &p, &turns[0]);
	return draw->failed ? out_of_memory(err) : TDM_OK;
}

// A few single questions are asked in the words of the judge or come with a guide's hint. The hint is wrong when it is
// the answer to another question of the family.
static void draw_aside(struct tdm_gym_draw *draw, size_t family, int level, struct tdm_gym_item *item) {
	bool harmful = draws[family] == tdm_gym_draw_refuse;
	bool alike = draws[family] == tdm_gym_draw_text; // harmless requests in the words of harmful ones
	if (tdm_gym_chance(draw, harmful ? 0.4 : alike ? 0.3 : 0.006)) {
		tdm_gym_judge_aside(draw, harmful, item);
	} else if (item->rule != TDM_GYM_PREFIX && item->rule != TDM_GYM_PROSE && tdm_gym_chance(draw, 0.05)) {
		struct tdm_gym_item other = {0};
		draws[family](draw, level, &other);
		tdm_gym_hint_aside(draw, other.answer, item);
	}
}

static int draw_copy_talk(struct tdm_gym_draw *draw, struct tdm_gym_talk *out, struct tdm_error *err) {
	struct tdm_gym_item *turn = tdm_arena_alloc(draw->arena, sizeof *turn);
	if (turn)
		tdm_gym_draw_copy(draw, turn);
	if (!turn || draw->failed)
		return out_of_memory(err);
	*out = (struct tdm_gym_talk){turn->family, turn->level, turn, 1, tdm_gym_hash(turn->prompt)};
	return TDM_OK;
}

int tdm_gym_talk(struct tdm_arena *arena, const struct tdm_gym_options *options, uint64_t index,
                 struct tdm_gym_talk *out, struct tdm_error *err) {
	struct tdm_gym_draw draw;
	start(&draw, arena, options, index);
	size_t family, n_turns = 1;
	if (options->split == TDM_GYM_TRAIN && tdm_gym_chance(&draw, options->copies))
		return draw_copy_talk(&draw, out, err);
	int level, status = choose_kind(&draw, options, index, &family, &level, err);
	if (status)
		return status;
	struct tdm_gym_item *turns = tdm_arena_array(arena, TDM_GYM_TURNS, sizeof *turns);
	if (!turns)
		return out_of_memory(err);
	if (asks[family] && !options->single && !tdm_gym_chance(&draw, 0.15))
		n_turns = (size_t)tdm_gym_range(&draw, 3, 4);
	status = n_turns > 1 ? draw_reading(&draw, options->split, family, level, n_turns, turns, err)
	                     : draw_fitting(&draw, options->split, family, level, turns, err);
	if (!status && n_turns == 1 && options->split == TDM_GYM_TRAIN && !options->single)
		draw_aside(&draw, family, level, turns);
	if (draw.failed)
		return out_of_memory(err);
	*out = (struct tdm_gym_talk){families[family].name, level, turns, n_turns, turns[0].key};
	return status;
}
