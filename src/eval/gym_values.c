// Private values for gym texts: right in form and check digits, so that a detector that validates finds them, and made
// up, so that no text holds a real one (example domains, documentation networks, invented numbers).
//
// Typed tokens: LABEL_ + 7 characters of Crockford base32 + a check character over GF(32) with x^5 + x^2 + 1, generator
// 2. The generator of masks computes the same sum; the vectors in the tests keep the two equal.
#include "eval/gym_values.h"
#include <ctype.h>
#include <string.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static const char *const labels[] = {"EMAIL", "PHONE", "CARD", "IBAN", "SSN", "IP"};

const char *tdm_gym_value_label(enum tdm_gym_value type) {
	return type < TDM_GYM_N_VALUES ? labels[type] : "";
}

static char digit(struct tdm_gym_draw *draw) {
	return (char)('0' + tdm_rng_below(&draw->rng, 10));
}

const char *tdm_gym_email(struct tdm_gym_draw *draw, const char *first, const char *last) {
	static const char *const domains[] = {"example.com", "example.org", "example.net", "mail.example.com",
	                                      "office.example.org"};
	const char *domain = TDM_GYM_PICK(draw, domains);
	char f[32] = "", l[32] = "";
	for (size_t i = 0; i < sizeof f - 1 && first[i]; i++)
		f[i] = (char)tolower((unsigned char)first[i]);
	for (size_t i = 0; i < sizeof l - 1 && last[i]; i++)
		l[i] = (char)tolower((unsigned char)last[i]);
	switch (tdm_rng_below(&draw->rng, 5)) {
	case 0:
		return tdm_gym_text(draw, "%s@%s", f, domain);
	case 1:
		return tdm_gym_text(draw, "%s_%s@%s", f, l, domain);
	case 2:
		return tdm_gym_text(draw, "%s%d@%s", f, tdm_gym_range(draw, 1, 99), domain);
	case 3:
		return tdm_gym_text(draw, "%c.%s@%s", f[0], l, domain);
	default:
		return tdm_gym_text(draw, "%s.%s@%s", f, l, domain);
	}
}

// Fills a pattern: N = 2-9, X = 0-9, everything else stands for itself.
static const char *pattern(struct tdm_gym_draw *draw, const char *form) {
	char out[64];
	size_t n = 0;
	for (; form[n] && n < sizeof out - 1; n++)
		out[n] = form[n] == 'N' ? (char)('2' + tdm_rng_below(&draw->rng, 8)) : form[n] == 'X' ? digit(draw) : form[n];
	out[n] = 0;
	return tdm_gym_text(draw, "%s", out);
}

static int area(struct tdm_gym_draw *draw) // NXX but not N11
{
	int code;
	do
		code = tdm_gym_range(draw, 200, 999);
	while (code % 100 == 11);
	return code;
}

const char *tdm_gym_phone(struct tdm_gym_draw *draw) {
	static const char *const abroad[] = {"+44 20 NXXX XXXX", "+49 30 NXXXXXX",   "+33 1 NX XX XX XX",
	                                     "+31 20 NXX XXXX",  "+34 91 NXX XX XX", "+47 22 NX XX XX"};
	int form = tdm_gym_range(draw, 0, 9), a = area(draw), b = area(draw), c = tdm_gym_range(draw, 0, 9999);
	if (form < 5)
		return tdm_gym_text(draw, "%03d-%03d-%04d", a, b, c);
	if (form < 7)
		return tdm_gym_text(draw, "(%03d) %03d-%04d", a, b, c);
	if (form < 8)
		return tdm_gym_text(draw, "+1 %03d %03d %04d", a, b, c);
	return pattern(draw, TDM_GYM_PICK(draw, abroad));
}

static int luhn_sum(const char *digits, size_t n) // the last digit counts once
{
	int sum = 0;
	for (size_t i = 0; i < n; i++) {
		int v = digits[n - 1 - i] - '0';
		if (i % 2)
			v = v > 4 ? 2 * v - 9 : 2 * v;
		sum += v;
	}
	return sum;
}

const char *tdm_gym_card(struct tdm_gym_draw *draw) {
	static const char *const visa_like[] = {"4", "4", "4", "51", "52", "53", "54", "55", "6011", "65"};
	static const char *const separators[] = {"", " ", " ", "-"};
	char digits[17] = "";
	const char *prefix = TDM_GYM_PICK(draw, visa_like);
	if (tdm_gym_chance(draw, 0.1)) // the newer range of Mastercard
		prefix = tdm_gym_text(draw, "%d", tdm_gym_range(draw, 2221, 2720));
	size_t n = strlen(prefix);
	memcpy(digits, prefix, n);
	for (; n < 15; n++)
		digits[n] = digit(draw);
	digits[15] = '0';
	digits[15] = (char)('0' + (10 - luhn_sum(digits, 16) % 10) % 10);
	const char *s = TDM_GYM_PICK(draw, separators);
	return tdm_gym_text(draw, "%.4s%s%.4s%s%.4s%s%.4s", digits, s, digits + 4, s, digits + 8, s, digits + 12);
}

bool tdm_gym_card_valid(const char *text) {
	char digits[16], separator = 0;
	size_t n = 0;
	for (const char *p = text; *p; p++) {
		if (isdigit((unsigned char)*p) && n < 16)
			digits[n++] = *p;
		else if (isdigit((unsigned char)*p) || !strchr(" -", *p) || (separator && separator != *p))
			return false;
		else
			separator = *p;
	}
	return n == 16 && luhn_sum(digits, n) % 10 == 0;
}

// The form of the account part: X a digit, A a letter.
static const struct country {
	const char *code, *form;
} countries[] = {
    {"DE", "XXXXXXXXXXXXXXXXXX"},
    {"GB", "AAAAXXXXXXXXXXXXXX"},
    {"FR", "XXXXXXXXXXXXXXXXXXXXXXX"},
    {"NL", "AAAAXXXXXXXXXX"},
    {"BE", "XXXXXXXXXXXX"},
    {"AT", "XXXXXXXXXXXXXXXX"},
    {"ES", "XXXXXXXXXXXXXXXXXXXX"},
    {"IT", "AXXXXXXXXXXXXXXXXXXXXXX"},
    {"CH", "XXXXXXXXXXXXXXXXX"},
};

static int mod97(const char *compact) // country and check digits moved to the end, letters as 10..35
{
	size_t n = strlen(compact);
	int r = 0;
	for (size_t i = 0; i < n; i++) {
		char c = compact[(i + 4) % n];
		r = isdigit((unsigned char)c) ? (r * 10 + c - '0') % 97 : (r * 100 + c - 'A' + 10) % 97;
	}
	return r;
}

const char *tdm_gym_iban(struct tdm_gym_draw *draw) {
	static const size_t likely[] = {0, 0, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8}; // short ones more often: digits are tokens
	const struct country *country = &countries[TDM_GYM_PICK(draw, likely)];
	char compact[40], out[48];
	size_t n = strlen(country->form) + 4;
	memcpy(compact, country->code, 2);
	memcpy(compact + 2, "00", 2);
	for (size_t i = 4; i < n; i++)
		compact[i] = country->form[i - 4] == 'A' ? (char)('A' + tdm_rng_below(&draw->rng, 26)) : digit(draw);
	compact[n] = 0;
	int check = 98 - mod97(compact);
	compact[2] = (char)('0' + check / 10);
	compact[3] = (char)('0' + check % 10);
	bool grouped = tdm_gym_chance(draw, 0.5);
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		if (grouped && i && i % 4 == 0)
			out[at++] = ' ';
		out[at++] = compact[i];
	}
	out[at] = 0;
	return tdm_gym_text(draw, "%s", out);
}

bool tdm_gym_iban_valid(const char *text) {
	char compact[40];
	size_t n = 0;
	for (const char *p = text; *p; p++)
		if (*p != ' ') {
			if (n >= sizeof compact - 1 || !(isdigit((unsigned char)*p) || isupper((unsigned char)*p)))
				return false;
			compact[n++] = *p;
		}
	compact[n] = 0;
	for (size_t i = 0; i < TDM_GYM_COUNT(countries); i++)
		if (!strncmp(compact, countries[i].code, 2))
			return n == strlen(countries[i].form) + 4 && mod97(compact) == 1;
	return false;
}

const char *tdm_gym_ssn(struct tdm_gym_draw *draw) {
	int first;
	do
		first = tdm_gym_range(draw, 1, 899);
	while (first == 666 || first == 78 || first == 219); // two of them stood in advertisements
	return tdm_gym_text(draw, "%03d-%02d-%04d", first, tdm_gym_range(draw, 1, 99), tdm_gym_range(draw, 1, 9999));
}

const char *tdm_gym_ip(struct tdm_gym_draw *draw) {
	static const char *const networks[] = {"192.0.2", "198.51.100", "203.0.113"};
	return tdm_gym_text(draw, "%s.%d", TDM_GYM_PICK(draw, networks), tdm_gym_range(draw, 1, 254));
}

void tdm_gym_payload(struct tdm_gym_draw *draw, char out[TDM_GYM_PAYLOAD + 1]) {
	for (int i = 0; i < TDM_GYM_PAYLOAD; i++)
		out[i] = alphabet[tdm_rng_below(&draw->rng, 32)];
	out[TDM_GYM_PAYLOAD] = 0;
}

static uint32_t crc32_of(const char *text) // IEEE, bit by bit: labels are short
{
	uint32_t crc = 0xFFFFFFFFu;
	for (; *text; text++) {
		crc ^= (unsigned char)*text;
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
	}
	return ~crc;
}

static unsigned times_2(unsigned v) // in GF(32)
{
	v <<= 1;
	return v & 32 ? v ^ 37 : v;
}

char tdm_gym_token_check(const char *label, const char *payload) {
	unsigned sum = crc32_of(label) & 31;
	for (int i = 0; i < TDM_GYM_PAYLOAD; i++) {
		const char *at = payload[i] ? strchr(alphabet, payload[i]) : NULL;
		if (!at)
			return 0;
		unsigned v = (unsigned)(at - alphabet);
		for (int k = 0; k <= i; k++)
			v = times_2(v);
		sum ^= v;
	}
	return alphabet[sum];
}

const char *tdm_gym_token(struct tdm_gym_draw *draw, const char *label, const char payload[TDM_GYM_PAYLOAD + 1]) {
	return tdm_gym_text(draw, "%s_%s%c", label, payload, tdm_gym_token_check(label, payload));
}
