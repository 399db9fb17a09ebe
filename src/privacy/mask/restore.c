// Restore: see restore.h. What is accepted beside the exact token: any letter case, and the three ways programs write
// the underscore ("\_", "%5F", "\u005f"). Nothing else: a token with a changed character stays as it is and is counted,
// because a guess could give one person the name of another.
#include "privacy/mask/restore.h"
#include <string.h>

static char small(char c) {
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static int add_exactly(struct tdm_restorer *r, const struct tdm_spelling *s, int id) {
	char form[TDM_RESTORE_HELD];
	for (size_t i = 0; i < s->n_token; i++)
		form[i] = small(s->token[i]);
	return tdm_automaton_add(r->automaton, form, s->n_token, id);
}

static int add_forms(struct tdm_restorer *r, const struct tdm_spelling *s, int id) {
	static const char *const separators[] = {"_", "\\_", "%5f", "\\u005f"};
	char form[TDM_RESTORE_HELD];
	int status = TDM_OK;
	if (s->surrogate) // what is written otherwise is another number
		return add_exactly(r, s, id);
	size_t label = (size_t)((const char *)memchr(s->token, '_', s->n_token) - s->token);
	for (size_t i = 0; i < 4 && status == TDM_OK; i++) {
		size_t n = label, m = strlen(separators[i]);
		memcpy(form, s->token, label);
		memcpy(form + n, separators[i], m);
		memcpy(form + n + m, s->token + label + 1, s->n_token - label - 1);
		n += m + s->n_token - label - 1;
		for (size_t k = 0; k < n; k++)
			form[k] = small(form[k]);
		status = tdm_automaton_add(r->automaton, form, n, id);
	}
	return status;
}

int tdm_restorer_init(struct tdm_restorer *r, struct tdm_arena *arena, const struct tdm_vault *vault) {
	size_t bytes = 0;
	int id = 0, status = TDM_OK;
	*r = (struct tdm_restorer){0};
	for (const struct tdm_spelling *s = tdm_vault_first(vault); s; s = s->next) {
		r->n++;
		bytes += 4 * (s->n_token + 6);
	}
	r->spellings = tdm_arena_array(arena, r->n + 1, sizeof *r->spellings);
	r->automaton = tdm_automaton_new(arena, bytes);
	if (!r->spellings || !r->automaton)
		return TDM_ENOMEM;
	for (const struct tdm_spelling *s = tdm_vault_first(vault); s && status == TDM_OK; s = s->next) {
		r->spellings[id] = s;
		status = add_forms(r, s, id++);
	}
	return status == TDM_OK ? tdm_automaton_build(r->automaton) : status;
}

void tdm_restore_init(struct tdm_restore *s, const struct tdm_restorer *tokens, struct tdm_link *link, bool in_json) {
	*s = (struct tdm_restore){.tokens = tokens, .link = link, .in_json = in_json};
	if (link) {
		link->links = &tokens->links;
		link->in_json = in_json;
	}
}

static void put_value(struct tdm_restore *s, const struct tdm_spelling *value, struct tdm_bytes *out) {
	if (s->link && !tdm_link_token(s->link, value)) {
		tdm_bytes_add(out, s->held, s->n_held);
		s->missed++;
		return;
	}
	s->restored++;
	if (!s->in_json) {
		tdm_bytes_add(out, value->text, value->n);
		return;
	}
	size_t before = out->len;
	tdm_bytes_json(out, value->text, value->n);
	if (out->failed)
		return;
	memmove(out->data + before, out->data + before + 1, out->len - before - 2); // without its quotes
	out->len -= 2;
	out->data[out->len] = 0;
}

// Text without a separator, and none before it that it could belong to: only what may stand before a later one is kept.
static void remember(struct tdm_restore *s, const char *text, size_t n) {
	if (n > TDM_RESTORE_HELD) {
		text += n - TDM_RESTORE_HELD;
		n = TDM_RESTORE_HELD;
	}
	if (s->n_recent + n > sizeof s->recent) {
		memmove(s->recent, s->recent + s->n_recent - TDM_RESTORE_HELD, TDM_RESTORE_HELD);
		s->n_recent = TDM_RESTORE_HELD;
	}
	memcpy(s->recent + s->n_recent, text, n);
	s->n_recent += n;
}

static bool has_separator(const struct tdm_restore *s, const char *text, size_t n) {
	size_t near = s->n_recent < 9 ? s->n_recent : 9;
	return memchr(s->recent + s->n_recent - near, '_', near) || memchr(text, '_', n);
}

// Plain text goes out; eight characters behind a separator may show that it was a token once.
static void put_plain(struct tdm_restore *s, const char *text, size_t n, struct tdm_bytes *out) {
	size_t start, end;
	tdm_bytes_add(out, text, n);
	if (s->link)
		tdm_link_put(s->link, text, n);
	if (!has_separator(s, text, n)) {
		remember(s, text, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (s->n_recent == sizeof s->recent) {
			memmove(s->recent, s->recent + TDM_RESTORE_HELD, TDM_RESTORE_HELD);
			s->n_recent = TDM_RESTORE_HELD;
		}
		s->recent[s->n_recent++] = text[i];
		if (s->n_recent < 11 || s->recent[s->n_recent - 9] != '_')
			continue;
		if (tdm_token_shape(s->recent, s->n_recent, s->n_recent - 9, &start, &end))
			s->damaged++;
	}
}

// The last `depth` bytes read may begin a token; everything before them may go.
static void release_before(struct tdm_restore *s, size_t depth, struct tdm_bytes *out) {
	size_t n = s->n_held - depth;
	if (!n)
		return;
	put_plain(s, s->held, n, out);
	memmove(s->held, s->held + n, depth);
	s->n_held = depth;
}

static void put_byte(struct tdm_restore *s, char c, struct tdm_bytes *out) {
	size_t length;
	uint32_t more;
	const struct tdm_automaton *a = s->tokens->automaton;
	s->held[s->n_held++] = c;
	s->state = tdm_automaton_step(a, s->state, (unsigned char)small(c));
	int id = s->state ? tdm_automaton_match(a, s->state, &length, &more) : -1;
	if (id < 0) {
		release_before(s, tdm_automaton_depth(a, s->state), out);
		return;
	}
	release_before(s, length, out);
	put_value(s, s->tokens->spellings[id], out);
	s->n_held = 0;
	s->n_recent = 0;
	s->state = 0; // tokens do not share bytes
}

void tdm_restore_put(struct tdm_restore *s, const char *text, size_t n, struct tdm_bytes *out) {
	for (size_t i = 0; i < n; i++) {
		size_t plain = s->state || s->n_held ? 0 : tdm_automaton_skip(s->tokens->automaton, text + i, n - i, true);
		if (plain)
			put_plain(s, text + i, plain, out);
		i += plain;
		if (i < n)
			put_byte(s, text[i], out);
	}
}

void tdm_restore_end(struct tdm_restore *s, struct tdm_bytes *out) {
	const char *separator = memchr(s->held, '_', s->n_held);
	if (separator && separator > s->held && separator[-1] != '\\')
		s->damaged++;
	put_plain(s, s->held, s->n_held, out);
	s->n_held = 0;
	s->state = 0;
}
