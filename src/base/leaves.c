// Leaves: see leaves.h. What is JSON is decided by the one reader in json.c; here a text that it has accepted is walked
// over, and nothing is checked again.
#include "base/leaves.h"
#include "base/text.h"
#include "base/value.h"

struct walk {
	struct tdm_arena *arena;
	const char *data;
	size_t n, at;
	struct tdm_bytes leaves; // of struct tdm_leaf
};

static uint32_t hex4(const char *s) {
	uint32_t c = 0;
	for (int i = 0; i < 4; i++) {
		char x = (char)(s[i] | 0x20);
		c = c << 4 | (uint32_t)(x <= '9' ? x - '0' : x - 'a' + 10);
	}
	return c;
}

// One character of a string at data[at]: its bytes and how many of the source it takes.
static size_t read_character(const char *s, char put[4], size_t *n_put) {
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	*n_put = 1;
	put[0] = s[0];
	if (s[0] != '\\')
		return 1;
	if (s[1] != 'u') {
		put[0] = to[strchr(from, s[1]) - from];
		return 2;
	}
	uint32_t c = hex4(s + 2);
	bool pair = c >= 0xD800 && c < 0xDC00 && s[6] == '\\' && s[7] == 'u';
	if (pair)
		c = 0x10000 + ((c - 0xD800) << 10) + (hex4(s + 8) - 0xDC00);
	*n_put = tdm_utf8_put(put, c);
	return pair ? 12 : 6;
}

static void unescape(struct walk *w, struct tdm_leaf *leaf) {
	struct tdm_bytes text, at;
	size_t n_put;
	char put[4];
	tdm_bytes_init(&text, leaf->end - leaf->start + 1);
	tdm_bytes_init(&at, (leaf->end - leaf->start + 1) * sizeof(uint32_t));
	for (size_t i = leaf->start + 1; i < leaf->end - 1;) {
		uint32_t here = (uint32_t)i;
		i += read_character(w->data + i, put, &n_put);
		tdm_bytes_add(&text, put, n_put);
		for (size_t k = 0; k < n_put; k++)
			tdm_bytes_add(&at, &here, sizeof here);
	}
	uint32_t last = (uint32_t)leaf->end - 1;
	tdm_bytes_add(&at, &last, sizeof last);
	uint32_t *map = tdm_arena_array(w->arena, text.len + 1, sizeof *map);
	leaf->n = text.len;
	leaf->text = tdm_arena_copy(w->arena, text.data ? text.data : "", text.len);
	w->leaves.failed = w->leaves.failed || text.failed || at.failed || !map || !leaf->text;
	if (!w->leaves.failed)
		leaf->at = memcpy(map, at.data, (text.len + 1) * sizeof *map);
	tdm_bytes_release(&text);
	tdm_bytes_release(&at);
}

static void add_string(struct walk *w) {
	struct tdm_leaf leaf = {.start = w->at++, .is_string = true};
	bool escapes = false;
	for (; w->data[w->at] != '"'; w->at++)
		if (w->data[w->at] == '\\') {
			escapes = true;
			w->at++;
		}
	leaf.end = ++w->at;
	leaf.text = w->data + leaf.start + 1;
	leaf.n = leaf.end - leaf.start - 2;
	if (escapes)
		unescape(w, &leaf);
	else
		leaf.text = tdm_arena_copy(w->arena, leaf.text, leaf.n);
	w->leaves.failed = w->leaves.failed || !leaf.text;
	tdm_bytes_add(&w->leaves, &leaf, sizeof leaf);
}

static void add_number(struct walk *w) {
	struct tdm_leaf leaf = {.start = w->at};
	while (w->at < w->n && strchr("+-.eE0123456789", w->data[w->at]))
		w->at++;
	leaf.end = w->at;
	leaf.n = leaf.end - leaf.start;
	leaf.text = tdm_arena_copy(w->arena, w->data + leaf.start, leaf.n);
	w->leaves.failed = w->leaves.failed || !leaf.text;
	tdm_bytes_add(&w->leaves, &leaf, sizeof leaf);
}

int tdm_leaves_read(struct tdm_arena *arena, const char *data, size_t n, struct tdm_leaf **leaves, size_t *n_leaves,
                    struct tdm_error *err) {
	struct walk w = {.arena = arena, .data = data, .n = n};
	struct tdm_value *value;
	int status = n > UINT32_MAX / 2 ? tdm_fail(err, TDM_ETOOLARGE, "%zu bytes of JSON are too many", n)
	                                : tdm_json_parse(arena, data, n, &value, err);
	if (status != TDM_OK)
		return status;
	tdm_bytes_init(&w.leaves, arena->limit_bytes);
	while (w.at < n && !w.leaves.failed) {
		if (data[w.at] == '"')
			add_string(&w);
		else if (data[w.at] == '-' || (data[w.at] >= '0' && data[w.at] <= '9'))
			add_number(&w);
		else
			w.at++;
	}
	*n_leaves = w.leaves.len / sizeof **leaves;
	*leaves = tdm_arena_array(arena, *n_leaves + 1, sizeof **leaves);
	bool ok = *leaves && !w.leaves.failed;
	if (ok && *n_leaves)
		memcpy(*leaves, w.leaves.data, w.leaves.len);
	tdm_bytes_release(&w.leaves);
	return ok ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "no memory for %zu bytes of JSON", n);
}

size_t tdm_leaf_origin(const struct tdm_leaf *leaf, size_t at) {
	return leaf->at ? leaf->at[at] : leaf->start + leaf->is_string + at;
}
