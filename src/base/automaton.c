// Automaton: see automaton.h. Nodes keep their children as a list, not as a table of 256: a conversation with
// thousands of masked values then costs megabytes, not gigabytes. The root, where most steps start, has a table, and so
// have the first states behind it that have many children.
#include "base/automaton.h"

#define WIDE 5 // children from which on a table is worth its kilobyte
#define MOST_TABLES 64

struct node {
	uint32_t fail, child, sibling; // 0 = none (the root is nobody's child)
	uint32_t shorter;              // nearest state on the fail chain where a pattern ends
	int32_t id;                    // pattern that ends here, -1 = none
	uint32_t depth;
	unsigned char byte, table; // table: its number + 1, 0 = none
};

struct tdm_automaton {
	struct tdm_arena *arena;
	struct node *nodes;
	uint32_t n, cap;
	uint32_t root[256], (*tables)[256];
	unsigned char n_tables;
};

struct tdm_automaton *tdm_automaton_new(struct tdm_arena *arena, size_t max_bytes) {
	if (max_bytes >= UINT32_MAX / sizeof(struct node))
		return NULL;
	struct tdm_automaton *a = tdm_arena_alloc(arena, sizeof *a);
	if (!a)
		return NULL;
	a->arena = arena;
	a->cap = (uint32_t)max_bytes + 1;
	a->nodes = tdm_arena_array(arena, a->cap, sizeof *a->nodes);
	if (!a->nodes)
		return NULL;
	a->nodes[0].id = -1;
	a->n = 1;
	return a;
}

static uint32_t find_child(const struct tdm_automaton *a, uint32_t state, unsigned char byte) {
	if (state == 0)
		return a->root[byte];
	if (a->nodes[state].table)
		return a->tables[a->nodes[state].table - 1][byte];
	uint32_t child = a->nodes[state].child;
	while (child && a->nodes[child].byte != byte)
		child = a->nodes[child].sibling;
	return child;
}

static uint32_t add_child(struct tdm_automaton *a, uint32_t state, unsigned char byte) {
	if (a->n == a->cap)
		return 0;
	uint32_t child = a->n++;
	a->nodes[child] =
	    (struct node){.byte = byte, .id = -1, .depth = a->nodes[state].depth + 1, .sibling = a->nodes[state].child};
	a->nodes[state].child = child;
	if (state == 0)
		a->root[byte] = child;
	return child;
}

int tdm_automaton_add(struct tdm_automaton *a, const char *pattern, size_t n, int id) {
	uint32_t state = 0;
	if (n == 0)
		return TDM_OK;
	for (size_t i = 0; i < n; i++) {
		uint32_t next = find_child(a, state, (unsigned char)pattern[i]);
		if (!next)
			next = add_child(a, state, (unsigned char)pattern[i]);
		if (!next)
			return TDM_ENOMEM;
		state = next;
	}
	if (a->nodes[state].id < 0)
		a->nodes[state].id = id;
	return TDM_OK;
}

static void link_children(struct tdm_automaton *a, uint32_t state, uint32_t *queue, uint32_t *tail) {
	for (uint32_t child = a->nodes[state].child; child; child = a->nodes[child].sibling) {
		struct node *node = &a->nodes[child];
		node->fail = state ? tdm_automaton_step(a, a->nodes[state].fail, node->byte) : 0;
		const struct node *fail = &a->nodes[node->fail];
		node->shorter = fail->id >= 0 ? node->fail : fail->shorter;
		queue[(*tail)++] = child;
	}
}

static bool is_wide(const struct tdm_automaton *a, uint32_t state) {
	int n = 0;
	for (uint32_t child = a->nodes[state].child; child && n < WIDE; child = a->nodes[child].sibling)
		n++;
	return n == WIDE;
}

// queue: all states, those nearest to the root first.
static int make_tables(struct tdm_automaton *a, const uint32_t *queue) {
	size_t n = 0;
	for (uint32_t i = 1; i < a->n && n < MOST_TABLES; i++)
		n += is_wide(a, queue[i]);
	a->tables = n ? tdm_arena_array(a->arena, n, sizeof *a->tables) : NULL;
	for (uint32_t i = 1; a->tables && i < a->n && a->n_tables < n; i++) {
		if (!is_wide(a, queue[i]))
			continue;
		uint32_t *table = a->tables[a->n_tables++];
		for (uint32_t child = a->nodes[queue[i]].child; child; child = a->nodes[child].sibling)
			table[a->nodes[child].byte] = child;
		a->nodes[queue[i]].table = a->n_tables;
	}
	return n && !a->tables ? TDM_ENOMEM : TDM_OK;
}

int tdm_automaton_build(struct tdm_automaton *a) {
	uint32_t *queue = tdm_arena_array(a->arena, a->n, sizeof *queue), head = 0, tail = 1;
	if (!queue)
		return TDM_ENOMEM;
	while (head < tail) // breadth first: fail links lead to shorter states, which are linked already
		link_children(a, queue[head++], queue, &tail);
	return make_tables(a, queue);
}

size_t tdm_automaton_skip(const struct tdm_automaton *a, const char *text, size_t n, bool fold) {
	if (a->n == 1) // without a pattern
		return n;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];
		if (a->root[fold && c >= 'A' && c <= 'Z' ? c + 32 : c])
			return i;
	}
	return n;
}

uint32_t tdm_automaton_step(const struct tdm_automaton *a, uint32_t state, unsigned char byte) {
	for (;;) {
		uint32_t next = find_child(a, state, byte);
		if (next || state == 0)
			return next;
		state = a->nodes[state].fail;
	}
}

size_t tdm_automaton_depth(const struct tdm_automaton *a, uint32_t state) {
	return a->nodes[state].depth;
}

int tdm_automaton_match(const struct tdm_automaton *a, uint32_t state, size_t *length, uint32_t *more) {
	if (a->nodes[state].id < 0)
		state = a->nodes[state].shorter;
	if (state == 0)
		return -1;
	*length = a->nodes[state].depth;
	*more = a->nodes[state].shorter;
	return a->nodes[state].id;
}
