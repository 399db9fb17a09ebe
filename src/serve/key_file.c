// Key file: reading and writing. The rule it protects: a file that others can read is no key file.
#include "serve/key_file.h"
#include "base/crypto.h"
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT_BYTES ((size_t)16 << 20)

#define AT(field) offsetof(struct tdm_key, field)
const struct tdm_option tdm_key_fields[] = {
    {"id", TDM_OPT_STRING, AT(id), NULL, 0, 0, NULL, "made with the key"},
    {"name", TDM_OPT_STRING, AT(name), NULL, 0, 0, NULL, "what people call it"},
    {"hash", TDM_OPT_STRING, AT(hash), NULL, 0, 0, NULL, "SHA-256 of the key"},
    {"created", TDM_OPT_INT, AT(created_s), "0", 0, 0, NULL, "seconds since 1970"},
    {"expires", TDM_OPT_INT, AT(expires_s), "0", 0, 0, NULL, "seconds since 1970; 0 = never"},
    {"revoked", TDM_OPT_INT, AT(revoked_s), "0", 0, 0, NULL, "seconds since 1970; 0 = it is not"},
    TDM_KEY_BOUNDS(AT),
};
const size_t tdm_n_key_fields = sizeof tdm_key_fields / sizeof tdm_key_fields[0];

// --- reading

static int check_private(const char *path, struct tdm_error *err) {
	struct stat info;
	if (stat(path, &info))
		return tdm_fail(err, TDM_ECONFIG, "%s: the key file cannot be read: %s", path, strerror(errno));
	if (!S_ISREG(info.st_mode))
		return tdm_fail(err, TDM_ECONFIG, "%s: the key file is not a regular file", path);
	if (info.st_mode & (S_IRWXG | S_IRWXO))
		return tdm_fail(err, TDM_ECONFIG, "%s: the key file may be used by others; expected mode 0600 (chmod 600 %s)",
		                path, path);
	return TDM_OK;
}

static bool is_hash(const char *text) {
	return text && strlen(text) == 2 * TDM_SHA256_BYTES && strspn(text, "0123456789abcdef") == strlen(text);
}

static int read_key(struct tdm_arena *arena, const char *path, const struct tdm_value *value, size_t i,
                    struct tdm_key *out, struct tdm_error *err) {
	const char *where = tdm_arena_printf(arena, "%s: keys[%zu]", path, i);
	if (!where)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for its keys", path);
	int status = tdm_options_read(arena, where, value, tdm_key_fields, tdm_n_key_fields, NULL, out, sizeof *out, err);
	if (!status && (!out->id || !out->name || !out->tenant || !*out->tenant || !is_hash(out->hash)))
		status = tdm_fail(err, TDM_ECONFIG, "%s: expected an id, a name, a tenant, and a hash of 64 hexadecimal digits",
		                  where);
	return status;
}

static int read_keys(struct tdm_arena *arena, const char *path, const struct tdm_bytes *text, struct tdm_key **out,
                     size_t *n, struct tdm_error *err) {
	struct tdm_value *root;
	struct tdm_error why = {0};
	if (tdm_json_parse(arena, text->data ? text->data : "", text->len, &root, &why))
		return tdm_fail(err, TDM_ECONFIG, "%s: not a key file: %s", path, why.text);
	const struct tdm_value *keys = tdm_get(root, "keys");
	if (!keys || keys->type != TDM_LIST)
		return tdm_fail(err, TDM_ECONFIG, "%s: not a key file: expected {\"keys\": [...]}", path);
	*out = tdm_arena_array(arena, keys->n + 1, sizeof **out);
	if (!*out)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for its keys", path);
	int status = TDM_OK;
	for (*n = 0; *n < keys->n && !status; ++*n)
		status = read_key(arena, path, &keys->items[*n], *n, &(*out)[*n], err);
	return status;
}

int tdm_key_file_read(struct tdm_arena *arena, const char *path, struct tdm_key **out, size_t *n,
                      struct tdm_error *err) {
	struct tdm_bytes text;
	int status = check_private(path, err);
	if (!status)
		status = tdm_file_read(path, FILE_LIMIT_BYTES, &text, err);
	if (status)
		return TDM_ECONFIG;
	status = read_keys(arena, path, &text, out, n, err);
	tdm_bytes_release(&text);
	return status;
}

// --- writing

static void put_choice(struct tdm_bytes *out, const char *choices, int index) {
	for (; index > 0; index--)
		choices += strcspn(choices, "|") + 1;
	tdm_bytes_json(out, choices, strcspn(choices, "|"));
}

static void put_list(struct tdm_bytes *out, const struct tdm_strings *list) {
	tdm_bytes_putc(out, '[');
	for (size_t i = 0; i < list->n; i++) {
		tdm_bytes_puts(out, i ? "," : "");
		tdm_bytes_json(out, list->items[i], strlen(list->items[i]));
	}
	tdm_bytes_putc(out, ']');
}

static void put_field(struct tdm_bytes *out, const struct tdm_key *key, const struct tdm_option *o) {
	const void *at = (const char *)key + o->offset;
	tdm_bytes_printf(out, "%s\"%s\": ", o == tdm_key_fields ? "" : ", ", o->name);
	switch (o->type) {
	case TDM_OPT_STRING:
		tdm_bytes_json(out, *(const char *const *)at, strlen(*(const char *const *)at));
		break;
	case TDM_OPT_LIST:
		put_list(out, at);
		break;
	case TDM_OPT_CHOICE:
		put_choice(out, o->choices, *(const int *)at);
		break;
	case TDM_OPT_BOOL:
		tdm_bytes_puts(out, *(const bool *)at ? "true" : "false");
		break;
	case TDM_OPT_NUMBER:
		tdm_bytes_number(out, *(const double *)at);
		break;
	default:
		tdm_bytes_printf(out, "%lld", (long long)*(const int64_t *)at);
	}
}

static int write_keys(const char *path, const struct tdm_key *keys, size_t n, struct tdm_error *err) {
	struct tdm_bytes out;
	tdm_bytes_init(&out, FILE_LIMIT_BYTES);
	tdm_bytes_puts(&out, "{\"keys\": [");
	for (size_t i = 0; i < n; i++) {
		tdm_bytes_puts(&out, i ? ",\n  {" : "\n  {");
		for (size_t k = 0; k < tdm_n_key_fields; k++)
			put_field(&out, &keys[i], &tdm_key_fields[k]);
		tdm_bytes_putc(&out, '}');
	}
	tdm_bytes_puts(&out, "\n]}\n");
	int status = out.failed ? tdm_fail(err, TDM_ENOMEM, "%s: too many keys", path)
	                        : tdm_file_write(path, out.data, out.len, err);
	tdm_bytes_release(&out);
	return status;
}

static int change_locked(struct tdm_arena *arena, const char *path, struct tdm_key_change *change,
                         struct tdm_error *err) {
	struct tdm_key *keys = tdm_arena_alloc(arena, sizeof *keys); // of a file that is not there yet
	size_t n = 0;
	int status = access(path, F_OK) ? TDM_OK : tdm_key_file_read(arena, path, &keys, &n, err);
	if (!status && !keys)
		status = tdm_fail(err, TDM_ENOMEM, "%s: no memory for its keys", path);
	if (!status)
		status = change->make(change, keys, &n, err);
	return status ? status : write_keys(path, keys, n, err);
}

int tdm_key_file_change(struct tdm_arena *arena, const char *path, struct tdm_key_change *change,
                        struct tdm_error *err) {
	const char *name = tdm_arena_printf(arena, "%s.lock", path);
	mode_t before = umask(077);
	int fd = name ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	int status = TDM_OK;
	if (fd < 0 || flock(fd, LOCK_EX))
		status = tdm_fail(err, TDM_EIO, "%s: the key file cannot be locked: %s", path, strerror(errno));
	if (!status)
		status = change_locked(arena, path, change, err);
	if (fd >= 0)
		close(fd);
	umask(before);
	return status;
}
