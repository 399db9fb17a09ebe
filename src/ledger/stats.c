// Stats: receipts summed into slots of time. A slot holds cells, one per group and name; a window is the sum of its
// slots. Latencies are kept as a histogram of eight steps an octave, so that a percentile is right within 5 %.
//
// Locks: mutex guards everything. Memory: at most MOST_NAMES names ("other" takes the rest) in 156 slots.
// A new figure: a group, a line in add_receipt(), a line in put_window().
#include "ledger/stats.h"
#include "base/value.h"
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PER_OCTAVE 8
#define FIRST_OCTAVE 4 // 16 microseconds
#define N_STEPS (26 * STEPS_PER_OCTAVE)
#define MOST_NAMES 256
#define MOST_AT_START 20000 // rows of earlier runs that are read
#define ROWS_AT_ONCE 256
#define N_RECENT 24
#define BATCH_LIMIT_BYTES ((size_t)256 << 20)

enum group { TOTAL, STATE, MODEL, REQUESTED, KEY, ENTITY, COUNTER };

struct cell {
	enum group group;
	int name;
	int64_t n, failed, prompt_tokens, completion_tokens;
	double cost, saved;
	uint32_t steps[N_STEPS]; // how long it took
};

struct slot {
	int64_t start_s; // 0 = never used
	struct cell *cells;
	size_t n, capacity;
};

struct ring {
	int64_t step_s;
	size_t n;
	struct slot *slots;
};

struct tdm_stats {
	pthread_mutex_t mutex;
	struct ring rings[TDM_N_WINDOWS];
	char *names[MOST_NAMES];
	int n_names;
	int64_t last_number; // of the rows that were read; -1 = none was
	char *recent[N_RECENT], currency[8];
	size_t n_recent; // that ever were
};

// --- cells

static int name_index(struct tdm_stats *s, const char *name) {
	int last = s->n_names < MOST_NAMES - 1 ? s->n_names : MOST_NAMES - 1;
	for (int i = 0; i < s->n_names; i++)
		if (!strcmp(s->names[i], name))
			return i;
	if (last == s->n_names) {
		s->names[last] = strdup(last == MOST_NAMES - 1 ? "other" : name);
		if (!s->names[last])
			return -1;
		s->n_names++;
	}
	return last;
}

// NULL: no memory; then the figure misses what would have been added.
static struct cell *cell_at(struct slot *slot, enum group group, int name) {
	for (size_t i = 0; i < slot->n; i++)
		if (slot->cells[i].group == group && slot->cells[i].name == name)
			return &slot->cells[i];
	if (name < 0)
		return NULL;
	if (slot->n == slot->capacity) {
		size_t capacity = slot->capacity ? 2 * slot->capacity : 8;
		struct cell *cells = realloc(slot->cells, capacity * sizeof *cells);
		if (!cells)
			return NULL;
		slot->cells = cells;
		slot->capacity = capacity;
	}
	slot->cells[slot->n] = (struct cell){.group = group, .name = name};
	return &slot->cells[slot->n++];
}

static void add_cell(struct cell *to, const struct cell *from) {
	to->n += from->n;
	to->failed += from->failed;
	to->prompt_tokens += from->prompt_tokens;
	to->completion_tokens += from->completion_tokens;
	to->cost += from->cost;
	to->saved += from->saved;
	for (int i = 0; i < N_STEPS; i++)
		to->steps[i] += from->steps[i];
}

static int step_of(double us) {
	int step = us > 0 ? (int)floor((log2(us) - FIRST_OCTAVE) * STEPS_PER_OCTAVE) : 0;
	return step < 0 ? 0 : step >= N_STEPS ? N_STEPS - 1 : step;
}

// In milliseconds; NaN when nothing was measured.
static double percentile(const struct cell *c, double share) {
	int64_t n = 0, seen = 0;
	for (int i = 0; i < N_STEPS; i++)
		n += c->steps[i];
	for (int i = 0; i < N_STEPS; i++) {
		seen += c->steps[i];
		if (c->steps[i] && (double)seen >= share * (double)n)
			return exp2(FIRST_OCTAVE + (i + 0.5) / STEPS_PER_OCTAVE) / 1000;
	}
	return NAN;
}

// --- slots

// NULL: too old for this ring.
static struct slot *slot_of(struct ring *r, int64_t at_s) {
	int64_t start = at_s - at_s % r->step_s;
	struct slot *slot = &r->slots[(size_t)(start / r->step_s) % r->n];
	if (slot->start_s > start)
		return NULL;
	if (slot->start_s < start) {
		slot->start_s = start;
		slot->n = 0;
	}
	return slot;
}

struct sums { // one receipt on its way into a slot of each ring
	struct tdm_stats *stats;
	struct slot *slots[TDM_N_WINDOWS];
};

static void add(const struct sums *to, enum group group, const char *name, const struct cell *what, double us) {
	int index = name_index(to->stats, name);
	for (int i = 0; i < TDM_N_WINDOWS; i++) {
		struct cell *c = to->slots[i] ? cell_at(to->slots[i], group, index) : NULL;
		if (!c)
			continue;
		add_cell(c, what);
		if (us >= 0)
			c->steps[step_of(us)]++;
	}
}

static void count(const struct sums *to, enum group group, const char *name, double n) {
	if (n > 0)
		add(to, group, name, &(struct cell){.n = (int64_t)n}, -1);
}

// --- receipts

static const char *text_of(const struct tdm_value *map, const char *key, const char *otherwise) {
	const char *text = tdm_get_string(map, key);
	return text ? text : otherwise;
}

static int64_t number_of(const struct tdm_value *map, const char *key) {
	double n = tdm_get_number(map, key, 0);
	return n > 0 && n < 9e15 ? (int64_t)n : 0;
}

static bool is_text(const struct tdm_value *map, const char *key, const char *expected) {
	return !strcmp(text_of(map, key, ""), expected);
}

static void add_calls(const struct sums *to, const struct tdm_value *calls, struct cell *whole) {
	for (size_t i = 0; calls && i < calls->n; i++) {
		const struct tdm_value *call = &calls->items[i];
		struct cell c = {.n = 1,
		                 .failed = is_text(call, "status", "failed"),
		                 .prompt_tokens = number_of(call, "prompt_tokens"),
		                 .completion_tokens = number_of(call, "completion_tokens"),
		                 .cost = tdm_get_number(call, "cost", 0)};
		whole->prompt_tokens += c.prompt_tokens;
		whole->completion_tokens += c.completion_tokens;
		add(to, MODEL, text_of(call, "model", "?"), &c, tdm_get_number(call, "us", 0));
	}
}

static int64_t add_entities(const struct sums *to, const struct tdm_value *entities) {
	int64_t n = 0;
	for (size_t i = 0; entities && entities->type == TDM_MAP && i < entities->n; i++) {
		count(to, ENTITY, entities->keys[i], entities->items[i].number);
		n += (int64_t)entities->items[i].number;
	}
	return n;
}

static void add_counters(const struct sums *to, const struct tdm_value *receipt) {
	const struct tdm_value *left = tdm_get(receipt, "left"), *guards = tdm_get(receipt, "guards");
	count(to, COUNTER, "entities", (double)add_entities(to, tdm_get(left, "entities")));
	count(to, COUNTER, "left_requests", tdm_get_number(left, "requests", 0));
	count(to, COUNTER, "left_bytes", tdm_get_number(left, "bytes", 0));
	count(to, COUNTER, "egress_blocked", is_text(receipt, "error", "egress_blocked"));
	count(to, COUNTER, "privacy_refused", is_text(receipt, "error", "privacy_refused"));
	for (size_t i = 0; guards && i < guards->n; i++)
		count(to, COUNTER, "guard_blocks", is_text(&guards->items[i], "verdict", "block"));
}

static void put_text(struct tdm_bytes *out, const char *name, const char *text) {
	tdm_bytes_printf(out, "\"%s\":", name);
	if (text)
		tdm_bytes_json(out, text, strlen(text));
	else
		tdm_bytes_puts(out, "null");
}

static void put_number(struct tdm_bytes *out, const char *name, double number) {
	tdm_bytes_printf(out, ",\"%s\":", name);
	tdm_bytes_number(out, number);
}

static void keep_recent(struct tdm_stats *s, const struct tdm_value *receipt, const struct cell *whole) {
	static const char *const names[] = {"receipt", "state", "tenant", "requested", "served", "error"};
	struct tdm_bytes b;
	tdm_bytes_init(&b, 8192);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		tdm_bytes_putc(&b, i ? ',' : '{');
		put_text(&b, names[i], tdm_get_string(receipt, names[i]));
	}
	put_number(&b, "created", tdm_get_number(receipt, "created", 0));
	put_number(&b, "cost", whole->cost);
	put_number(&b, "tokens", (double)(whole->prompt_tokens + whole->completion_tokens));
	put_number(&b, "ms", tdm_get_number(tdm_get(receipt, "timing_us"), "total", 0) / 1000);
	tdm_bytes_putc(&b, '}');
	if (!b.failed && b.data) {
		char **place = &s->recent[s->n_recent++ % N_RECENT];
		free(*place);
		*place = strdup(b.data);
	}
	tdm_bytes_release(&b);
}

static void add_receipt(struct tdm_stats *s, const struct tdm_value *receipt) {
	struct sums to = {.stats = s};
	const struct tdm_value *cost = tdm_get(receipt, "cost");
	const char *state = text_of(receipt, "state", "?"), *currency = text_of(cost, "currency", "USD");
	double us = tdm_get_number(tdm_get(receipt, "timing_us"), "total", 0);
	struct cell whole = {.n = 1,
	                     .failed = !strcmp(state, "failed") || !strcmp(state, "refused"),
	                     .cost = tdm_get_number(cost, "total", 0),
	                     .saved = tdm_get_number(cost, "saved", 0)};
	if (isnan(whole.saved) || strcmp(state, "complete"))
		whole.saved = 0; // an answer that did not come has saved nothing
	for (int i = 0; i < TDM_N_WINDOWS; i++)
		to.slots[i] = slot_of(&s->rings[i], number_of(receipt, "created"));
	add_calls(&to, tdm_get(receipt, "calls"), &whole);
	add(&to, TOTAL, "", &whole, us);
	count(&to, STATE, state, 1);
	add(&to, REQUESTED, text_of(receipt, "requested", "(none)"), &whole, us);
	add(&to, KEY, text_of(receipt, "tenant", "(no name)"), &whole, us);
	add_counters(&to, receipt);
	keep_recent(s, receipt, &whole);
	if (strlen(currency) < sizeof s->currency)
		memcpy(s->currency, currency, strlen(currency) + 1);
}

static void add_line(struct tdm_stats *s, const char *line, size_t n) {
	struct tdm_arena arena;
	struct tdm_value *receipt;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, (size_t)64 << 20);
	if (tdm_json_parse(&arena, line, n, &receipt, &err) == TDM_OK && tdm_get(receipt, "receipt"))
		add_receipt(s, receipt);
	tdm_arena_release(&arena);
}

static int catch_up(struct tdm_ledger *l, struct tdm_stats *s, struct tdm_error *err) {
	int64_t newest = 0, before = -1;
	int status = tdm_ledger_newest(l, &newest, err);
	if (s->last_number < 0)
		s->last_number = newest > MOST_AT_START ? newest - MOST_AT_START : 0;
	while (!status && s->last_number < newest && s->last_number != before) {
		struct tdm_bytes lines;
		tdm_bytes_init(&lines, BATCH_LIMIT_BYTES);
		before = s->last_number;
		status = tdm_ledger_after(l, &s->last_number, ROWS_AT_ONCE, &lines, err);
		for (char *line = lines.data, *end; line && (end = strchr(line, '\n')); line = end + 1)
			add_line(s, line, (size_t)(end - line));
		tdm_bytes_release(&lines);
	}
	return status;
}

// --- writing

static void put_cell(struct tdm_bytes *out, const struct cell *c) {
	put_number(out, "requests", (double)c->n);
	put_number(out, "failed", (double)c->failed);
	put_number(out, "prompt_tokens", (double)c->prompt_tokens);
	put_number(out, "completion_tokens", (double)c->completion_tokens);
	put_number(out, "cost", c->cost);
	put_number(out, "saved", c->saved);
	put_number(out, "p50_ms", percentile(c, 0.5));
	put_number(out, "p99_ms", percentile(c, 0.99));
}

static void put_times(struct tdm_bytes *out, struct tdm_stats *s, const struct ring *r, int64_t first_s) {
	static const struct cell nothing;
	int entities = name_index(s, "entities"), whole = name_index(s, "");
	tdm_bytes_puts(out, "\"times\":[");
	for (size_t i = 0; i < r->n; i++) {
		int64_t start = first_s + (int64_t)i * r->step_s;
		struct slot none = {.start_s = start}, *slot = &r->slots[(size_t)(start / r->step_s) % r->n];
		const struct cell *c = &nothing, *masked = &nothing;
		if (slot->start_s != start)
			slot = &none;
		for (size_t k = 0; k < slot->n; k++) {
			if (slot->cells[k].group == TOTAL && slot->cells[k].name == whole)
				c = &slot->cells[k];
			if (slot->cells[k].group == COUNTER && slot->cells[k].name == entities)
				masked = &slot->cells[k];
		}
		tdm_bytes_printf(out, "%s{\"at\":%lld", i ? "," : "", (long long)start);
		put_cell(out, c);
		put_number(out, "entities", (double)masked->n);
		tdm_bytes_putc(out, '}');
	}
	tdm_bytes_putc(out, ']');
}

static void sum_ring(const struct ring *r, int64_t first_s, struct slot *sum) {
	for (size_t i = 0; i < r->n; i++)
		for (size_t k = 0; r->slots[i].start_s >= first_s && k < r->slots[i].n; k++) {
			struct cell *c = cell_at(sum, r->slots[i].cells[k].group, r->slots[i].cells[k].name);
			if (c)
				add_cell(c, &r->slots[i].cells[k]);
		}
}

static int by_size(const void *a, const void *b) {
	int64_t x = ((const struct cell *)a)->n, y = ((const struct cell *)b)->n;
	return (x < y) - (x > y);
}

// Each cell of the group as an object of a list, or as a number of a map.
static void put_group(struct tdm_bytes *out, const struct tdm_stats *s, const struct slot *sum, enum group group,
                      const char *name, bool whole) {
	tdm_bytes_printf(out, ",\"%s\":%c", name, whole ? '[' : '{');
	for (size_t i = 0, n = 0; i < sum->n; i++) {
		const struct cell *c = &sum->cells[i];
		const char *of = s->names[c->name];
		if (c->group != group)
			continue;
		tdm_bytes_puts(out, n++ ? "," : "");
		if (whole) {
			tdm_bytes_putc(out, '{');
			put_text(out, "name", of);
			put_cell(out, c);
			tdm_bytes_putc(out, '}');
		} else {
			tdm_bytes_json(out, of, strlen(of));
			tdm_bytes_printf(out, ":%lld", (long long)c->n);
		}
	}
	tdm_bytes_putc(out, whole ? ']' : '}');
}

static void put_recent(struct tdm_bytes *out, const struct tdm_stats *s) {
	tdm_bytes_puts(out, ",\"recent\":[");
	for (size_t i = 0; i < N_RECENT && i < s->n_recent; i++) { // newest first
		const char *row = s->recent[(s->n_recent - 1 - i) % N_RECENT];
		tdm_bytes_printf(out, "%s%s", i ? "," : "", row ? row : "{}");
	}
	tdm_bytes_putc(out, ']');
}

static void put_window(struct tdm_bytes *out, struct tdm_stats *s, const struct ring *r, int64_t now_s) {
	int64_t first_s = now_s - now_s % r->step_s - (int64_t)(r->n - 1) * r->step_s;
	struct slot sum = {.n = 0};
	sum_ring(r, first_s, &sum);
	if (sum.cells)
		qsort(sum.cells, sum.n, sizeof *sum.cells, by_size);
	put_times(out, s, r, first_s);
	tdm_bytes_printf(out, ",\"step_s\":%lld,", (long long)r->step_s);
	put_text(out, "currency", s->currency);
	put_group(out, s, &sum, TOTAL, "totals", true);
	put_group(out, s, &sum, STATE, "states", false);
	put_group(out, s, &sum, COUNTER, "counters", false);
	put_group(out, s, &sum, ENTITY, "entities", false);
	put_group(out, s, &sum, MODEL, "models", true);
	put_group(out, s, &sum, REQUESTED, "requested", true);
	put_group(out, s, &sum, KEY, "keys", true);
	put_recent(out, s);
	free(sum.cells);
}

int tdm_ledger_stats(struct tdm_ledger *l, struct tdm_stats *s, enum tdm_window window, int64_t now_s,
                     struct tdm_bytes *out, struct tdm_error *err) {
	pthread_mutex_lock(&s->mutex);
	int status = catch_up(l, s, err);
	if (!status)
		put_window(out, s, &s->rings[window], now_s);
	pthread_mutex_unlock(&s->mutex);
	if (!status && out->failed)
		return tdm_fail(err, TDM_ENOMEM, "the statistics do not fit their memory limit");
	return status;
}

// --- making and freeing

struct tdm_stats *tdm_stats_new(void) {
	static const struct ring shapes[TDM_N_WINDOWS] = {
	    [TDM_LAST_HOUR] = {60, 60, NULL}, [TDM_LAST_DAY] = {900, 96, NULL}};
	struct tdm_stats *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	pthread_mutex_init(&s->mutex, NULL);
	s->last_number = -1;
	memcpy(s->currency, "USD", 4);
	for (int i = 0; i < TDM_N_WINDOWS; i++) {
		s->rings[i] = shapes[i];
		s->rings[i].slots = calloc(shapes[i].n, sizeof *s->rings[i].slots);
	}
	if (s->rings[TDM_LAST_HOUR].slots && s->rings[TDM_LAST_DAY].slots)
		return s;
	tdm_stats_free(s);
	return NULL;
}

void tdm_stats_free(struct tdm_stats *s) {
	for (int i = 0; i < TDM_N_WINDOWS; i++) {
		for (size_t k = 0; s->rings[i].slots && k < s->rings[i].n; k++)
			free(s->rings[i].slots[k].cells);
		free(s->rings[i].slots);
	}
	for (int i = 0; i < s->n_names; i++)
		free(s->names[i]);
	for (size_t i = 0; i < N_RECENT; i++)
		free(s->recent[i]);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}
