// Gym families over lists: sort, count, reverse; and add, the arithmetic of integers.
//
// Levels grow with the length of the list or the number of digits.
#include "eval/gym_draw.h"
#include <stdlib.h>
#include <string.h>

#define MOST 12 // longest list

static const char *const words[] = {
    "apple",    "bread",  "chair",  "door",   "eagle",  "fish",    "glass",  "house",  "island", "jacket",
    "key",      "lamp",   "moon",   "night",  "ocean",  "paper",   "queen",  "river",  "stone",  "table",
    "umbrella", "voice",  "water",  "yard",   "zebra",  "arrow",   "bell",   "cloud",  "drum",   "engine",
    "flower",   "garden", "horse",  "iron",   "juice",  "king",    "letter", "mirror", "needle", "orange",
    "pencil",   "rain",   "snow",   "train",  "uncle",  "village", "window", "year",   "bridge", "candle",
    "dragon",   "forest", "hammer", "ladder", "market", "nest",    "pocket", "rabbit", "silver", "tiger",
};

static const char *joined(struct tdm_gym_draw *draw, const char *const *items, int n, const char *separator) {
	const char *out = n ? items[0] : "";
	for (int i = 1; i < n; i++)
		out = tdm_gym_text(draw, "%s%s%s", out, separator, items[i]);
	return out;
}

static void set_exact(struct tdm_gym_item *out, const char *prompt, const char *answer) {
	out->prompt = prompt;
	out->answer = answer;
	out->rule = TDM_GYM_FOLDED;
}

static const char *reversed(struct tdm_gym_draw *draw, const char *const *items, int n) {
	const char *back[MOST] = {0};
	for (int i = 0; i < n; i++)
		back[i] = items[n - 1 - i];
	return joined(draw, back, n, " ");
}

// --- add

struct sum {
	const char *text;
	int value;
};

// The first operand is drawn from low to high, the second from 0 to `second`.
static struct sum two_operands(struct tdm_gym_draw *draw, int low, int high, int second) {
	int a = tdm_gym_range(draw, low, high), b = tdm_gym_range(draw, 0, second);
	if (tdm_gym_chance(draw, 0.5))
		return (struct sum){tdm_gym_text(draw, "%d + %d", a, b), a + b};
	if (a < b) {
		int swap = a;
		a = b;
		b = swap;
	}
	return (struct sum){tdm_gym_text(draw, "%d - %d", a, b), a - b};
}

static struct sum hard_sum(struct tdm_gym_draw *draw) {
	if (tdm_gym_chance(draw, 0.5))
		return two_operands(draw, 100, 499, 99);
	int a = tdm_gym_range(draw, 11, 99), b = tdm_gym_range(draw, 2, 9);
	return (struct sum){tdm_gym_text(draw, "%d * %d", a, b), a * b};
}

void tdm_gym_draw_add(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	static const char *const forms[] = {"What is {E}?", "{E} = ?", "Calculate {E}.", "How much is {E}?"};
	struct sum s = level == 1   ? two_operands(draw, 0, 20, 20)
	               : level == 2 ? two_operands(draw, 0, 99, 99)
	                            : hard_sum(draw);
	set_exact(out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "E", s.text), tdm_gym_text(draw, "%d", s.value));
	out->key = tdm_gym_hash(tdm_gym_text(draw, "add %s", s.text));
}

// --- sort

static int by_number(const void *a, const void *b) {
	return *(const int *)a - *(const int *)b;
}

static int by_text(const void *a, const void *b) {
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_numbers(struct tdm_gym_draw *draw, int n, bool down, struct tdm_gym_item *out) {
	static const char *const up_forms[] = {"Sort from small to large: {L}", "Sort in ascending order: {L}",
	                                       "Put these numbers in ascending order: {L}"};
	static const char *const down_forms[] = {"Sort from large to small: {L}", "Sort in descending order: {L}",
	                                         "Put these numbers in descending order: {L}"};
	int numbers[MOST];
	const char *given[MOST] = {0}, *sorted[MOST] = {0};
	tdm_gym_choose(draw, numbers, n, 100);
	for (int i = 0; i < n; i++)
		given[i] = tdm_gym_text(draw, "%d", numbers[i]);
	qsort(numbers, (size_t)n, sizeof *numbers, by_number);
	for (int i = 0; i < n; i++)
		sorted[i] = tdm_gym_text(draw, "%d", numbers[i]);
	const char *up = joined(draw, sorted, n, " ");
	const char *form = down ? TDM_GYM_PICK(draw, down_forms) : TDM_GYM_PICK(draw, up_forms);
	set_exact(out, tdm_gym_fill(draw, form, "L", joined(draw, given, n, " ")), down ? reversed(draw, sorted, n) : up);
	out->key = tdm_gym_hash(tdm_gym_text(draw, "sort %s", up));
}

static void sort_words(struct tdm_gym_draw *draw, int n, struct tdm_gym_item *out) {
	static const char *const forms[] = {"Sort by alphabet: {L}", "Sort in alphabetical order: {L}",
	                                    "Put these words in alphabetical order: {L}"};
	int chosen[MOST];
	const char *list[MOST] = {0};
	tdm_gym_choose(draw, chosen, n, (int)TDM_GYM_COUNT(words));
	for (int i = 0; i < n; i++)
		list[i] = words[chosen[i]];
	const char *given = joined(draw, list, n, " ");
	qsort(list, (size_t)n, sizeof *list, by_text);
	set_exact(out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "L", given), joined(draw, list, n, " "));
	out->key = tdm_gym_hash(tdm_gym_text(draw, "sort %s", out->answer));
}

void tdm_gym_draw_sort(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	if (level == 3 && tdm_gym_chance(draw, 0.5))
		sort_words(draw, tdm_gym_range(draw, 3, 5), out);
	else
		sort_numbers(draw, tdm_gym_range(draw, level == 1 ? 3 : 2 * level, level == 1 ? 4 : 2 * level + 1),
		             level > 1 && tdm_gym_chance(draw, 0.4), out);
}

// --- count

static void count_items(struct tdm_gym_draw *draw, int n, struct tdm_gym_item *out) {
	static const char *const forms[] = {"How many items are in this list: {L}?", "How many words are here: {L}?",
	                                    "Count the words: {L}"};
	int chosen[MOST];
	const char *list[MOST] = {0};
	tdm_gym_choose(draw, chosen, n, (int)TDM_GYM_COUNT(words));
	for (int i = 0; i < n; i++)
		list[i] = words[chosen[i]];
	const char *text = joined(draw, list, n, " ");
	set_exact(out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "L", text), tdm_gym_text(draw, "%d", n));
	out->key = tdm_gym_hash(tdm_gym_text(draw, "items %s", text));
}

// `hits` of the n places hold the searched item, the others one of three others.
static void count_hits(struct tdm_gym_draw *draw, int n, bool of_words, struct tdm_gym_item *out) {
	static const char *const forms[] = {"How many times does {X} occur in {L}?", "How often is {X} in this list: {L}?",
	                                    "Count {X} in: {L}"};
	int hits = tdm_gym_range(draw, 0, n), kinds[4], places[MOST];
	const char *list[MOST] = {0};
	tdm_gym_choose(draw, kinds, 4, of_words ? (int)TDM_GYM_COUNT(words) : 10);
	tdm_gym_choose(draw, places, n, n);
	for (int i = 0; i < n; i++) {
		int kind = kinds[i < hits ? 0 : tdm_gym_range(draw, 1, 3)];
		list[places[i]] = of_words ? words[kind] : tdm_gym_text(draw, "%d", kind);
	}
	const char *what = of_words ? words[kinds[0]] : tdm_gym_text(draw, "%d", kinds[0]);
	const char *text = joined(draw, list, n, " ");
	set_exact(out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "XL", what, text), tdm_gym_text(draw, "%d", hits));
	out->key = tdm_gym_hash(tdm_gym_text(draw, "hits %s: %s", what, text));
}

void tdm_gym_draw_count(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	static const int low[] = {3, 5, 7}, high[] = {5, 7, 9};
	int n = tdm_gym_range(draw, low[level - 1], high[level - 1]);
	if (tdm_gym_chance(draw, 0.3))
		count_items(draw, n, out);
	else
		count_hits(draw, n, tdm_gym_chance(draw, 0.5), out);
}

// --- reverse

void tdm_gym_draw_reverse(struct tdm_gym_draw *draw, int level, struct tdm_gym_item *out) {
	static const char *const forms[] = {"Reverse this list: {L}", "Write this list backwards: {L}",
	                                    "Give the list in reverse order: {L}", "Reverse: {L}"};
	bool of_words = level > 1 && tdm_gym_chance(draw, 0.5);
	int n =
	    of_words ? tdm_gym_range(draw, 2 * level - 1, 2 * level) : tdm_gym_range(draw, 2 * level + 1, 2 * level + 2);
	int chosen[MOST];
	const char *list[MOST] = {0};
	tdm_gym_choose(draw, chosen, of_words ? n : 1, (int)TDM_GYM_COUNT(words));
	for (int i = 0; i < n; i++)
		list[i] = of_words ? words[chosen[i]] : tdm_gym_text(draw, "%d", tdm_gym_range(draw, 0, 9));
	const char *text = joined(draw, list, n, " ");
	set_exact(out, tdm_gym_fill(draw, TDM_GYM_PICK(draw, forms), "L", text), reversed(draw, list, n));
	out->key = tdm_gym_hash(tdm_gym_text(draw, "reverse %s", text));
}
