// Record: rows appended while a request runs. The rule kept here: a record never fails a request; a row for which there
// is no memory is missing, and nothing else changes. A new list in record.h: set its tail in init, append with APPEND.
#include "ledger/record.h"
#include "base/clock.h"
#include <math.h>
#include <string.h>

static const char *const state_names[] = {
    [TDM_RUNNING] = "running", [TDM_COMPLETE] = "complete", [TDM_INCOMPLETE] = "incomplete",
    [TDM_REFUSED] = "refused", [TDM_FAILED] = "failed",     [TDM_CANCELLED] = "cancelled",
};

const char *tdm_state_name(enum tdm_state state) {
	return state_names[state];
}

void tdm_record_init(struct tdm_record *r, struct tdm_arena *arena) {
	*r = (struct tdm_record){.arena = arena, .state = TDM_RUNNING};
	tdm_make_id(r->id, "rcp_");
	r->created_us = tdm_now_us();
	r->created_wall_us = tdm_wall_us();
	r->objective.quality = r->objective.max_cost = NAN;
	r->left.method = "none";
	r->left.risk = NAN;
	r->last_call = &r->calls;
	r->last_decision = &r->decisions;
	r->last_verdict = &r->verdicts;
	r->last_warning = &r->warnings;
}

// Copies *item into the arena and appends it to the list that ends at `tail`; `row` becomes the copy or NULL.
#define APPEND(r, tail, item, row)                          \
	do {                                                    \
		(row) = tdm_arena_alloc((r)->arena, sizeof *(row)); \
		if (row) {                                          \
			*(row) = *(item);                               \
			(row)->next = NULL;                             \
			*(r)->tail = (row);                             \
			(r)->tail = &(row)->next;                       \
		}                                                   \
	} while (0)

struct tdm_call *tdm_record_call(struct tdm_record *r, const struct tdm_call *item) {
	struct tdm_call *row;
	APPEND(r, last_call, item, row);
	return row;
}

struct tdm_decision *tdm_record_decision(struct tdm_record *r, const struct tdm_decision *item) {
	struct tdm_decision *row;
	APPEND(r, last_decision, item, row);
	return row;
}

struct tdm_verdict *tdm_record_verdict(struct tdm_record *r, const struct tdm_verdict *item) {
	struct tdm_verdict *row;
	APPEND(r, last_verdict, item, row);
	return row;
}

static bool same(const char *a, const char *b) {
	return a && b ? !strcmp(a, b) : a == b;
}

void tdm_record_warn(struct tdm_record *r, const char *code, const char *param, const char *message) {
	for (const struct tdm_warning *w = r->warnings; w; w = w->next)
		if (same(w->code, code) && same(w->param, param))
			return;
	struct tdm_warning *row, item = {.code = tdm_arena_string(r->arena, code),
	                                 .param = tdm_arena_string(r->arena, param),
	                                 .message = tdm_arena_string(r->arena, message)};
	if (!item.code || (param && !item.param))
		return;
	APPEND(r, last_warning, &item, row);
}

void tdm_record_certificate(struct tdm_record *r, const struct tdm_under *item) {
	struct tdm_under **at = &r->certificates;
	for (; *at; at = &(*at)->next)
		if (!strcmp((*at)->id, item->id)) {
			(*at)->held = (*at)->held && item->held;
			return;
		}
	if (!(*at = tdm_arena_alloc(r->arena, sizeof **at)))
		return;
	**at = *item;
	(*at)->next = NULL;
}

void tdm_record_count(struct tdm_record *r, struct tdm_count **list, const char *name, int64_t n) {
	for (; *list; list = &(*list)->next)
		if (!strcmp((*list)->name, name)) {
			(*list)->n += n;
			return;
		}
	struct tdm_count *row = tdm_arena_alloc(r->arena, sizeof *row);
	const char *copy = tdm_arena_string(r->arena, name);
	if (!row || !copy)
		return;
	*row = (struct tdm_count){.name = copy, .n = n};
	*list = row;
}

void tdm_record_leak(struct tdm_record *r, const char *type, const char *as, const char hash[17], int64_t n) {
	struct tdm_leak **at = &r->left.leaks;
	for (; *at; at = &(*at)->next)
		if (!memcmp((*at)->hash, hash, 16) && !strcmp((*at)->as, as) && !strcmp((*at)->type, type)) {
			(*at)->n += n;
			return;
		}
	if (!(*at = tdm_arena_alloc(r->arena, sizeof **at)))
		return;
	**at = (struct tdm_leak){.type = type, .as = as, .n = n};
	memcpy((*at)->hash, hash, 16);
}

#define JOIN(r, list, tail, part)     \
	do {                              \
		*(r)->tail = (part)->list;    \
		if ((part)->list)             \
			(r)->tail = (part)->tail; \
	} while (0)

static void join_counts(struct tdm_record *r, struct tdm_count **list, const struct tdm_count *part) {
	for (; part; part = part->next)
		tdm_record_count(r, list, part->name, part->n);
}

// The weaker of two masks counts, as on one way out.
static void join_left(struct tdm_record *r, const struct tdm_left *part) {
	struct tdm_left *left = &r->left;
	left->requests += part->requests;
	left->bytes += part->bytes;
	join_counts(r, &left->to, part->to);
	join_counts(r, &left->entities, part->entities);
	left->restored += part->restored;
	left->missed_restores += part->missed_restores;
	left->damaged += part->damaged;
	left->risk = fmax(left->risk, part->risk); // of two numbers, where one is none the other
	left->conversation = part->conversation ? part->conversation : left->conversation;
	for (const struct tdm_leak *k = part->leaks; k; k = k->next)
		tdm_record_leak(r, k->type, k->as, k->hash, k->n);
	if (same(part->method, "none"))
		return;
	left->level = same(left->method, part->method) && left->level < part->level ? left->level : part->level;
	left->method = part->method;
}

void tdm_record_join(struct tdm_record *r, const struct tdm_record *part) {
	JOIN(r, calls, last_call, part);
	JOIN(r, decisions, last_decision, part);
	JOIN(r, verdicts, last_verdict, part);
	for (const struct tdm_warning *w = part->warnings; w; w = w->next)
		tdm_record_warn(r, w->code, w->param, w->message);
	for (const struct tdm_under *u = part->certificates; u; u = u->next)
		tdm_record_certificate(r, u);
	join_left(r, &part->left);
	r->model_us = part->model_us > r->model_us ? part->model_us : r->model_us;
}

double tdm_record_cost(const struct tdm_record *r) {
	double sum = 0;
	for (const struct tdm_call *c = r->calls; c; c = c->next)
		sum += c->cost;
	return sum;
}
