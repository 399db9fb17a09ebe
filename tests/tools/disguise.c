// Disguise: how many values are found in each class of disguise. For bench-disguise; values are drawn, and none is
// shown. A value counts as found when all of its disguise is hidden.
#include "base/random.h"
#include "base/text.h"
#include "privacy/detect/detect.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PER_KIND 100
#define ROOM 4096
#define BEFORE "please note "
#define BEHIND " for later"

static struct tdm_rng rng;

static char digit(void) {
	return (char)('0' + tdm_rng_below(&rng, 10));
}

static char letter(void) {
	return (char)('a' + tdm_rng_below(&rng, 26));
}

// --- values with a form or a check of their own

static void email(char *out) {
	int n = 0;
	for (int i = 0; i < 14; i++)
		out[n++] = (char)(i == 5 ? '@' : i == 11 ? '.' : letter());
	snprintf(out + 12, 4, "org");
}

static void card(char *out) {
	int digits[16], sum = 0, n = 0;
	for (int i = 0; i < 15; i++) {
		digits[i] = i ? digit() - '0' : 4;
		int twice = digits[i] * 2;
		sum += i % 2 ? digits[i] : twice > 9 ? twice - 9 : twice;
	}
	digits[15] = (10 - sum % 10) % 10;
	for (int i = 0; i < 16; i++) {
		if (i && i % 4 == 0)
			out[n++] = ' ';
		out[n++] = (char)('0' + digits[i]);
	}
	out[n] = 0;
}

static void iban(char *out) {
	int rest = 0;
	snprintf(out, 5, "DE00");
	for (int i = 4; i < 22; i++)
		out[i] = digit();
	out[22] = 0;
	for (const char *p = out + 4; *p; p++)
		rest = (rest * 10 + *p - '0') % 97;
	rest = (rest * 1000000L + 131400) % 97;
	out[2] = (char)('0' + (98 - rest) / 10);
	out[3] = (char)('0' + (98 - rest) % 10);
}

static void phone(char *out) {
	snprintf(out, 32, "+1 %c%c5-8%c%c-%c%c%c%c", '2' + (char)tdm_rng_below(&rng, 8), digit(), digit(), '2', digit(),
	         digit(), digit(), digit());
}

static void ssn(char *out) {
	snprintf(out, 32, "5%c%c-%c%c-%c%c%c%c", digit(), digit(), '1', digit(), '2', digit(), digit(), digit());
}

static void key(char *out) {
	snprintf(out, 5, "ghp_");
	for (int i = 4; i < 40; i++)
		out[i] = i % 3 ? letter() : i % 2 ? digit() : (char)(letter() - 32);
	out[40] = 0;
}

// --- disguises

static void put(char *out, uint32_t c) {
	size_t n = strlen(out);
	out[n + tdm_utf8_put(out + n, c)] = 0;
}

static void between(const char *value, char *out, uint32_t c) {
	for (const char *p = value; *p; p++) {
		put(out, (unsigned char)*p);
		if (p[1])
			put(out, c);
	}
}

static void as_written(const char *value, char *out) {
	snprintf(out, ROOM / 2, "%s", value);
}
static void zero_width(const char *value, char *out) {
	between(value, out, 0x200B);
}
static void tags(const char *value, char *out) {
	between(value, out, 0xE0041);
}
static void full_width(const char *value, char *out) {
	for (; *value; value++)
		put(out, *value > ' ' ? 0xFEE0u + (unsigned char)*value : ' ');
}
static void other_digits(const char *value, char *out) {
	for (; *value; value++)
		put(out, *value >= '0' && *value <= '9' ? 0x660u + (unsigned char)*value - '0' : (unsigned char)*value);
}
static void dashes(const char *value, char *out) {
	for (; *value; value++)
		put(out, *value == '-' ? 0x2011u : (unsigned char)*value);
}
static void look_alikes(const char *value, char *out) { // one letter of three, so that the word stays mixed
	static const char latin[] = "aeopcxy";
	static const uint16_t cyrillic[] = {0x430, 0x435, 0x43E, 0x440, 0x441, 0x445, 0x443};
	for (; *value; value++) {
		const char *at = strchr(latin, *value);
		put(out, at ? cyrillic[at - latin] : (unsigned char)*value);
	}
}

static void escaped(const char *value, char *out, const char *format) {
	for (size_t n = 0; *value; value++)
		n += (size_t)snprintf(out + n, ROOM / 2 - n, format, (unsigned char)*value);
}
static void percent(const char *value, char *out) {
	escaped(value, out, "%%%02X");
}
static void entities(const char *value, char *out) {
	escaped(value, out, "&#%u;");
}
static void json(const char *value, char *out) {
	escaped(value, out, "\\u%04x");
}
static void hex(const char *value, char *out) {
	escaped(value, out, "%02x");
}

static void base64(const char *value, char *out) { // of a sentence, so that it is long enough
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char text[ROOM];
	size_t n = (size_t)snprintf(text, sizeof text, "this is it: %s ...", value), m = 0;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t bits = (uint32_t)(unsigned char)text[i] << 16 |
		                (uint32_t)(i + 1 < n ? (unsigned char)text[i + 1] : 0) << 8 |
		                (i + 2 < n ? (unsigned char)text[i + 2] : 0);
		for (size_t k = 0; k < 4; k++)
			out[m++] = i + k > n ? '=' : letters[bits >> (18 - 6 * k) & 63];
	}
	out[m] = 0;
}

static void spaced(const char *value, char *out) {
	between(value, out, ' ');
}
static void dotted(const char *value, char *out) {
	between(value, out, '.');
}
static void spaced_twice(const char *value, char *out) {
	for (; *value; value++) {
		put(out, (unsigned char)*value);
		for (int i = 0; i < 2 && value[1]; i++)
			put(out, ' ');
	}
}
static void rot13(const char *value, char *out) {
	for (; *value; value++) {
		char small = (char)(*value | 32);
		bool is_letter = small >= 'a' && small <= 'z';
		put(out, is_letter ? (unsigned char)(*value + (small < 'n' ? 13 : -13)) : (unsigned char)*value);
	}
}
static void reversed(const char *value, char *out) {
	for (size_t n = strlen(value); n-- > 0;)
		put(out, (unsigned char)value[n]);
}

static void both(const char *value, char *out, void (*first)(const char *, char *),
                 void (*then)(const char *, char *)) {
	char inner[ROOM] = "";
	first(value, inner);
	then(inner, out);
}
static void base64_twice(const char *value, char *out) {
	both(value, out, base64, base64);
}
static void percent_of_base64(const char *value, char *out) {
	both(value, out, base64, percent);
}
static void base64_of_percent(const char *value, char *out) {
	both(value, out, percent, base64);
}
static void percent_twice(const char *value, char *out) {
	both(value, out, percent, percent);
}

// --- counting

static bool all_hidden(const struct tdm_finds *finds, const char *text, size_t start, size_t end) {
	for (size_t i = start, f = 0; i < end; i++) {
		while (f < finds->n && finds->items[f].end <= i)
			f++;
		bool hidden = f < finds->n && finds->items[f].start <= i;
		bool counts = (unsigned char)text[i] >= 0x80 || strchr("=-+. ", text[i]) == NULL;
		if (counts && !hidden)
			return false;
	}
	return true;
}

// The disguised value in a sentence; cut: in two turns of the user, in the middle.
static bool is_found(const struct tdm_detector *detector, const char *shown, bool cut) {
	static char text[2][2 * ROOM];
	struct tdm_arena arena;
	struct tdm_finds finds[2] = {{0}, {0}};
	struct tdm_dictionary protect = {0};
	struct tdm_error error = {0};
	size_t n = strlen(shown), half = cut ? n / 2 : n, from = strlen(BEFORE);
	snprintf(text[0], sizeof text[0], BEFORE "%.*s%s", (int)half, shown, cut ? "" : BEHIND);
	snprintf(text[1], sizeof text[1], "%s" BEHIND, shown + half);
	struct tdm_text texts[2] = {{.text = text[0], .n = strlen(text[0]), .strand = 1},
	                            {.text = text[1], .n = strlen(text[1]), .strand = 1}};
	tdm_arena_init(&arena, (size_t)1 << 28);
	if (tdm_detect(detector, &arena, texts, cut ? 2 : 1, 2, finds, &protect, &error) != TDM_OK) {
		fprintf(stderr, "disguise: %s\n", error.text);
		exit(1);
	}
	bool found =
	    all_hidden(&finds[0], text[0], from, from + half) && (!cut || all_hidden(&finds[1], text[1], 0, n - half));
	tdm_arena_release(&arena);
	return found;
}

static const struct {
	const char *name;
	void (*make)(const char *value, char *out);
	bool cut;
} classes[] = {
    {"as written", as_written, false},
    {"zero-width characters", zero_width, false},
    {"tag characters", tags, false},
    {"full-width characters", full_width, false},
    {"digits of another script", other_digits, false},
    {"typographic dashes", dashes, false},
    {"letters that look alike", look_alikes, false},
    {"percent signs", percent, false},
    {"entities of HTML", entities, false},
    {"escapes of JSON", json, false},
    {"base 64", base64, false},
    {"set apart by blanks", spaced, false},
    {"set apart by points", dotted, false},
    {"cut in two turns", as_written, true},
    {"base 64 twice", base64_twice, false},
    {"percent signs twice", percent_twice, false},
    {"percent signs over base 64", percent_of_base64, false},
    {"base 64 of percent signs", base64_of_percent, false},
    {"hexadecimal", hex, false},
    {"set apart by two blanks", spaced_twice, false},
    {"rot13", rot13, false},
    {"backwards", reversed, false},
};
static void (*const kinds[])(char *out) = {email, card, iban, phone, ssn, key};
static const char *const names[] = {"e-mail", "card", "IBAN", "telephone", "SSN", "key"};
#define N_KINDS (sizeof kinds / sizeof *kinds)

int main(void) {
	struct tdm_detector detector;
	struct tdm_arena arena;
	struct tdm_error error = {0};
	tdm_arena_init(&arena, (size_t)1 << 24);
	if (tdm_detector_open(&detector, &arena, "disguise", &(struct tdm_detector_lists){0}, &error) != TDM_OK) {
		fprintf(stderr, "disguise: %s\n", error.text);
		return 1;
	}
	printf("| disguise |");
	for (size_t k = 0; k < N_KINDS; k++)
		printf(" %s |", names[k]);
	printf("\n| --- | --: | --: | --: | --: | --: | --: |\n");
	for (size_t c = 0; c < sizeof classes / sizeof *classes; c++) {
		printf("| %s |", classes[c].name);
		for (size_t k = 0; k < N_KINDS; k++) {
			int found = 0, n = 0;
			tdm_rng_stream(&rng, 1, names[k], 0);
			for (int i = 0; i < PER_KIND; i++) {
				char value[64] = "", shown[2 * ROOM] = "";
				kinds[k](value);
				classes[c].make(value, shown);
				bool same = c && !classes[c].cut && strcmp(value, shown) == 0;
				n += !same;
				found += !same && is_found(&detector, shown, classes[c].cut);
			}
			if (n)
				printf(" %d %% |", found * 100 / n);
			else
				printf(" |");
		}
		printf("\n");
	}
	tdm_detector_close(&detector);
	tdm_arena_release(&arena);
	return 0;
}
