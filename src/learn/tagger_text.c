// Tagger text: see tagger_text.h.
#include "learn/tagger_text.h"
#include "base/arena.h"
#include <stdlib.h>
#include <string.h>

#define MAX_SECTIONS 512
#define MAX_DEPTH 16
#define TEXT_LIMIT_BYTES ((size_t)1 << 16)
#define ARENA_LIMIT_BYTES ((size_t)64 << 20)

struct item {
	const char *text;
	size_t n;
};
struct section {
	char name[40];
	size_t n_name;
	int kind; // -1 = not labelled
	bool is_list;
	struct item *items;
	size_t n, cap;
};
struct tdm_tagger_text {
	struct tdm_arena arena;
	struct section sections[MAX_SECTIONS];
	size_t n;
};

int tdm_tagger_text_new(struct tdm_tagger_text **out, struct tdm_error *err) {
	*out = calloc(1, sizeof **out);
	if (!*out)
		return tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory for lists and templates");
	tdm_arena_init(&(*out)->arena, ARENA_LIMIT_BYTES);
	return TDM_OK;
}

void tdm_tagger_text_free(struct tdm_tagger_text *t) {
	for (size_t i = 0; t && i < t->n; i++)
		free(t->sections[i].items);
	if (t)
		tdm_arena_release(&t->arena);
	free(t);
}

static int kind_of(const char *name, size_t n) {
	static const char *const kinds[] = {"PER", "LOC", "ORG", "MISC"};
	for (int i = 0; i < TDM_N_TAG_KINDS; i++)
		if (strlen(kinds[i]) == n && memcmp(kinds[i], name, n) == 0)
			return i;
	return -1;
}

static int begin_section(struct tdm_tagger_text *t, const char *file, const char *line, size_t n,
                         struct tdm_error *err) {
	const char *space = memchr(line, ' ', n);
	size_t name = space ? (size_t)(space - line) : n, kind = space ? n - name - 1 : 0;
	if (t->n == MAX_SECTIONS || name == 0 || name >= sizeof t->sections->name || (kind && kind_of(space + 1, kind) < 0))
		return tdm_fail(err, TDM_EFORMAT, "%s: section \"%.*s\": expected a name and PER, LOC, ORG, MISC or nothing",
		                file, (int)(n < 60 ? n : 60), line);
	struct section *s = &t->sections[t->n++];
	memcpy(s->name, line, name);
	s->n_name = name;
	s->kind = kind ? kind_of(space + 1, kind) : -1;
	s->is_list = line[-1] == '[';
	return TDM_OK;
}

static int add_item(struct tdm_tagger_text *t, const char *text, size_t n, struct tdm_error *err) {
	struct section *s = &t->sections[t->n - 1];
	while (n && (*text == ' ' || *text == '\t')) {
		text++;
		n--;
	}
	while (n && (text[n - 1] == ' ' || text[n - 1] == '\r'))
		n--;
	if (n == 0)
		return TDM_OK;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct item *items = realloc(s->items, cap * sizeof *items);
		if (!items)
			return tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory for lists and templates");
		s->items = items;
		s->cap = cap;
	}
	const char *copy = tdm_arena_copy(&t->arena, text, n);
	if (!copy)
		return tdm_fail(err, TDM_ENOMEM, "fit-tagger: no memory for lists and templates");
	s->items[s->n++] = (struct item){copy, n};
	return TDM_OK;
}

static int add_line(struct tdm_tagger_text *t, const char *file, const char *line, size_t n, struct tdm_error *err) {
	if (n == 0 || *line == '#')
		return TDM_OK;
	if (n > 2 && ((*line == '[' && line[n - 1] == ']') || (*line == '<' && line[n - 1] == '>')))
		return begin_section(t, file, line + 1, n - 2, err);
	if (t->n == 0)
		return tdm_fail(err, TDM_EFORMAT, "%s: expected a section, [name] or <name>, before the first item", file);
	if (!t->sections[t->n - 1].is_list)
		return add_item(t, line, n, err);
	int status = TDM_OK;
	for (size_t i = 0, length; i < n && status == TDM_OK; i += length + 1) {
		const char *comma = memchr(line + i, ',', n - i);
		length = comma ? (size_t)(comma - line) - i : n - i;
		status = add_item(t, line + i, length, err);
	}
	return status;
}

int tdm_tagger_text_add(struct tdm_tagger_text *t, const char *name, const char *data, size_t n,
                        struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0, length; i < n && status == TDM_OK; i += length + 1) {
		const char *end = memchr(data + i, '\n', n - i);
		length = end ? (size_t)(end - data) - i : n - i;
		status = add_line(t, name, data + i, length, err);
	}
	return status;
}

static bool is_named(const struct section *s, const char *name, size_t n) {
	return s->n_name >= n && memcmp(s->name, name, n) == 0 && (s->n_name == n || s->name[n] == '.');
}

static size_t count_items(const struct tdm_tagger_text *t, const char *name, size_t n) {
	size_t count = 0;
	for (size_t i = 0; i < t->n; i++)
		count += is_named(&t->sections[i], name, n) ? t->sections[i].n : 0;
	return count;
}

int tdm_tagger_text_items(const struct tdm_tagger_text *t, const char *name, tdm_tagger_item_fn *found, void *arg) {
	int status = TDM_OK;
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; is_named(&t->sections[i], name, strlen(name)) && k < t->sections[i].n && status >= 0; k++) {
			const struct item *item = &t->sections[i].items[k];
			if (!memchr(item->text, '{', item->n))
				status = found(arg, item->text, item->n);
		}
	return status;
}

// --- one text

struct maker {
	const struct tdm_tagger_text *t;
	struct tdm_rng *rng;
	struct tdm_labelled *out;
	int depth;
	bool labelled; // inside of a label
};

static void expand(struct maker *m, const char *text, size_t n);

// The end of the braces that begin at text[0]; n when there is none.
static size_t braces(const char *text, size_t n) {
	int depth = 0;
	for (size_t i = 0; i < n; i++) {
		depth += (text[i] == '{') - (text[i] == '}');
		if (depth == 0)
			return i;
	}
	return n;
}

// The next part of "a|b|{c|d}" from *at; false when there is none.
static bool next_part(const char *text, size_t n, size_t *at, size_t *length) {
	int depth = 0;
	if (*at > n)
		return false;
	for (*length = 0; *at + *length < n; ++*length) {
		char c = text[*at + *length];
		depth += (c == '{') - (c == '}');
		if (c == '|' && depth == 0)
			break;
	}
	return true;
}

static void expand_choice(struct maker *m, const char *text, size_t n) {
	size_t parts = 0, at, length;
	for (at = 0; next_part(text, n, &at, &length); at += length + 1)
		parts++;
	size_t chosen = (size_t)tdm_rng_below(m->rng, parts);
	for (at = 0; next_part(text, n, &at, &length); at += length + 1)
		if (chosen-- == 0) {
			expand(m, text + at, length);
			return;
		}
}

static void make_up(struct maker *m) { // a name that nobody has on a list
	static const char *const begins[] = {"B",  "Br", "C",  "Ch", "D",  "Dr", "F",   "G",   "Gr", "H",
	                                     "J",  "K",  "Kh", "Kr", "L",  "M",  "N",   "P",   "R",  "S",
	                                     "Sh", "St", "T",  "Th", "Tr", "V",  "W",   "Y",   "Z",  "A",
	                                     "E",  "I",  "O",  "U",  "Mc", "Ng", "Sch", "Abd", "Oy", "Xi"};
	static const char *const vowels[] = {"a",  "e",  "i",  "o",  "u",  "a", "e", "o",
	                                     "ai", "ee", "ou", "au", "ie", "ö", "é"};
	static const char *const middles[] = {"b",  "d", "g",  "k",  "l", "ll", "m", "n",  "nd", "nk", "r", "rr",
	                                      "rt", "s", "sh", "ss", "t", "v",  "z", "ch", "st", "lm", "rs"};
	static const char *const ends[] = {"n",    "s",    "son",   "sen", "ov",   "ova",   "ski",  "ski",  "ez",  "ini",
	                                   "elli", "mann", "er",    "ev",  "ic",   "ak",    "ade",  "u",    "a",   "o",
	                                   "i",    "y",    "ley",   "ton", "berg", "stein", "wala", "oğlu", "yan", "idze",
	                                   "man",  "well", "field", "r",   "l",    "th",    "ck",   "x"};
#define ONE_OF(list) list[tdm_rng_below(m->rng, sizeof list / sizeof *list)]
	tdm_bytes_puts(&m->out->text, ONE_OF(begins));
	for (uint64_t i = 0, n = tdm_rng_below(m->rng, 3); i < n; i++) {
		tdm_bytes_puts(&m->out->text, ONE_OF(vowels));
		tdm_bytes_puts(&m->out->text, ONE_OF(middles));
	}
	tdm_bytes_puts(&m->out->text, ONE_OF(vowels));
	tdm_bytes_puts(&m->out->text, ONE_OF(ends));
#undef ONE_OF
}

static void expand_item(struct maker *m, const struct section *s, const struct item *item) {
	bool outer = m->labelled;
	size_t start = m->out->text.len;
	m->labelled = outer || s->kind >= 0;
	expand(m, item->text, item->n);
	m->labelled = outer;
	if (outer || s->kind < 0 || m->out->n == TDM_TAG_SPANS || m->out->text.len == start)
		return;
	m->out->spans[m->out->n++] =
	    (struct tdm_tag_span){(uint32_t)start, (uint32_t)m->out->text.len, (enum tdm_tag_kind)s->kind};
}

static void expand_name(struct maker *m, const char *name, size_t n) {
	size_t chosen = count_items(m->t, name, n);
	if (chosen == 0)
		return;
	chosen = (size_t)tdm_rng_below(m->rng, chosen);
	for (size_t i = 0; i < m->t->n; i++) {
		const struct section *s = &m->t->sections[i];
		if (!is_named(s, name, n))
			continue;
		if (chosen < s->n) {
			expand_item(m, s, &s->items[chosen]);
			return;
		}
		chosen -= s->n;
	}
}

static void expand_braces(struct maker *m, const char *inner, size_t n) {
	if (n == 1 && *inner == '#')
		tdm_bytes_putc(&m->out->text, (char)('0' + tdm_rng_below(m->rng, 10)));
	else if (n == 1 && *inner == '?')
		make_up(m);
	else if (n == 1 && (*inner == '(' || *inner == ')'))
		tdm_bytes_putc(&m->out->text, *inner == '(' ? '{' : '}');
	else if (memchr(inner, '|', n))
		expand_choice(m, inner, n);
	else
		expand_name(m, inner, n);
}

static void expand(struct maker *m, const char *text, size_t n) {
	if (++m->depth > MAX_DEPTH)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '{') {
			size_t end = braces(text + i, n - i);
			expand_braces(m, text + i + 1, end > 0 && i + end < n ? end - 1 : n - i - 1);
			i += end;
		} else if (text[i] == '\\' && i + 1 < n && text[i + 1] == 'n') {
			tdm_bytes_putc(&m->out->text, '\n');
			i++;
		} else {
			tdm_bytes_putc(&m->out->text, text[i]);
		}
	}
	m->depth--;
}

int tdm_tagger_text_make(const struct tdm_tagger_text *t, struct tdm_rng *rng, struct tdm_labelled *out,
                         struct tdm_error *err) {
	struct maker m = {.t = t, .rng = rng, .out = out};
	out->text.limit = TEXT_LIMIT_BYTES;
	tdm_bytes_clear(&out->text);
	out->n = 0;
	expand_name(&m, "text", 4);
	return out->text.failed ? tdm_fail(err, TDM_ENOMEM, "fit-tagger: a text of more than %zu bytes", TEXT_LIMIT_BYTES)
	                        : TDM_OK;
}

// --- every name is there

static int check_text(const struct tdm_tagger_text *t, const char *text, size_t n, struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0; i < n && status == TDM_OK; i++) {
		if (text[i] != '{')
			continue;
		size_t end = braces(text + i, n - i), length = end ? end - 1 : 0;
		const char *inner = text + i + 1;
		if (i + end == n)
			return tdm_fail(err, TDM_EFORMAT, "fit-tagger: \"%.80s\": expected } for every {", text);
		if (memchr(inner, '|', length))
			status = check_text(t, inner, length, err);
		else if (!(length == 1 && memchr("#?()", *inner, 4)) && count_items(t, inner, length) == 0)
			return tdm_fail(err, TDM_EFORMAT, "fit-tagger: no section {%.*s}, which \"%.80s\" names", (int)length,
			                inner, text);
		i += end;
	}
	return status;
}

int tdm_tagger_text_check(const struct tdm_tagger_text *t, struct tdm_error *err) {
	int status = TDM_OK;
	if (count_items(t, "text", 4) == 0)
		return tdm_fail(err, TDM_EFORMAT, "fit-tagger: expected a section {text}");
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; k < t->sections[i].n && status == TDM_OK; k++)
			status = check_text(t, t->sections[i].items[k].text, t->sections[i].items[k].n, err);
	return status;
}
