// View: see view.h. The rule it protects: every byte of a view leads back to the original bytes that must be masked.
// A new trick to hide values (another class of invisible characters, look-alike letters) is added to
// tdm_plain_character, which both the masker and the egress monitor use.
#include "base/view.h"
#include "base/text.h"
#include <string.h>

// First digits of the scripts that have their own; ten follow each other in every block.
static const uint32_t digit_zeros[] = {0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66,
                                       0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x0ED0, 0x0F20, 0x1040,
                                       0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1B50, 0xA620, 0xA8D0};

static bool invisible(uint32_t c) {
	return c == 0xAD || c == 0x180E || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
	       (c >= 0x2060 && c <= 0x2064) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF ||
	       (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0xE0000 && c <= 0xE007F);
}

static bool combining(uint32_t c) {
	return (c >= 0x300 && c <= 0x36F) || (c >= 0x1AB0 && c <= 0x1AFF) || (c >= 0x20D0 && c <= 0x20FF) ||
	       (c >= 0xFE20 && c <= 0xFE2F) || c == 0x3099 || c == 0x309A;
}

uint32_t tdm_plain_character(uint32_t c) {
	if (c < 0xA0)
		return c;
	if (invisible(c))
		return 0;
	if ((c >= 0x2010 && c <= 0x2015) || c == 0x2212)
		return '-';
	for (size_t i = 0; i < sizeof digit_zeros / sizeof *digit_zeros; i++)
		if (c - digit_zeros[i] < 10)
			return '0' + (c - digit_zeros[i]);
	return c;
}

bool tdm_separator(char c) {
	return c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')' || c == '+';
}

struct maker {
	const char *text;
	size_t n;
	bool fold;
	struct tdm_bytes out, at, part; // at: uint32_t items; part: one character before normalisation
};

static void append(struct maker *m, const char *bytes, size_t n, size_t origin) {
	uint32_t at = (uint32_t)origin;
	tdm_bytes_add(&m->out, bytes, n);
	for (size_t i = 0; i < n; i++)
		tdm_bytes_add(&m->at, &at, sizeof at);
}

// One character with the marks that combine with it, so that "e" + accent and the single letter give the same bytes.
static size_t take_cluster(struct maker *m, size_t i) {
	size_t start = i;
	uint32_t c;
	tdm_bytes_clear(&m->part);
	do {
		size_t step = tdm_utf8_next(m->text + i, m->n - i, &c);
		uint32_t plain = tdm_plain_character(c);
		char put[4];
		if (plain)
			tdm_bytes_add(&m->part, put, tdm_utf8_put(put, plain));
		i += step;
		if (i < m->n)
			tdm_utf8_next(m->text + i, m->n - i, &c);
	} while (i < m->n && combining(c));
	struct tdm_bytes normal;
	tdm_bytes_init(&normal, 4096);
	if (tdm_nfkc(&normal, m->part.data ? m->part.data : "", m->part.len, m->fold) == TDM_OK)
		append(m, normal.data, normal.len, start);
	else
		append(m, m->part.data, m->part.len, start);
	tdm_bytes_release(&normal);
	return i;
}

// Where the ASCII that begins at text[i] ends, less a last character with which a mark may combine.
static size_t ascii_end(const struct maker *m, size_t i) {
	size_t end = i;
	while (end < m->n && (unsigned char)m->text[end] < 0x80)
		end++;
	return end > i && end < m->n ? end - 1 : end;
}

static size_t take_ascii(struct maker *m, size_t i, size_t end) {
	size_t n = end - i, from = m->out.len;
	char *at = tdm_bytes_room(&m->at, n * sizeof(uint32_t));
	tdm_bytes_add(&m->out, m->text + i, n);
	if (!at || m->out.failed)
		return end;
	if (m->fold)
		tdm_lower_ascii(m->out.data + from, n);
	for (uint32_t k = 0; k < n; k++) {
		uint32_t origin = (uint32_t)i + k;
		memcpy(at + k * sizeof origin, &origin, sizeof origin);
	}
	tdm_bytes_took(&m->at, n * sizeof(uint32_t));
	return end;
}

static int make_slow(struct tdm_arena *arena, struct maker *m, struct tdm_view *out, struct tdm_error *err) {
	size_t limit = m->n * TDM_VIEW_GROWTH + 64;
	tdm_bytes_init(&m->out, limit);
	tdm_bytes_init(&m->at, (limit + 1) * sizeof(uint32_t));
	tdm_bytes_init(&m->part, 1 << 16);
	for (size_t i = 0; i < m->n;) {
		size_t end = ascii_end(m, i);
		i = end > i ? take_ascii(m, i, end) : take_cluster(m, i);
	}
	uint32_t end = (uint32_t)m->n;
	tdm_bytes_add(&m->at, &end, sizeof end);
	int status = TDM_OK;
	out->n = m->out.len;
	out->text = tdm_arena_copy(arena, m->out.data ? m->out.data : "", m->out.len);
	out->at = (const uint32_t *)tdm_arena_copy(arena, m->at.data ? m->at.data : "", m->at.len);
	if (m->out.failed || m->at.failed || m->part.failed)
		status = tdm_fail(err, TDM_ETOOLARGE, "text: its normal form is more than %d times its size", TDM_VIEW_GROWTH);
	else if (!out->text || !out->at)
		status = tdm_fail(err, TDM_ENOMEM, "text of %zu bytes: no memory for its normal form", m->n);
	tdm_bytes_release(&m->out);
	tdm_bytes_release(&m->at);
	tdm_bytes_release(&m->part);
	return status;
}

int tdm_view_make(struct tdm_arena *arena, const char *text, size_t n, bool fold, struct tdm_view *out,
                  struct tdm_error *err) {
	*out = (struct tdm_view){0};
	if (n > (1u << 30))
		return tdm_fail(err, TDM_ETOOLARGE, "text of %zu bytes: at most 1 GiB can be searched", n);
	if (!tdm_utf8_is_ascii(text, n)) {
		struct maker m = {.text = text, .n = n, .fold = fold};
		return make_slow(arena, &m, out, err);
	}
	out->n = n;
	out->text = tdm_arena_copy(arena, text, n);
	if (!out->text)
		return tdm_fail(err, TDM_ENOMEM, "text of %zu bytes: no memory to search it", n);
	if (fold)
		tdm_lower_ascii(out->text, n);
	return TDM_OK;
}

size_t tdm_view_origin(const struct tdm_view *view, size_t at) {
	return view->at ? view->at[at] : at;
}

size_t tdm_view_find(const struct tdm_view *view, size_t origin) {
	if (!view->at)
		return origin < view->n ? origin : view->n;
	size_t low = 0, high = view->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (view->at[middle] < origin)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void tdm_view_blank(struct tdm_view *view, size_t start, size_t end) {
	size_t from = tdm_view_find(view, start), to = tdm_view_find(view, end);
	memset(view->text + from, TDM_VIEW_BLANK, to - from);
}

static bool digit(unsigned char c) {
	return c >= '0' && c <= '9';
}

// Letters of scripts that put spaces between words; others (from U+2E80 on) count as separate words each.
static bool word_character(uint32_t c) {
	if (c < 0x80)
		return digit((unsigned char)c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
	return c >= 0xC0 && c < 0x2E80 && !(c >= 0x2000 && c <= 0x2BFF);
}

static bool continues(uint32_t edge, uint32_t beside) {
	if (edge < 0x80 && digit((unsigned char)edge)) // "EUR4111..." is a number of its own, "94111..." is another number
		return beside < 0x80 && digit((unsigned char)beside);
	return word_character(edge) && word_character(beside);
}

bool tdm_whole_word(const char *text, size_t n, size_t start, size_t end) {
	uint32_t edge, beside;
	size_t before = start, last = end;
	if (start > 0) {
		do
			before--;
		while (before > 0 && ((unsigned char)text[before] & 0xC0) == 0x80);
		tdm_utf8_next(text + before, start - before, &beside);
		tdm_utf8_next(text + start, end - start, &edge);
		if (continues(edge, beside))
			return false;
	}
	if (end >= n)
		return true;
	do
		last--;
	while (last > start && ((unsigned char)text[last] & 0xC0) == 0x80);
	tdm_utf8_next(text + last, end - last, &edge);
	tdm_utf8_next(text + end, n - end, &beside);
	return !continues(edge, beside);
}
