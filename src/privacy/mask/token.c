// Token: see token.h. To add a form suffix, add it to known_label and keep all labels with all suffixes distinct (a
// unit test checks the whole table).
#include "privacy/mask/token.h"
#include "privacy/mask/alias.h"
#include "privacy/mask/shape.h"
#include "base/crypto.h"
#include "base/view.h"
#include <string.h>
#include <strings.h>

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
#define PAYLOAD 7
#define MAX_LABEL 12

static int value_of(char c) {
	if (c >= 'a' && c <= 'z')
		c -= 32;
	const char *p = c ? strchr(alphabet, c) : NULL;
	return p ? (int)(p - alphabet) : -1;
}

static uint32_t crc32_of(const char *text, size_t n) {
	uint32_t crc = 0xFFFFFFFF;
	for (size_t i = 0; i < n; i++) {
		crc ^= (unsigned char)text[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
	}
	return ~crc;
}

// Multiplication by a = 2 in GF(32) with x^5 + x^2 + 1.
static unsigned times_a(unsigned v) {
	return v & 16 ? (v << 1 ^ 0x25) : v << 1;
}

// CRC of the label plus the sum of a^i v_i, i = 1..7: two errors that cancel need equal differences at two places, and
// no two powers of a below the seventh are equal.
static unsigned check_value(const char *label, size_t n_label, const char *payload) {
	unsigned sum = 0;
	for (int i = PAYLOAD - 1; i >= 0; i--)
		sum = times_a(sum ^ (unsigned)value_of(payload[i]));
	return sum ^ (crc32_of(label, n_label) & 31);
}

size_t tdm_token_write(char out[TDM_TOKEN_BYTES], const char *label, uint64_t payload) {
	size_t n = strnlen(label, MAX_LABEL);
	memcpy(out, label, n);
	out[n] = '_';
	for (int i = 0; i < PAYLOAD; i++)
		out[n + 1 + (size_t)i] = alphabet[payload >> (5 * (PAYLOAD - 1 - i)) & 31];
	out[n + 1 + PAYLOAD] = alphabet[check_value(label, n, out + n + 1)];
	out[n + 2 + PAYLOAD] = 0;
	return n + 2 + PAYLOAD;
}

bool tdm_token_valid(const char *text, size_t n) {
	if (n < 2 + 2 + PAYLOAD || n > MAX_LABEL + 2 + PAYLOAD)
		return false;
	size_t label = n - 2 - PAYLOAD;
	for (size_t i = 0; i < label; i++)
		if (text[i] < 'A' || text[i] > 'Z')
			return false;
	for (size_t i = label + 1; i < n; i++)
		if (value_of(text[i]) < 0 || (text[i] >= 'a' && text[i] <= 'z'))
			return false;
	return text[label] == '_' && alphabet[check_value(text, label, text + label + 1)] == text[n - 1];
}

// A label of the table, bare or with a form suffix: U (capitals), W (small letters), V and a letter (other spellings).
static bool known_label(const char *text, size_t n) {
	for (size_t i = 0; i < tdm_n_entities; i++) {
		const char *label = tdm_entities[i].label;
		size_t m = strlen(label);
		if (m > n || n > m + 2 || strncasecmp(label, text, m) != 0)
			continue;
		char form = n > m ? text[m] & ~0x20 : 0;
		if (n == m || (n == m + 1 && (form == 'U' || form == 'W')) || (n == m + 2 && form == 'V'))
			return true;
	}
	return false;
}

static bool label_letter(char c) {
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t separator_bytes(const char *text, size_t n) {
	static const char *const forms[] = {"_", "\\_", "%5f", "\\u005f"};
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (n >= strlen(forms[i]) && strncasecmp(text, forms[i], strlen(forms[i])) == 0)
			return strlen(forms[i]);
	return 0;
}

// Eight letters and a wrong check character are a word of somebody's program (EMAIL_ADDRESS), not a token.
static bool only_a_word(const char *label, size_t n_label, const char *payload) {
	char upper[MAX_LABEL];
	for (int i = 0; i <= PAYLOAD; i++)
		if (payload[i] >= '0' && payload[i] <= '9')
			return false;
	for (size_t i = 0; i < n_label; i++)
		upper[i] = label[i] & ~0x20;
	return (int)check_value(upper, n_label, payload) != value_of(payload[PAYLOAD]);
}

bool tdm_token_shape(const char *text, size_t n, size_t at, size_t *start, size_t *end) {
	size_t separator = separator_bytes(text + at, n - at), i = at + separator, letters = 0;
	if (separator == 0 || n - i < PAYLOAD + 1)
		return false;
	for (size_t k = 0; k <= PAYLOAD; k++)
		if (value_of(text[i + k]) < 0)
			return false;
	while (letters < MAX_LABEL && letters < at && label_letter(text[at - letters - 1]))
		letters++;
	for (; letters >= 2; letters--)
		if (known_label(text + at - letters, letters)) {
			*start = at - letters;
			*end = i + PAYLOAD + 1;
			return !only_a_word(text + at - letters, letters, text + i);
		}
	return false;
}

struct owner { // one value, however it is written
	const char *label, *normal;
	size_t n;
	uint64_t payload;
	struct tdm_spelling *first; // the one with the bare label
	int n_others;
	struct owner *next_value, *next_payload; // in the buckets of the two indexes
};

#define BUCKETS 1024

struct tdm_vault {
	struct tdm_arena *arena;
	uint8_t key[32];
	int bits, n_values;
	const struct tdm_strings *surrogates; // labels; NULL = none
	const struct tdm_text *texts;         // of the request
	size_t n_texts;
	struct owner **values, **payloads; // buckets, made with the first value
	struct tdm_spelling *first, **last;
};

struct tdm_vault *tdm_vault_new(struct tdm_arena *arena, const uint8_t key[32], int bits) {
	struct tdm_vault *v = tdm_arena_alloc(arena, sizeof *v);
	if (!v)
		return NULL;
	v->arena = arena;
	v->bits = bits < 1 ? 1 : bits > TDM_PAYLOAD_BITS ? TDM_PAYLOAD_BITS : bits;
	v->last = &v->first;
	memcpy(v->key, key, sizeof v->key);
	return v;
}

void tdm_vault_forget_key(struct tdm_vault *vault) {
	tdm_wipe(vault->key, sizeof vault->key);
}

const struct tdm_spelling *tdm_vault_first(const struct tdm_vault *vault) {
	return vault->first;
}

static size_t bucket_of(const char *label, const void *data, size_t n) {
	uint64_t h = 14695981039346656037u;
	for (const char *c = label; *c; c++)
		h = (h ^ (unsigned char)*c) * 1099511628211u;
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u;
	return (h ^ h >> 32) % BUCKETS;
}

// First bits of HMAC-SHA-256(K_session, label 0x00 value), with a counter byte behind when the payload was taken.
static uint64_t hash_payload(const struct tdm_vault *v, const char *label, const char *normal, size_t n, int again,
                             uint8_t *scratch) {
	uint8_t mac[TDM_SHA256_BYTES];
	size_t m = strlen(label) + 1;
	memcpy(scratch, label, m);
	memcpy(scratch + m, normal, n);
	scratch[m + n] = (uint8_t)again;
	tdm_hmac_sha256(v->key, sizeof v->key, scratch, m + n + (again > 0), mac);
	uint64_t first = 0;
	for (int i = 0; i < 8; i++)
		first = first << 8 | mac[i];
	first >>= 64 - TDM_PAYLOAD_BITS;
	return first >> (TDM_PAYLOAD_BITS - v->bits) << (TDM_PAYLOAD_BITS - v->bits);
}

static bool payload_taken(const struct tdm_vault *v, const char *label, uint64_t payload) {
	const struct owner *o = v->payloads[bucket_of(label, &payload, sizeof payload)];
	while (o && !(o->payload == payload && strcmp(o->label, label) == 0))
		o = o->next_payload;
	return o != NULL;
}

static int choose_payload(struct tdm_vault *v, struct owner *o, struct tdm_error *err) {
	uint8_t *scratch = tdm_arena_alloc(v->arena, strlen(o->label) + o->n + 2);
	if (!scratch)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another token");
	for (int again = 0; again < 256; again++) {
		o->payload = hash_payload(v, o->label, o->normal, o->n, again, scratch);
		if (payload_taken(v, o->label, o->payload))
			continue;
		size_t bucket = bucket_of(o->label, &o->payload, sizeof o->payload);
		o->next_payload = v->payloads[bucket];
		v->payloads[bucket] = o;
		return TDM_OK;
	}
	return tdm_fail(err, TDM_EGUARD, "mask: no free token of type %s; nothing was sent", o->label);
}

static bool make_buckets(struct tdm_vault *v) {
	if (!v->values)
		v->values = tdm_arena_array(v->arena, BUCKETS, sizeof *v->values);
	if (!v->payloads)
		v->payloads = tdm_arena_array(v->arena, BUCKETS, sizeof *v->payloads);
	return v->values && v->payloads;
}

static int find_owner(struct tdm_vault *v, const char *label, const char *normal, size_t n, struct owner **out,
                      struct tdm_error *err) {
	size_t bucket = bucket_of(label, normal, n);
	if (!make_buckets(v))
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
	for (struct owner *o = v->values[bucket]; o; o = o->next_value)
		if (o->n == n && strcmp(o->label, label) == 0 && memcmp(o->normal, normal, n) == 0) {
			*out = o;
			return TDM_OK;
		}
	struct owner *o = tdm_arena_alloc(v->arena, sizeof *o);
	if (!o)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
	o->label = label;
	o->n = n;
	o->normal = tdm_arena_copy(v->arena, normal, n);
	int status = o->normal ? choose_payload(v, o, err) : tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
	if (status != TDM_OK)
		return status;
	o->next_value = v->values[bucket];
	v->values[bucket] = o;
	*out = o;
	return TDM_OK;
}

// How a spelling differs from the first one: 'U' all capitals, 'W' all small, 0 otherwise.
static char case_form(const struct tdm_spelling *first, const char *text, size_t n) {
	bool upper = first->n == n, lower = upper;
	for (size_t i = 0; i < n && (upper || lower); i++) {
		char c = first->text[i];
		upper = upper && text[i] == (c >= 'a' && c <= 'z' ? c - 32 : c);
		lower = lower && text[i] == (c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	return upper ? 'U' : lower ? 'W' : 0;
}

void tdm_vault_surrogates(struct tdm_vault *vault, const struct tdm_strings *labels, const struct tdm_text *texts,
                          size_t n_texts) {
	vault->surrogates = labels;
	vault->texts = texts;
	vault->n_texts = n_texts;
}

bool tdm_vault_wants(const struct tdm_vault *vault, const char *label) {
	for (size_t i = 0; vault->surrogates && i < vault->surrogates->n; i++)
		if (strcmp(vault->surrogates->items[i], label) == 0)
			return true;
	return false;
}

// Whether neither of the two is a part of the other: else one would be restored in the middle of the other.
static bool is_apart(const struct tdm_vault *v, const char *text, size_t n) {
	for (const struct tdm_spelling *s = v->first; s; s = s->next)
		if (memmem(s->token, s->n_token, text, n) || memmem(text, n, s->token, s->n_token))
			return false;
	return true;
}

static bool stands_there(const struct tdm_text *text, const char *word, size_t n) {
	for (size_t i = 0; i + n <= text->n; i++)
		if ((text->text[i] | 32) == (word[0] | 32) && strncasecmp(text->text + i, word, n) == 0)
			return true;
	return false;
}

// A name of the list, which no text of the request has. Another spelling of the same name gets a token.
static size_t alias(const struct tdm_vault *v, const struct owner *o, char *out) {
	size_t n_list = 0;
	const char *const *list = o->first ? NULL : tdm_aliases(o->label, &n_list);
	for (size_t i = 0; i < n_list; i++) {
		const char *name = list[(o->payload + i) % n_list];
		size_t n = strlen(name);
		bool is_free = is_apart(v, name, n);
		for (size_t k = 0; is_free && k < v->n_texts; k++)
			is_free = !stands_there(&v->texts[k], name, n);
		if (is_free) {
			memcpy(out, name, n);
			return n;
		}
	}
	return 0;
}

// A number in the form of the value.
static size_t number(const struct tdm_vault *v, const struct owner *o, const char *text, size_t n, char *out) {
	static const char use[] = "shape";
	uint8_t key[TDM_SHA256_BYTES];
	if (n > TDM_STAND_IN_BYTES)
		return 0;
	tdm_hmac_sha256(v->key, sizeof v->key, use, sizeof use, key);
	bool shaped = tdm_shape(key, o->label, text, n, strcmp(o->label, "CARD") == 0, out);
	tdm_wipe(key, sizeof key);
	return shaped && memcmp(out, text, n) != 0 && is_apart(v, out, n) ? n : 0;
}

// What stands for the value where its label asks for it; its length, 0: it gets a token.
static size_t surrogate(const struct tdm_vault *v, const struct owner *o, const char *text, size_t n, char *out) {
	size_t n_list;
	if (!tdm_vault_wants(v, o->label))
		return 0;
	return tdm_aliases(o->label, &n_list) ? alias(v, o, out) : number(v, o, text, n, out);
}

static int add_spelling(struct tdm_vault *v, struct owner *o, const char *label, const char *text, size_t n,
                        const struct tdm_spelling **out, struct tdm_error *err) {
	char token[TDM_STAND_IN_BYTES + 1];
	struct tdm_spelling *s = tdm_arena_alloc(v->arena, sizeof *s);
	if (v->n_values == TDM_MAX_VALUES)
		return tdm_fail(err, TDM_EGUARD, "mask: more than %d private values in one conversation; nothing was sent",
		                TDM_MAX_VALUES);
	if (s) {
		size_t length = surrogate(v, o, text, n, token);
		s->surrogate = length > 0;
		s->n_token = length ? length : tdm_token_write(token, label, o->payload);
		s->token = tdm_arena_copy(v->arena, token, s->n_token);
		s->text = tdm_arena_copy(v->arena, text, n);
		s->n = n;
	}
	if (!s || !s->token || !s->text)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
	s->same = o->first;
	o->first = o->first ? o->first : s;
	if (s->same) { // the first spelling stays the head, the others hang behind it
		s->same = o->first->same;
		o->first->same = s;
	}
	*v->last = s;
	v->last = &s->next;
	v->n_values++;
	*out = s;
	return TDM_OK;
}

#define MAX_FORMS 26

static int another_spelling(struct tdm_vault *v, struct owner *o, const char *text, size_t n,
                            const struct tdm_spelling **out, struct tdm_error *err) {
	char label[MAX_LABEL + 1], form = case_form(o->first, text, n);
	size_t m = strlen(o->label);
	memcpy(label, o->label, m + 1);
	if (form) {
		label[m++] = form;
	} else if (o->n_others < MAX_FORMS) {
		label[m++] = 'V';
		label[m++] = (char)('A' + o->n_others++);
	} else { // a value of its own, under its exact spelling: no normal form begins with a blank byte
		char *own = tdm_arena_alloc(v->arena, n + 2);
		struct owner *other;
		if (!own)
			return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
		own[0] = TDM_VIEW_BLANK;
		memcpy(own + 1, text, n);
		int status = find_owner(v, o->label, own, n + 1, &other, err);
		if (status == TDM_OK && other->first)
			*out = other->first;
		else if (status == TDM_OK)
			status = add_spelling(v, other, o->label, text, n, out, err);
		return status;
	}
	label[m] = 0;
	return add_spelling(v, o, label, text, n, out, err);
}

// N(v): the folded value; separators do not count in numbers.
static const char *normal_form(struct tdm_vault *v, const struct tdm_entity *entity, const char *folded, size_t *n) {
	char *out = tdm_arena_copy(v->arena, folded, *n);
	if (!out || !(entity->flags & TDM_ENTITY_GROUPED))
		return out;
	size_t m = 0;
	for (size_t i = 0; i < *n; i++)
		if (!tdm_separator(folded[i]))
			out[m++] = folded[i];
	*n = m;
	return out;
}

int tdm_vault_token(struct tdm_vault *vault, const struct tdm_entity *entity, const char *text, size_t n,
                    const char *folded, size_t n_folded, const struct tdm_spelling **out, struct tdm_error *err) {
	struct owner *o;
	const char *normal = normal_form(vault, entity, folded, &n_folded);
	if (!normal)
		return tdm_fail(err, TDM_ENOMEM, "mask: no memory for another value");
	int status = find_owner(vault, entity->label, normal, n_folded, &o, err);
	if (status != TDM_OK)
		return status;
	if (!o->first)
		return add_spelling(vault, o, o->label, text, n, out, err);
	for (const struct tdm_spelling *s = o->first; s; s = s->same)
		if (s->n == n && memcmp(s->text, text, n) == 0) {
			*out = s;
			return TDM_OK;
		}
	return another_spelling(vault, o, text, n, out, err);
}
