// One row per field, in the order of the file: the reader and the writer go by it. A new field: a row, and a member.
#include "assure/certificate.h"
#include "base/value.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SIGNATURE ",\"signature\":\""
#define ID_DIGITS 24

enum form { TEXT, INTEGER, JSON };
#define AT(field) offsetof(struct tdm_certificate, field)
static const struct field {
	const char *name;
	enum form form;
	size_t at;
} fields[] = {
    {"id", TEXT, AT(id)},
    {"version", INTEGER, AT(version)},
    {"subject", TEXT, AT(subject)},
    {"claim", TEXT, AT(claim)},
    {"risk", TEXT, AT(risk)},
    {"loss", TEXT, AT(loss)},
    {"loss_source", TEXT, AT(loss_source)},
    {"epsilon", TEXT, AT(epsilon)},
    {"delta", TEXT, AT(delta)},
    {"procedure", TEXT, AT(procedure)},
    {"starts", INTEGER, AT(starts)},
    {"bound", TEXT, AT(bound)},
    {"n", INTEGER, AT(n)},
    {"k", INTEGER, AT(k)},
    {"duplicates", INTEGER, AT(duplicates)},
    {"p_value", TEXT, AT(p_value)},
    {"upper", TEXT, AT(upper)},
    {"lambda", TEXT, AT(lambda)},
    {"share_local", TEXT, AT(share_local)},
    {"groups", TEXT, AT(groups)},
    {"auditable_share", TEXT, AT(auditable_share)},
    {"grid_from", TEXT, AT(grid_from)},
    {"grid_to", TEXT, AT(grid_to)},
    {"grid_steps", INTEGER, AT(grid_steps)},
    {"grid_hash", TEXT, AT(grid_hash)},
    {"order_hash", TEXT, AT(order_hash)},
    {"data_hash", TEXT, AT(data_hash)},
    {"split_seed", INTEGER, AT(split_seed)},
    {"dedup", TEXT, AT(dedup)},
    {"models", JSON, AT(models)},
    {"prompts", TEXT, AT(prompts)},
    {"gate", TEXT, AT(gate)},
    {"config", TEXT, AT(config)},
    {"code", TEXT, AT(code)},
    {"reliability", JSON, AT(reliability)},
    {"assumption", TEXT, AT(assumption)},
    {"issued", TEXT, AT(issued)},
    {"expires", TEXT, AT(expires)},
    {"key", TEXT, AT(key)},
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static const char **text_of(const struct tdm_certificate *c, const struct field *f) {
	return (const char **)((uintptr_t)c + f->at);
}

static int64_t *integer_of(const struct tdm_certificate *c, const struct field *f) {
	return (int64_t *)((uintptr_t)c + f->at);
}

static void write_field(struct tdm_bytes *out, const struct tdm_certificate *c, const struct field *f) {
	const char *text = f->form == INTEGER ? NULL : *text_of(c, f);
	tdm_bytes_join(out, "\"", f->name, "\":");
	if (f->form == INTEGER)
		tdm_bytes_integer(out, *integer_of(c, f));
	else if (f->form == JSON)
		tdm_bytes_puts(out, text ? text : "null");
	else
		tdm_bytes_json(out, text ? text : "", text ? strlen(text) : 0);
}

static void write_from(struct tdm_bytes *out, const struct tdm_certificate *c, size_t first) {
	for (size_t i = first; i < N_FIELDS; i++) {
		tdm_bytes_putc(out, i ? ',' : '{');
		write_field(out, c, &fields[i]);
	}
}

void tdm_certificate_write(struct tdm_bytes *out, const struct tdm_certificate *c) {
	write_from(out, c, 0);
}

// The name is of what it says, so that equal certificates have equal names.
static const char *make_id(struct tdm_arena *arena, const struct tdm_certificate *c) {
	uint8_t digest[TDM_SHA256_BYTES];
	char hex[2 * TDM_SHA256_BYTES + 1];
	struct tdm_bytes rest;
	const char *id = NULL;
	tdm_bytes_init(&rest, TDM_CERTIFICATE_LIMIT_BYTES);
	write_from(&rest, c, 1);
	if (!rest.failed) {
		tdm_sha256(rest.data, rest.len, digest);
		tdm_hex(digest, sizeof digest, hex);
		id = tdm_arena_printf(arena, "crt_%.*s", ID_DIGITS, hex);
	}
	tdm_bytes_release(&rest);
	return id;
}

int tdm_certificate_seal(struct tdm_arena *arena, struct tdm_certificate *c, const uint8_t key[TDM_ED25519_KEY_BYTES],
                         struct tdm_bytes *out, struct tdm_error *err) {
	uint8_t public_key[TDM_ED25519_KEY_BYTES], signature[TDM_ED25519_SIGNATURE_BYTES];
	char hex[2 * TDM_ED25519_SIGNATURE_BYTES + 1];
	size_t from = out->len;
	int status = tdm_ed25519_public(key, public_key);
	if (!status) {
		tdm_hex(public_key, sizeof public_key, hex);
		c->key = tdm_arena_string(arena, hex);
		c->id = c->key ? make_id(arena, c) : NULL;
		tdm_certificate_write(out, c);
	}
	if (!status && (!c->id || out->failed))
		return tdm_fail(err, TDM_ENOMEM, "certificate: out of memory");
	if (!status)
		status = tdm_ed25519_sign(key, out->data + from, out->len - from, signature);
	if (status)
		return tdm_fail(err, status, "certificate: it could not be signed");
	tdm_hex(signature, sizeof signature, hex);
	c->signature = tdm_arena_string(arena, hex);
	tdm_bytes_join(out, SIGNATURE, hex, "\"}\n");
	return out->failed || !c->signature ? tdm_fail(err, TDM_ENOMEM, "certificate: out of memory") : TDM_OK;
}

// Where the signed text ends: NULL when there is no signature.
static const char *find_signature(const char *text, size_t n) {
	const char *found = NULL, *at = text;
	while ((at = memmem(at, n - (size_t)(at - text), SIGNATURE, sizeof SIGNATURE - 1)))
		found = at++;
	return found;
}

static bool read_field(struct tdm_arena *arena, const struct tdm_value *root, const struct field *f,
                       struct tdm_certificate *out) {
	const struct tdm_value *v = tdm_get(root, f->name);
	if (f->form == INTEGER) {
		*integer_of(out, f) = v && v->type == TDM_NUMBER && v->is_integer ? v->integer : 0;
		return v && v->type == TDM_NUMBER && v->is_integer;
	}
	if (f->form == TEXT)
		return (*text_of(out, f) = tdm_get_string(root, f->name)) != NULL;
	struct tdm_bytes json;
	tdm_bytes_init(&json, TDM_CERTIFICATE_LIMIT_BYTES);
	if (v)
		tdm_value_write(&json, v);
	*text_of(out, f) = v && !json.failed ? tdm_arena_copy(arena, json.data, json.len) : NULL;
	tdm_bytes_release(&json);
	return *text_of(out, f) != NULL;
}

static bool is_signed(struct tdm_arena *arena, const struct tdm_certificate *c, const char *text, size_t n) {
	uint8_t key[TDM_ED25519_KEY_BYTES], signature[TDM_ED25519_SIGNATURE_BYTES];
	const char *id = make_id(arena, c);
	return id && !strcmp(id, c->id) && tdm_unhex(c->key, key, sizeof key) &&
	       tdm_unhex(c->signature, signature, sizeof signature) && tdm_ed25519_verify(key, text, n, signature);
}

int tdm_certificate_read(struct tdm_arena *arena, const char *name, const char *text, size_t n,
                         struct tdm_certificate *out, struct tdm_error *err) {
	struct tdm_value *root = NULL;
	struct tdm_error why = {0};
	const char *end = find_signature(text, n);
	*out = (struct tdm_certificate){0};
	if (!end || tdm_json_parse(arena, text, n, &root, &why))
		return tdm_fail(err, TDM_ECONFIG, "%s: it is no certificate: expected JSON that ends with a signature", name);
	for (size_t i = 0; i < N_FIELDS; i++)
		if (!read_field(arena, root, &fields[i], out))
			return tdm_fail(err, TDM_ECONFIG, "%s: the certificate has no %s as expected", name, fields[i].name);
	out->signature = tdm_get_string(root, "signature");
	if (out->version != 1 || !out->signature || !is_signed(arena, out, text, (size_t)(end - text)))
		return tdm_fail(err, TDM_ECONFIG, "%s: the certificate is not as it was signed", name);
	return TDM_OK;
}

void tdm_certificate_time(int64_t wall_us, char out[TDM_TIME_BYTES]) {
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm at;
	if (!gmtime_r(&seconds, &at) || !strftime(out, TDM_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &at))
		snprintf(out, TDM_TIME_BYTES, "9999-12-31T23:59:59Z");
}
