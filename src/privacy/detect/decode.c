// Decode: see decode.h. Three passes, each linear: escapes and look-alikes (a copy of the whole text), base 64, letters
// set apart. A new encoding is a case in read_escape() or a pass of its own.
#include "privacy/detect/decode.h"
#include "base/text.h"
#include <stdbool.h>
#include <string.h>

#define SHORTEST_BASE64 24
#define SHORTEST_APART 5 // letters or digits with spaces between them

struct decoder {
	const char *text;
	size_t n;
	struct tdm_bytes *out, *at;
};

// Says where the last n bytes came from: all from one place (step 0), or one behind the other.
static void put_origins(struct decoder *d, size_t n, size_t origin, uint32_t step) {
	char *room = d->at ? tdm_bytes_room(d->at, n * sizeof(uint32_t)) : NULL;
	for (uint32_t i = 0; room && i < n; i++) {
		uint32_t from = (uint32_t)origin + i * step;
		memcpy(room + i * sizeof from, &from, sizeof from);
	}
	if (room)
		tdm_bytes_took(d->at, n * sizeof(uint32_t));
}

static void put(struct decoder *d, const char *bytes, size_t n, size_t origin) {
	tdm_bytes_add(d->out, bytes, n);
	put_origins(d, n, origin, 0);
}

static void take_back(struct decoder *d, size_t len, size_t at_len) {
	d->out->len = len;
	if (d->at)
		d->at->len = at_len;
}

// As it stands.
static size_t put_run(struct decoder *d, size_t at, size_t n) {
	tdm_bytes_add(d->out, d->text + at, n);
	put_origins(d, n, at, 1);
	return n;
}

static bool alnum(char c) {
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex(char c) {
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	                              : -1;
}

// --- escapes

// `digits` hexadecimal digits at s; -1 when they are not there. text ends with a NUL.
static long read_hex(const char *s, int digits) {
	long value = 0;
	for (int i = 0; i < digits; i++) {
		if (hex(s[i]) < 0)
			return -1;
		value = value * 16 + hex(s[i]);
	}
	return value;
}

// "#64;", "#x40;" or a name. Returns the bytes after the '&', 0 when it is none.
static size_t read_entity(const char *s, uint32_t *c) {
	static const struct {
		const char *name;
		char c;
	} names[] = {{"amp;", '&'},   {"lt;", '<'},     {"gt;", '>'},     {"quot;", '"'}, {"apos;", '\''},
	             {"nbsp;", ' '},  {"commat;", '@'}, {"period;", '.'}, {"dash;", '-'}, {"hyphen;", '-'},
	             {"colon;", ':'}, {"sol;", '/'},    {"lowbar;", '_'}, {"plus;", '+'}, {"num;", '#'}};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strncmp(s, names[i].name, strlen(names[i].name)) == 0) {
			*c = (unsigned char)names[i].c;
			return strlen(names[i].name);
		}
	if (s[0] != '#')
		return 0;
	bool sixteen = s[1] == 'x' || s[1] == 'X';
	size_t i = sixteen ? 2 : 1, first = i;
	uint32_t value = 0;
	for (; i < first + 7 && hex(s[i]) >= 0 && (sixteen || hex(s[i]) < 10); i++)
		value = value * (sixteen ? 16 : 10) + (uint32_t)hex(s[i]);
	*c = value;
	return i > first && s[i] == ';' && value && value < 0x110000 ? i + 1 : 0;
}

#define MOST_SLASHES 8 // JSON in JSON doubles them

// The escape at s: its bytes, 0 when there is none; *c is what it stands for, *raw whether that is a byte, no
// character.
static size_t read_escape(const char *s, uint32_t *c, bool *raw) {
	long value = -1;
	size_t n = 0, slashes = 0;
	while (slashes < MOST_SLASHES && s[slashes] == '\\')
		slashes++;
	*raw = false;
	if (s[0] == '%' && (value = read_hex(s + 1, 2)) > 0) {
		*raw = true;
		n = 3;
	} else if (slashes && s[slashes] == 'u' && (value = read_hex(s + slashes + 1, 4)) > 0) {
		n = slashes + 5;
	} else if (slashes && s[slashes] == 'x' && (value = read_hex(s + slashes + 1, 2)) > 0) {
		*raw = true;
		n = slashes + 3;
	} else if (s[0] == '&') {
		n = read_entity(s + 1, c);
		return n ? n + 1 : 0;
	}
	*c = (uint32_t)value;
	return n;
}

// --- letters that look like others: Greek and Cyrillic ones among Latin ones

static char look_alike(uint32_t c) {
	static const uint16_t alike[][2] = {
	    {0x430, 'a'}, {0x435, 'e'}, {0x43E, 'o'}, {0x440, 'p'}, {0x441, 'c'}, {0x443, 'y'}, {0x445, 'x'}, {0x456, 'i'},
	    {0x458, 'j'}, {0x455, 's'}, {0x501, 'd'}, {0x4BB, 'h'}, {0x51B, 'q'}, {0x51D, 'w'}, {0x475, 'v'}, {0x410, 'A'},
	    {0x412, 'B'}, {0x415, 'E'}, {0x41A, 'K'}, {0x41C, 'M'}, {0x41D, 'H'}, {0x41E, 'O'}, {0x420, 'P'}, {0x421, 'C'},
	    {0x422, 'T'}, {0x423, 'Y'}, {0x425, 'X'}, {0x406, 'I'}, {0x408, 'J'}, {0x405, 'S'}, {0x3BF, 'o'}, {0x3B1, 'a'},
	    {0x3BD, 'v'}, {0x3C1, 'p'}, {0x3B9, 'i'}, {0x3BA, 'k'}, {0x3C5, 'u'}, {0x391, 'A'}, {0x392, 'B'}, {0x395, 'E'},
	    {0x396, 'Z'}, {0x397, 'H'}, {0x399, 'I'}, {0x39A, 'K'}, {0x39C, 'M'}, {0x39D, 'N'}, {0x39F, 'O'}, {0x3A1, 'P'},
	    {0x3A4, 'T'}, {0x3A5, 'Y'}, {0x3A7, 'X'}, {0x131, 'i'}, {0x251, 'a'}, {0x261, 'g'}, {0x3F2, 'c'}, {0x4CF, 'l'}};
	for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
		if (alike[i][0] == c)
			return (char)alike[i][1];
	return 0;
}

// Whether the word at `at` holds letters or digits of ASCII and letters that look like them; *end: where it ends.
static bool mixed_word(const struct decoder *d, size_t at, size_t *end) {
	bool ascii = false, alike = false;
	uint32_t c;
	while (at < d->n && (unsigned char)d->text[at] > ' ') {
		if ((unsigned char)d->text[at] < 0x80) {
			ascii = ascii || alnum(d->text[at]);
			at++;
			continue;
		}
		size_t step = tdm_utf8_next(d->text + at, d->n - at, &c);
		alike = alike || look_alike(c);
		at += step;
	}
	*end = at;
	return ascii && alike;
}

// One character as it is, or as what it looks like. Returns its bytes.
static size_t put_character(struct decoder *d, size_t at, bool *any) {
	uint32_t c;
	size_t step = tdm_utf8_next(d->text + at, d->n - at, &c);
	char plain = c >= 0x80 ? look_alike(c) : 0;
	*any = *any || plain;
	if (plain)
		put(d, &plain, 1, at);
	else
		put_run(d, at, step);
	return step;
}

static size_t without_escape(const char *s) {
	size_t n = strcspn(s, "%&\\");
	return n ? n : 1;
}

static bool any_escape(const struct decoder *d) {
	uint32_t c;
	bool raw;
	for (size_t i = 0; i < d->n; i += without_escape(d->text + i))
		if (read_escape(d->text + i, &c, &raw))
			return true;
	return false;
}

// Where the text goes on as it stands: up to an escape or, where words may hold look-alikes, to the end of this one.
struct plain {
	size_t escape, word;
	bool fold; // this word
};

static size_t put_plain(struct decoder *d, size_t i, bool ascii, struct plain *p, bool *any) {
	if (p->fold)
		return put_character(d, i, any);
	p->escape = i < p->escape ? p->escape : i + without_escape(d->text + i);
	return put_run(d, i, (ascii || p->escape < p->word ? p->escape : p->word) - i);
}

static void put_escape(struct decoder *d, size_t i, uint32_t c, bool raw) {
	char bytes[4] = {(char)c};
	put(d, bytes, raw ? 1 : tdm_utf8_put(bytes, c), i);
}

// The whole text without its escapes; nothing when it has none.
static void undo_escapes(struct decoder *d) {
	size_t before = d->out->len, before_at = d->at ? d->at->len : 0;
	struct plain p = {0};
	bool any = false, raw, ascii = tdm_utf8_is_ascii(d->text, d->n);
	if (ascii && !any_escape(d))
		return;
	for (size_t i = 0, step; i < d->n; i += step) {
		uint32_t c = 0;
		step = read_escape(d->text + i, &c, &raw);
		if (!ascii && i >= p.word)
			p.fold = mixed_word(d, i, &p.word);
		if (i == p.word)
			p.word++;
		any = any || step;
		if (step)
			put_escape(d, i, c, raw);
		else
			step = put_plain(d, i, ascii, &p, &any);
	}
	if (any)
		put(d, "\n", 1, d->n);
	else
		take_back(d, before, before_at);
}

// --- base 64

static bool is_base64(char c) { // every value of base64_value() but -1
	static const uint64_t which[4] = {UINT64_C(0x03ffa80000000000), UINT64_C(0x07fffffe87fffffe)};
	unsigned char at = (unsigned char)c;
	return which[at / 64] >> at % 64 & 1;
}

static int base64_value(char c) {
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

// Whether what was decoded from out[from] on can be read.
static bool readable(const struct decoder *d, size_t from) {
	const char *s = d->out->data + from;
	size_t n = d->out->failed ? 0 : d->out->len - from;
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && !memchr("\t\r\n", s[i], 3)) || s[i] == 0x7f)
			return false;
	return n > 0 && tdm_utf8_valid(s, n - tdm_utf8_partial(s, n));
}

#define BEGINNING 64 // characters of a run that show whether it is worth decoding

// The run text[start..end) when it decodes to characters that can be read.
static void put_base64(struct decoder *d, size_t start, size_t end) {
	size_t before = d->out->len, before_at = d->at ? d->at->len : 0;
	uint32_t bits = 0;
	for (size_t i = start; i < end; i++) {
		size_t k = (i - start) % 4;
		bits = bits << 6 | (uint32_t)base64_value(d->text[i]);
		if (k == 3 || i + 1 == end) {
			uint32_t whole = bits << 6 * (3 - k);
			char bytes[3] = {(char)(whole >> 16), (char)(whole >> 8), (char)whole};
			put(d, bytes, k, start);
		}
		if (i - start == BEGINNING - 1 && !readable(d, before)) {
			take_back(d, before, before_at);
			return;
		}
	}
	if (readable(d, before))
		put(d, "\n", 1, end);
	else
		take_back(d, before, before_at);
}

// A run of 24 holds one of every 24 places.
static void undo_base64(struct decoder *d) {
	for (size_t i = SHORTEST_BASE64 - 1, next; i < d->n; i = next) {
		size_t start = i, end = i;
		next = i + SHORTEST_BASE64;
		if (!is_base64(d->text[i]))
			continue;
		while (start > 0 && is_base64(d->text[start - 1]))
			start--;
		while (end < d->n && is_base64(d->text[end]))
			end++;
		if (end - start >= SHORTEST_BASE64)
			put_base64(d, start, end);
		next = end + SHORTEST_BASE64; // the next run begins behind this one
	}
}

// --- letters set apart

static bool apart(const char *t, size_t i, char separator) {
	return (unsigned char)t[i] > ' ' && t[i] != separator && t[i + 1] == separator;
}

// Between two words that are set apart: the separator three times.
static bool gap(const struct decoder *d, size_t i, char separator) {
	return d->text[i] == separator && d->text[i + 1] == separator && i + 3 < d->n && apart(d->text, i + 2, separator);
}

// "j o h n": single characters, each with the same separator behind it, to the last one. Returns where they end.
static size_t put_apart(struct decoder *d, size_t start) {
	size_t i = start, n = 0, before = d->out->len, before_at = d->at ? d->at->len : 0;
	char separator = d->text[start + 1];
	for (; i + 1 < d->n && (apart(d->text, i, separator) || gap(d, i, separator)); i += 2) {
		n += d->text[i] != separator;
		put(d, d->text[i] == separator ? " " : d->text + i, 1, i);
	}
	bool last = i < d->n && (unsigned char)d->text[i] > ' ' && !alnum(d->text[i + 1]); // has nothing behind it
	if (n + last < SHORTEST_APART) {
		take_back(d, before, before_at);
		return i > start ? i : start + 1;
	}
	if (last)
		put(d, d->text + i, 1, i);
	put(d, "\n", 1, last ? i + 1 : i - 1);
	return i + last;
}

// Letters set apart have the same separator behind two of them: whether that may be so where text[i..i + 8) stand.
// Letters of the lower case are no separators; what is told may be too much, never too little.
static bool may_be_apart(const char *t, size_t i) {
	uint64_t behind, next;
	memcpy(&behind, t + i + 1, sizeof behind);
	memcpy(&next, t + i + 3, sizeof next);
	uint64_t differ = behind ^ next,
	         others = ((differ & TDM_EACH(0x7f)) + TDM_EACH(0x7f)) | differ | (behind << 1 & behind << 2);
	return ~others & TDM_EACH(0x80);
}

static void join_letters(struct decoder *d) {
	for (size_t i = 0; i + 2 * SHORTEST_APART - 2 < d->n;) {
		if (i + 11 <= d->n && !may_be_apart(d->text, i)) {
			i += 8;
			continue;
		}
		char s = d->text[i + 1];
		bool here = (s == ' ' || s == '-' || s == '.' || s == '_') && d->text[i + 3] == s &&
		            (alnum(d->text[i]) || d->text[i] == '+') && (i == 0 || !alnum(d->text[i - 1]));
		i = here ? put_apart(d, i) : i + 1;
	}
}

int tdm_decode(const char *text, size_t n, struct tdm_bytes *out, struct tdm_bytes *at, struct tdm_error *err) {
	struct decoder d = {text, n, out, at};
	uint32_t end = (uint32_t)n;
	undo_escapes(&d);
	undo_base64(&d);
	join_letters(&d);
	if (at)
		tdm_bytes_add(at, &end, sizeof end);
	if (out->failed || (at && at->failed))
		return tdm_fail(err, TDM_ENOMEM, "text of %zu bytes: no memory to undo its encodings; nothing was sent", n);
	if (out->len > 2 * n + 256)
		return tdm_fail(err, TDM_ETOOLARGE, "text: its views are more than 4 times its size; nothing was sent");
	return TDM_OK;
}
