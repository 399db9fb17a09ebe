// Links: see links.h. One character at a time, so that no cut of the stream changes what is seen.
#include "privacy/mask/links.h"
#include <stdlib.h>
#include <string.h>

// --- the addresses of a request

static void learn(struct tdm_links *links, uint64_t fingerprint) {
	if (links->n == links->cap) {
		size_t cap = links->cap ? 2 * links->cap : 16;
		uint64_t *more = tdm_arena_array(links->arena, cap, sizeof *more);
		if (!more) {
			links->failed = true;
			return;
		}
		if (links->n)
			memcpy(more, links->known, links->n * sizeof *more);
		links->known = more;
		links->cap = cap;
	}
	links->known[links->n++] = fingerprint;
}

static int by_value(const void *a, const void *b) {
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

void tdm_links_sort(struct tdm_links *links) {
	if (links->n)
		qsort(links->known, links->n, sizeof *links->known, by_value);
}

static bool is_known(const struct tdm_links *links, uint64_t fingerprint) {
	return links->n && bsearch(&fingerprint, links->known, links->n, sizeof fingerprint, by_value);
}

static bool is_listed(const struct tdm_strings *origins, const char *address) {
	for (size_t i = 0; origins && i < origins->n; i++) {
		size_t n = strlen(origins->items[i]);
		if (!strcmp(origins->items[i], "*") ||
		    (!strncmp(address, origins->items[i], n) && address[n] && strchr("/?#", address[n])))
			return true;
	}
	return false;
}

int tdm_links_check(const struct tdm_strings *origins, const char *where, struct tdm_error *err) {
	for (size_t i = 0; i < origins->n; i++) {
		const char *o = origins->items[i], *host = !strncmp(o, "https://", 8)  ? o + 8
		                                           : !strncmp(o, "http://", 7) ? o + 7
		                                                                       : NULL;
		size_t n = host ? strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]") : 0;
		if (strcmp(o, "*") != 0 && (!n || host[n] || strlen(o) + 2 > TDM_ORIGIN_BYTES))
			return tdm_fail(err, TDM_ECONFIG, "%s: links: \"%s\": expected \"https://host\" in small letters, or \"*\"",
			                where, o);
	}
	return TDM_OK;
}

// --- the stream

static bool is_blank(char c) {
	return (unsigned char)c <= ' ';
}

static bool is_slash(char c) {
	return c == '/' || c == '\\';
}

// The fingerprint is the value of a polynomial, whose coefficients are the characters, at the secret modulo 2^61 - 1.
static void add(struct tdm_link *l, const char *text, size_t n) {
	const uint64_t prime = (UINT64_C(1) << 61) - 1;
	for (size_t i = 0; i < n; i++) {
		__extension__ unsigned __int128 x = l->fingerprint;
		x = x * l->links->secret + (unsigned char)text[i] + 1;
		l->fingerprint = (uint64_t)(x % prime);
		if (l->n_origin + 1 < sizeof l->origin)
			l->origin[l->n_origin++] = text[i];
	}
	l->origin[l->n_origin] = 0;
}

static void begin(struct tdm_link *l, const char *head) {
	l->inside = true;
	l->fingerprint = 0;
	l->n_origin = 0;
	l->closer = l->in_json && !l->holder && l->before == '"' ? '"' : l->holder;
	add(l, l->word, head[0] == ':' ? l->n_word : 0);
	add(l, head, strlen(head));
}

static void finish(struct tdm_link *l) {
	l->inside = l->has_colon = false;
	l->n_word = 0;
	l->n_slashes = 0;
}

static bool is_word(const struct tdm_link *l, const char *word) {
	return strlen(word) == l->n_word && !memcmp(l->word, word, l->n_word);
}

static bool is_any_word(const struct tdm_link *l, const char *const *words, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (is_word(l, words[i]))
			return true;
	return false;
}

// Of words longer than any that is looked for only that they are long.
static bool put_word(struct tdm_link *l, char c) {
	char low = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	if ((low < 'a' || low > 'z') && low != '.')
		return false;
	if (l->n_slashes || l->has_colon)
		finish(l);
	if (!l->n_word)
		l->before = l->last;
	if (l->n_word < sizeof l->word)
		l->word[l->n_word++] = low;
	if (low == '.' && is_word(l, "www."))
		begin(l, "www.");
	return true;
}

static void put_slash(struct tdm_link *l) {
	l->before = l->n_slashes || l->n_word ? l->before : l->last;
	bool is_held = l->holder || (!is_blank(l->before) && strchr("(<\"'=", l->before));
	bool is_drive = l->has_colon && l->n_word == 1 && !memchr("+-0123456789", l->before, 12); // of Windows
	if (++l->n_slashes >= 2 && ((l->solid == ':' && !is_drive) || (is_held && !l->n_word)))
		begin(l, l->has_colon ? "://" : "//");
	// else it may be Markdown's escape of the next one: a word before it stays
}

// A scheme without slashes, or what encodes a character. NULL: neither.
static const char *head_of(const struct tdm_link *l, char c) {
	static const char *const schemes[] = {"http", "https", "ws", "wss", "ftp"};
	static const char *const entities[] = {"colon", "sol", "bsol"};
	if (c == ':' && is_any_word(l, schemes, 5))
		return ":";
	return (c == '#' && l->last == '&') || (c == ';' && l->before == '&' && is_any_word(l, entities, 3)) ? "&" : NULL;
}

static void put_holder(struct tdm_link *l, char c) {
	if ((c == '"' || c == '\'') && l->solid == '=')
		l->holder = c;
	else if (c == l->holder)
		l->holder = 0;
	else if (!l->holder && c == '<' && (l->solid == '(' || l->solid == ':'))
		l->holder = '>';
}

static void put_mark(struct tdm_link *l, char c) {
	const char *head = head_of(l, c);
	if (head)
		begin(l, head);
	put_holder(l, c);
	l->has_colon = c == ':' && l->n_word > 0; // "other://"
	if (!l->has_colon)
		l->n_word = 0;
	l->n_slashes = 0;
}

static void step(struct tdm_link *l, char c) {
	if (l->holder && strchr("\t\n\r", c)) // a page drops them from addresses
		return;
	if (l->inside && (l->closer ? c != l->closer : !is_blank(c))) {
		add(l, &c, 1);
		return;
	}
	if (l->inside)
		finish(l);
	if (is_slash(c))
		put_slash(l);
	else if (!put_word(l, c))
		put_mark(l, c);
	l->last = c;
	if (!is_blank(c) && !is_slash(c))
		l->solid = c;
}

// Inside JSON: the mark that begins or ends a string, and what an escape stands for.
static void step_json(struct tdm_link *l, char c) {
	static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
	if (!l->n_escape && c == '"') {
		finish(l);
		l->last = l->solid = c;
		l->holder = 0;
		return;
	}
	if (!l->n_escape && c != '\\') {
		step(l, c);
		return;
	}
	l->escape[l->n_escape++] = c;
	if (l->n_escape < 2 || (l->escape[1] == 'u' && l->n_escape < 6))
		return;
	l->n_escape = 0;
	const char *short_form = strchr(from, c);
	if (l->escape[1] != 'u')
		step(l, short_form && c ? to[short_form - from] : c);
	else {
		char digits[5] = {l->escape[2], l->escape[3], l->escape[4], l->escape[5]};
		long code = strtol(digits, NULL, 16);
		step(l, code < 128 ? (char)code : (char)0x80);
	}
}

void tdm_link_put(struct tdm_link *l, const char *text, size_t n) {
	for (size_t i = 0; i < n; i++)
		(l->in_json ? step_json : step)(l, text[i]);
}

bool tdm_link_token(struct tdm_link *l, const struct tdm_spelling *value) {
	l->n_escape = 0;
	if (!l->inside) {
		for (size_t i = 0; i < value->n; i++) // it may be a link itself
			step(l, value->text[i]);
		return true;
	}
	add(l, value->token, value->n_token);
	if (l->learns)
		learn(l->learns, l->fingerprint);
	return l->learns || is_listed(l->links->origins, l->origin) || is_known(l->links, l->fingerprint);
}
