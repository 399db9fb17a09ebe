// Mend: half D800+k is marked as the character U+10F800+k and half DC00+k as U+10FC00+k, of the private plane that
// nobody writes; only events in which a half was found, or that a half waits for, are looked at again.
#include "models/remote/mend.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define MARKED_FIRST 0x10F800u
#define MARKED_SECOND 0x10FC00u
#define ALONE "\xef\xbf\xbd"

// The code unit of the escape \uXXXX at text; 0x10000: there is none.
static unsigned unit_at(const char *text, size_t n) {
	unsigned unit = 0;
	if (n < 6 || text[0] != '\\' || text[1] != 'u')
		return 0x10000;
	for (int i = 2; i < 6; i++) {
		char c = text[i];
		unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : ((unsigned)(c | 32) - 'a') + 10;
		if (digit > 15)
			return 0x10000;
		unit = unit << 4 | digit;
	}
	return unit;
}

static bool is_first(unsigned unit) {
	return unit >= 0xD800 && unit < 0xDC00;
}

static bool is_second(unsigned unit) {
	return unit >= 0xDC00 && unit < 0xE000;
}

bool tdm_mend_mark(const char *data, size_t n, struct tdm_bytes *out) {
	size_t from = 0;
	bool found = false;
	tdm_bytes_clear(out);
	for (size_t i = 0; i + 1 < n;) {
		unsigned unit = data[i] == '\\' ? unit_at(data + i, n - i) : 0x10000;
		size_t step = data[i] != '\\' ? 1 : unit > 0xFFFF ? 2 : 6;
		if (is_first(unit) && is_second(unit_at(data + i + 6, n - i - 6)))
			step = 12;
		else if (is_first(unit) || is_second(unit)) {
			tdm_bytes_add(out, data + from, i - from);
			tdm_bytes_printf(out, "\\u%s\\u%04x", is_first(unit) ? "dbfe" : "dbff", 0xDC00 + (unit & 0x3FF));
			from = i + 6;
			found = true;
		}
		i += step;
	}
	tdm_bytes_add(out, data + from, n - from);
	return found;
}

static void put(struct tdm_bytes *out, uint32_t c) {
	char bytes[4];
	tdm_bytes_add(out, bytes, tdm_utf8_put(bytes, c));
}

static void put_alone(struct tdm_mend *m, struct tdm_bytes *out, unsigned *waiting) {
	if (*waiting)
		tdm_bytes_puts(out, ALONE);
	m->n_alone += *waiting != 0;
	*waiting = 0;
}

static void join_text(struct tdm_mend *m, const struct tdm_value *string, unsigned *waiting, struct tdm_bytes *out) {
	uint32_t c;
	for (size_t at = 0; at < string->len;) {
		at += tdm_utf8_next(string->text + at, string->len - at, &c);
		if (c >= MARKED_SECOND && *waiting) {
			put(out, 0x10000 + ((uint32_t)(*waiting & 0x3FF) << 10) + (c - MARKED_SECOND));
			*waiting = 0;
			continue;
		}
		put_alone(m, out, waiting);
		if (c >= MARKED_SECOND) {
			*waiting = 1;
			put_alone(m, out, waiting);
		} else if (c >= MARKED_FIRST) {
			*waiting = 0xD800 + (c - MARKED_FIRST);
		} else {
			put(out, c);
		}
	}
}

static bool join_string(struct tdm_mend *m, struct tdm_arena *arena, struct tdm_value *string, const char *key) {
	bool is_same = *m->key && !strncmp(m->key, key, sizeof m->key - 1);
	unsigned waiting = is_same ? m->first : 0;
	struct tdm_bytes out;
	if (!string->len)
		return true;
	tdm_bytes_init(&out, 4 * string->len + 8);
	join_text(m, string, &waiting, &out);
	string->text = out.failed ? NULL : tdm_arena_copy(arena, out.data ? out.data : "", out.len);
	string->len = out.len;
	tdm_bytes_release(&out);
	if (waiting)
		snprintf(m->key, sizeof m->key, "%s", key);
	else if (is_same)
		*m->key = 0;
	m->first = waiting ? waiting : m->first;
	return string->text != NULL;
}

static bool join(struct tdm_mend *m, struct tdm_arena *arena, struct tdm_value *value, const char *key) {
	bool ok = true;
	if (value->type == TDM_STRING)
		return join_string(m, arena, value, key);
	for (size_t i = 0; i < value->n && ok; i++) // as deep as the parser goes: 64
		ok = join(m, arena, &value->items[i], value->type == TDM_MAP ? value->keys[i] : key);
	return ok;
}

bool tdm_mend_join(struct tdm_mend *m, struct tdm_arena *arena, struct tdm_value *event) {
	return join(m, arena, event, "");
}
