// Each setting belongs to one of four parts by its name: `kinds_of_setting`. A setting that says what a model is, names
// a file, or is words for a model: a row there.
#include "models/identity.h"
#include "assure/labels.h"
#include "base/file.h"
#include <string.h>

#define TEXT_LIMIT_BYTES ((size_t)8 << 20)
#define EMBEDDED "embedded:"

enum part {
	CONFIG,
	MODEL,
	FILE_OF_MODEL,
	PROMPT,
	OWN, // of the model that is promised for it stands in the promise's place, of one below it counts as CONFIG
	NOTHING
};
static const struct {
	const char *name;
	enum part part;
} kinds_of_setting[] = {
    {"path", FILE_OF_MODEL},
    {"adapter", FILE_OF_MODEL},
    {"weights", FILE_OF_MODEL},
    {"file", FILE_OF_MODEL},
    {"projection", FILE_OF_MODEL},
    {"url", MODEL},
    {"model", MODEL},
    {"answers", MODEL},
    {"answer", MODEL},
    {"adapter_scale", MODEL},
    {"cache_type", MODEL},
    {"chat", PROMPT},
    {"prompt", PROMPT},
    {"system", PROMPT},
    {"template", PROMPT},
    {"instructions", PROMPT},
    {"threshold", OWN},
    {"rate", OWN},
    {"certificate", OWN},
    {"front", OWN},
    {"quality", OWN},
    {"explore", OWN},
    {"signer", NOTHING},
    {"audit", NOTHING},
    {"price", NOTHING},
    {"hidden", NOTHING},
    {"threads", NOTHING},
    {"cache_mb", NOTHING},
    {"key", NOTHING},
    {"ca", NOTHING},
};

struct look {
	struct tdm_arena *arena;
	const char *folder;
	const void *(*embedded)(const char *name, size_t *n);
	struct tdm_bytes models, prompts, config; // names and values, one a line
	struct tdm_error *err;
};

static enum part part_of(const char *name) {
	for (size_t i = 0; i < TDM_COUNT(kinds_of_setting); i++)
		if (!strcmp(kinds_of_setting[i].name, name))
			return kinds_of_setting[i].part;
	return CONFIG;
}

static bool is_role(const struct tdm_kind *kind, const char *name) {
	for (size_t i = 0; i < kind->n_roles; i++)
		if (!strcmp(kind->roles[i].name, name))
			return true;
	return false;
}

// The bytes of what a setting names, as a hash.
static int put_file(struct look *l, struct tdm_bytes *out, const char *name) {
	char hash[72];
	size_t n = 0, prefix = strlen(EMBEDDED);
	if (!strncmp(name, EMBEDDED, prefix)) {
		const void *data = l->embedded ? l->embedded(name + prefix, &n) : NULL;
		tdm_labels_hash(data ? data : "", data ? n : 0, hash);
		tdm_bytes_puts(out, hash);
		return TDM_OK;
	}
	struct tdm_mapping file;
	const char *path = name[0] == '/' || !l->folder ? name : tdm_arena_printf(l->arena, "%s/%s", l->folder, name);
	int status = path ? tdm_map_open(path, &file, l->err) : TDM_ENOMEM;
	if (status)
		return tdm_fail(l->err, status, "%s: it cannot be read for the certificate's hash", name);
	tdm_labels_hash(file.data, file.n, hash);
	tdm_map_close(&file);
	tdm_bytes_puts(out, hash);
	return TDM_OK;
}

static int put_setting(struct look *l, const char *name, const struct tdm_value *value, struct tdm_bytes *into) {
	enum part part = part_of(name);
	struct tdm_bytes *out = into                                     ? into
	                        : part == MODEL || part == FILE_OF_MODEL ? &l->models
	                        : part == PROMPT                         ? &l->prompts
	                                                                 : &l->config;
	int status = TDM_OK;
	if (part == NOTHING || (part == OWN && into))
		return TDM_OK;
	tdm_bytes_join(out, "", name, "=");
	if (part == FILE_OF_MODEL && value->type == TDM_STRING)
		status = put_file(l, out, value->text);
	else
		tdm_value_write(out, value);
	tdm_bytes_putc(out, '\n');
	return status;
}

// The settings of m without its roles; into: all in one place, or NULL.
static int put_settings(struct look *l, const struct tdm_model *m, struct tdm_bytes *into) {
	int status = TDM_OK;
	tdm_bytes_join(into ? into : &l->models, "kind=", m->kind->name, "\n");
	for (size_t i = 0; m->settings && i < m->settings->n && !status; i++)
		if (!is_role(m->kind, m->settings->keys[i]))
			status = put_setting(l, m->settings->keys[i], &m->settings->items[i], into);
	return status;
}

static int put_model(struct look *l, const struct tdm_model *m) {
	int status = put_settings(l, m, NULL);
	for (size_t i = 0; i < m->n_parts && !status; i++) {
		tdm_bytes_join(&l->models, "role=", m->part_roles[i], "\n");
		status = put_model(l, m->parts[i]);
	}
	return status;
}

static const char *hash_of(struct look *l, const struct tdm_bytes *text) {
	char hash[72];
	tdm_labels_hash(text->data ? text->data : "", text->len, hash);
	return text->failed ? NULL : tdm_arena_string(l->arena, hash);
}

static const char *add_role(struct look *l, const char *models, const char *role) {
	const char *hash = hash_of(l, &l->models);
	tdm_bytes_clear(&l->models);
	return hash && models ? tdm_arena_printf(l->arena, "%s%s\"%s\":\"%s\"", models, *models ? "," : "", role, hash)
	                      : NULL;
}

// Models of one role are hashed together: in the order in which they are named.
static int put_parts(struct look *l, const struct tdm_model *m, struct tdm_identity *out) {
	const char *models = "";
	int status = TDM_OK;
	for (size_t i = 0; i < m->n_parts && !status; i++) {
		status = put_model(l, m->parts[i]);
		if (i + 1 == m->n_parts || strcmp(m->part_roles[i], m->part_roles[i + 1]) != 0)
			models = add_role(l, models, m->part_roles[i]);
	}
	out->models = models ? tdm_arena_printf(l->arena, "{%s}", models) : NULL;
	return status;
}

int tdm_identity_of(struct tdm_arena *arena, const struct tdm_model *m, const char *folder,
                    const void *(*embedded)(const char *name, size_t *n), struct tdm_identity *out,
                    struct tdm_error *err) {
	struct look l = {.arena = arena, .folder = folder, .embedded = embedded, .err = err};
	struct tdm_bytes gate;
	tdm_bytes_init(&l.models, TEXT_LIMIT_BYTES);
	tdm_bytes_init(&l.prompts, TEXT_LIMIT_BYTES);
	tdm_bytes_init(&l.config, TEXT_LIMIT_BYTES);
	tdm_bytes_init(&gate, TEXT_LIMIT_BYTES);
	int status = put_settings(&l, m, &gate);
	if (!status)
		status = put_parts(&l, m, out);
	out->gate = hash_of(&l, &gate);
	out->prompts = hash_of(&l, &l.prompts);
	out->config = hash_of(&l, &l.config);
	out->code = TDM_COMMIT;
	if (!status && (!out->gate || !out->prompts || !out->config || !out->models))
		status = tdm_fail(err, TDM_ENOMEM, "certificate: the settings of %s are too long", m->name);
	tdm_bytes_release(&l.models);
	tdm_bytes_release(&l.prompts);
	tdm_bytes_release(&l.config);
	tdm_bytes_release(&gate);
	return status;
}
