// Tree: settings to models. The rule kept here: every fault of a tree is found before anything answers, and is told in
// one sentence with file, line, model and reason.
//
// Models are built depth first, parts before the models that use them, so the order of building is an order in which
// the reverse destroys safely. A new top-level section: one word in `sections`; a new key that every model takes: one
// row in `common_options`.
#include "models/tree.h"
#include "base/crypto.h"
#include "ledger/shared_settings.h"
#include <ctype.h>
#include <string.h>

#define ARENA_LIMIT_BYTES ((size_t)64 << 20)
#define N_MODELS_LIMIT 256
#define DEPTH_LIMIT 32
#define NAME_LIMIT_BYTES 128
#define N_KEYS_LIMIT 128

struct entry {                        // one model, named or inline
	const char *name, *where, *place; // where: with the line; place: without, for tables that add the line
	const struct tdm_value *spec;
	struct tdm_model *model; // NULL until built
	bool building, named;
};

struct tdm_tree {
	struct tdm_arena arena;
	const char *name, *folder;
	struct tdm_value *root;
	struct entry entries[N_MODELS_LIMIT];
	size_t n_entries;
	struct tdm_model *built[N_MODELS_LIMIT], *named[N_MODELS_LIMIT];
	size_t n_built, n_named;
	char hash[8 + 2 * TDM_SHA256_BYTES];
	const struct tdm_kind *const *kinds;
	const void *(*embedded)(const char *, size_t *);
	struct tdm_shared *state;
	struct tdm_error *err; // of the load in progress
};

struct common { // keys of every model
	const char *kind;
	const struct tdm_value *price;
	bool hidden;
};
#define COMMON(name) offsetof(struct common, name)
static const struct tdm_option common_options[] = {
    {"kind", TDM_OPT_STRING, COMMON(kind), NULL, 0, 0, NULL, "what the model is"},
    {"price", TDM_OPT_VALUE, COMMON(price), NULL, 0, 0, NULL, "{in, out} per million tokens"},
    {"hidden", TDM_OPT_BOOL, COMMON(hidden), "no", 0, 0, NULL, "not listed by /v1/models"},
};

#define PRICE(name) offsetof(struct tdm_price, name)
static const struct tdm_option price_options[] = {
    {"in", TDM_OPT_NUMBER, PRICE(in), "0", 0, 1e9, NULL, "per million tokens of the prompt"},
    {"out", TDM_OPT_NUMBER, PRICE(out), "0", 0, 1e9, NULL, "per million tokens of the answer"},
};

static const char *const sections[] = {"models", "serve", "ledger", "log", "state", "telemetry"};

static int build_entry(struct tdm_tree *t, struct entry *e, int depth);

static int no_memory(struct tdm_tree *t) {
	return tdm_fail(t->err, TDM_ENOMEM, "%s: the tree needs more memory than it may use", t->name);
}

static const char *hint(struct tdm_tree *t, const char *word, const char *const *names, size_t n) {
	const char *near = tdm_nearest(word, names, n);
	const char *text = near ? tdm_arena_printf(&t->arena, " (nearest: \"%s\")", near) : "";
	return text ? text : "";
}

// --- entries

static bool is_name(const char *name) {
	size_t n = strlen(name);
	if (n == 0 || n > NAME_LIMIT_BYTES || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("._/-", name[i]))
			return false;
	return true;
}

static struct entry *find_entry(struct tdm_tree *t, const char *name) {
	for (size_t i = 0; i < t->n_entries; i++)
		if (!strcmp(t->entries[i].name, name))
			return &t->entries[i];
	return NULL;
}

static int add_entry(struct tdm_tree *t, const char *name, const struct tdm_value *spec, bool named,
                     struct entry **out) {
	if (!is_name(name))
		return tdm_fail(t->err, TDM_ECONFIG,
		                "%s line %d: \"%.40s\" cannot be the name of a model; expected letters, digits and . _ / - "
		                "(at most %d), a letter or digit first",
		                t->name, spec->line, name, NAME_LIMIT_BYTES);
	if (find_entry(t, name))
		return tdm_fail(t->err, TDM_ECONFIG, "%s line %d: model %s: there is another model of this name in line %d",
		                t->name, spec->line, name, find_entry(t, name)->spec->line);
	if (t->n_entries == N_MODELS_LIMIT)
		return tdm_fail(t->err, TDM_ECONFIG, "%s line %d: model %s: more than %d models", t->name, spec->line, name,
		                N_MODELS_LIMIT);
	struct entry *e = &t->entries[t->n_entries++];
	*e = (struct entry){.name = name, .spec = spec, .named = named};
	e->where = tdm_arena_printf(&t->arena, "%s line %d: model %s", t->name, spec->line, name);
	e->place = tdm_arena_printf(&t->arena, "%s: model %s", t->name, name);
	*out = e;
	return e->where && e->place ? TDM_OK : no_memory(t);
}

// --- the parts of one model

struct parts {
	struct tdm_model **models;
	const char **roles;
	size_t n, cap;
};

static int unknown_part(struct tdm_tree *t, const struct entry *e, const struct tdm_role *role, const char *name) {
	const char *names[N_MODELS_LIMIT];
	size_t n = 0;
	for (size_t i = 0; i < t->n_entries; i++)
		if (t->entries[i].named)
			names[n++] = t->entries[i].name;
	return tdm_fail(t->err, TDM_ECONFIG, "%s: role %s names \"%s\", which is not a model of this file%s", e->where,
	                role->name, name, hint(t, name, names, n));
}

// The entry a role's value means: a name, or an inline mapping, which is named after its place.
static int find_part(struct tdm_tree *t, const struct entry *e, const struct tdm_role *role,
                     const struct tdm_value *value, size_t index, struct entry **out) {
	if (value->type == TDM_STRING) {
		*out = find_entry(t, value->text);
		return *out && (*out)->named ? TDM_OK : unknown_part(t, e, role, value->text);
	}
	if (value->type != TDM_MAP)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: role %s: expected the name of a model or {kind: ...}, found %s",
		                e->where, role->name, tdm_type_name(value->type));
	const char *name = role->max == 1 ? tdm_arena_printf(&t->arena, "%s.%s", e->name, role->name)
	                                  : tdm_arena_printf(&t->arena, "%s.%s.%zu", e->name, role->name, index + 1);
	return name ? add_entry(t, name, value, false, out) : no_memory(t);
}

static const char *missing(struct tdm_tree *t, unsigned lacks) {
	static const char *const words[] = {"TEXT", "LOGPROBS", "SCORE", "EMBED", "STEP", "TOOLS"};
	const char *text = "";
	for (unsigned i = 0; i < TDM_COUNT(words); i++)
		if (lacks & 1u << i && text)
			text = tdm_arena_printf(&t->arena, "%s%s%s", text, *text ? ", " : "", words[i]);
	return text ? text : "something";
}

static int add_part(struct tdm_tree *t, const struct entry *e, const struct tdm_role *role,
                    const struct tdm_value *value, size_t index, int depth, struct parts *parts) {
	struct entry *part = NULL;
	int status = find_part(t, e, role, value, index, &part);
	if (status || (status = build_entry(t, part, depth + 1)))
		return status;
	unsigned lacks = role->needs & ~part->model->can;
	if (lacks)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: role %s needs a model with %s; %s (kind %s) lacks %s", e->where,
		                role->name, missing(t, role->needs), part->name, part->model->kind->name, missing(t, lacks));
	parts->models[parts->n] = part->model;
	parts->roles[parts->n++] = role->name;
	return TDM_OK;
}

static int refuse_count(struct tdm_tree *t, const struct entry *e, const struct tdm_role *role, size_t n) {
	bool few = n < (size_t)role->min;
	if (n == 0)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: kind %s expects a model in role \"%s\"%s%s", e->where,
		                tdm_get_string(e->spec, "kind"), role->name, role->help ? ": " : "",
		                role->help ? role->help : "");
	if (role->max == 1)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: role %s: expected one model, found a list", e->where, role->name);
	return tdm_fail(t->err, TDM_ECONFIG, "%s: role %s: expected at %s %d models, found %zu", e->where, role->name,
	                few ? "least" : "most", few ? role->min : role->max, n);
}

static int add_role(struct tdm_tree *t, const struct entry *e, const struct tdm_role *role, int depth,
                    struct parts *parts) {
	const struct tdm_value *value = tdm_get(e->spec, role->name);
	bool is_list = value && value->type == TDM_LIST;
	size_t n = is_list ? value->n : value != NULL;
	if (n < (size_t)role->min || n > (size_t)role->max || (is_list && role->max == 1))
		return refuse_count(t, e, role, n);
	for (size_t i = 0; i < n; i++) {
		int status = add_part(t, e, role, is_list ? &value->items[i] : value, i, depth, parts);
		if (status)
			return status;
	}
	return TDM_OK;
}

static int build_parts(struct tdm_tree *t, const struct entry *e, const struct tdm_kind *kind, int depth,
                       struct parts *parts) {
	for (size_t i = 0; i < kind->n_roles; i++) {
		const struct tdm_value *value = tdm_get(e->spec, kind->roles[i].name);
		parts->cap += value && value->type == TDM_LIST ? value->n : 1;
	}
	parts->models = tdm_arena_array(&t->arena, parts->cap, sizeof *parts->models);
	parts->roles = tdm_arena_array(&t->arena, parts->cap, sizeof *parts->roles);
	if (!parts->models || !parts->roles)
		return no_memory(t);
	for (size_t i = 0; i < kind->n_roles; i++) {
		int status = add_role(t, e, &kind->roles[i], depth, parts);
		if (status)
			return status;
	}
	return TDM_OK;
}

// --- one model

static int find_kind(struct tdm_tree *t, const struct entry *e, const struct tdm_kind **out) {
	const char *names[N_KEYS_LIMIT], *kind = tdm_get_string(e->spec, "kind");
	size_t n = 0;
	if (e->spec->type != TDM_MAP)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: expected {kind: ...}, found %s", e->where,
		                tdm_type_name(e->spec->type));
	if (!kind)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: expected a kind, such as kind: local", e->where);
	for (size_t i = 0; t->kinds[i]; i++) {
		if (!strcmp(t->kinds[i]->name, kind)) {
			*out = t->kinds[i];
			return TDM_OK;
		}
		if (n < N_KEYS_LIMIT)
			names[n++] = t->kinds[i]->name;
	}
	return tdm_fail(t->err, TDM_ECONFIG, "%s: unknown kind \"%s\"%s", e->where, kind, hint(t, kind, names, n));
}

// Reads the common keys and the kind's options, each table knowing the keys of the other one.
static int read_options(struct tdm_tree *t, const struct entry *e, const struct tdm_kind *kind, struct common *common,
                        void **options) {
	const char *also[N_KEYS_LIMIT + 1], *others[N_KEYS_LIMIT + 1];
	size_t n = 0, m = 0;
	for (size_t i = 0; i < kind->n_roles && n < N_KEYS_LIMIT; i++)
		also[n++] = others[m++] = kind->roles[i].name;
	for (size_t i = 0; i < TDM_COUNT(common_options) && n < N_KEYS_LIMIT; i++)
		also[n++] = common_options[i].name;
	for (size_t i = 0; i < kind->n_options && m < N_KEYS_LIMIT; i++)
		others[m++] = kind->options[i].name;
	also[n] = others[m] = NULL;
	*options = tdm_arena_alloc(&t->arena, kind->options_bytes + 1);
	if (!*options)
		return no_memory(t);
	int status = tdm_options_read(&t->arena, e->place, e->spec, kind->options, kind->n_options, also, *options,
	                              kind->options_bytes, t->err);
	return status ? status
	              : tdm_options_read(&t->arena, e->place, e->spec, common_options, TDM_COUNT(common_options), others,
	                                 common, sizeof *common, t->err);
}

static int create_model(struct tdm_tree *t, struct entry *e, const struct tdm_kind *kind, int depth) {
	struct common common;
	struct parts parts = {0};
	struct tdm_price price = {0};
	struct tdm_model *model = NULL;
	void *options;
	int status = read_options(t, e, kind, &common, &options);
	if (!status && common.price)
		status = tdm_options_read(&t->arena, tdm_arena_printf(&t->arena, "%s: price", e->place), common.price,
		                          price_options, TDM_COUNT(price_options), NULL, &price, sizeof price, t->err);
	if (!status && common.price && kind->family != TDM_SOURCE)
		status = tdm_fail(t->err, TDM_ECONFIG, "%s: only sources have a price; a %s costs what its parts cost",
		                  e->where, kind->name);
	if (!status)
		status = build_parts(t, e, kind, depth, &parts);
	if (status)
		return status;
	const struct tdm_build b = {&t->arena,   t->err,  e->name,     e->where, t->folder, kind,   parts.models,
	                            parts.roles, parts.n, t->embedded, t->state, t->hash,   e->spec};
	status = kind->create(&b, options, &model);
	if (status || !model)
		return tdm_fail(t->err, status ? status : TDM_EINTERNAL, "%s: kind %s could not be made", e->where, kind->name);
	model->price = price;
	model->hidden = common.hidden;
	e->model = t->built[t->n_built++] = model;
	return TDM_OK;
}

// "a -> b -> a", from the entries that are being built.
static int refuse_cycle(struct tdm_tree *t, const struct entry *e) {
	const char *path = NULL;
	for (size_t i = 0; i < t->n_entries; i++)
		if (t->entries[i].building && &t->entries[i] != e)
			path = tdm_arena_printf(&t->arena, "%s%s%s", path ? path : "", path ? ", " : "", t->entries[i].name);
	return tdm_fail(t->err, TDM_ECONFIG, "%s: the model uses itself%s%s", e->where, path ? ", by way of " : "",
	                path ? path : "");
}

static int build_entry(struct tdm_tree *t, struct entry *e, int depth) {
	const struct tdm_kind *kind = NULL;
	if (e->model)
		return TDM_OK;
	if (e->building)
		return refuse_cycle(t, e);
	if (depth > DEPTH_LIMIT)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: models are nested more than %d deep", e->where, DEPTH_LIMIT);
	int status = find_kind(t, e, &kind);
	e->building = true;
	if (!status)
		status = create_model(t, e, kind, depth);
	e->building = false;
	return status;
}

// --- the file

static int check_sections(struct tdm_tree *t) {
	if (t->root->type != TDM_MAP)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: expected a map with a section \"models\", found %s", t->name,
		                tdm_type_name(t->root->type));
	for (size_t i = 0; i < t->root->n; i++) {
		const char *key = t->root->keys[i];
		size_t at = 0;
		while (at < TDM_COUNT(sections) && strcmp(sections[at], key) != 0)
			at++;
		if (at == TDM_COUNT(sections))
			return tdm_fail(t->err, TDM_ECONFIG, "%s line %d: unknown section \"%s\"%s", t->name,
			                t->root->items[i].line, key, hint(t, key, sections, TDM_COUNT(sections)));
	}
	return TDM_OK;
}

static int build_all(struct tdm_tree *t, struct tdm_tree_watch *watch) {
	const struct tdm_value *models = tdm_get(t->root, "models");
	struct entry *e;
	int status = TDM_OK;
	if (!models || models->type != TDM_MAP || models->n == 0)
		return tdm_fail(t->err, TDM_ECONFIG, "%s: expected a section \"models\" with at least one model", t->name);
	for (size_t i = 0; i < models->n && !status; i++)
		status = add_entry(t, models->keys[i], &models->items[i], true, &e);
	for (size_t i = 0; i < models->n && !status; i++) {
		if (watch)
			watch->making(watch, models->keys[i], i, models->n);
		status = build_entry(t, &t->entries[i], 1);
		t->named[i] = t->entries[i].model;
	}
	t->n_named = models->n;
	return status;
}

static int read_text(struct tdm_tree *t, const char *name, const char *folder, const char *text, size_t n) {
	uint8_t digest[TDM_SHA256_BYTES];
	t->name = tdm_arena_string(&t->arena, name);
	t->folder = tdm_arena_string(&t->arena, folder);
	if (!t->name || (folder && !t->folder))
		return tdm_fail(t->err, TDM_ENOMEM, "%s: no memory for the tree", name);
	tdm_sha256(text, n, digest);
	memcpy(t->hash, "sha256:", 7);
	tdm_hex(digest, sizeof digest, t->hash + 7);
	int status = tdm_yaml_parse(&t->arena, t->name, text, n, &t->root, t->err);
	return status ? status : check_sections(t);
}

int tdm_tree_read(const char *name, const char *folder, const char *text, size_t n, const struct tdm_kind *const *kinds,
                  const void *(*embedded)(const char *, size_t *), struct tdm_tree **out, struct tdm_error *err) {
	struct tdm_arena arena;
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	struct tdm_tree *t = tdm_arena_alloc(&arena, sizeof *t);
	*out = NULL;
	if (!t) {
		tdm_arena_release(&arena);
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the tree", name);
	}
	t->arena = arena; // the tree lives in its own arena
	t->kinds = kinds;
	t->embedded = embedded;
	t->err = err;
	int status = read_text(t, name, folder, text, n);
	t->err = NULL;
	if (status) {
		tdm_tree_close(t);
		return status;
	}
	*out = t;
	return TDM_OK;
}

static int open_state(struct tdm_tree *t) {
	const char *where = tdm_arena_printf(&t->arena, "%s: state", t->name);
	if (!where)
		return no_memory(t);
	return tdm_shared_from_settings(&t->arena, where, t->folder, tdm_get(t->root, "state"), &t->state, t->err);
}

int tdm_tree_build(struct tdm_tree *t, struct tdm_tree_watch *watch, struct tdm_error *err) {
	t->err = err;
	int status = open_state(t);
	if (!status)
		status = build_all(t, watch);
	t->err = NULL;
	return status;
}

int tdm_tree_load(const char *name, const char *folder, const char *text, size_t n, const struct tdm_kind *const *kinds,
                  const void *(*embedded)(const char *, size_t *), struct tdm_tree **out, struct tdm_error *err) {
	int status = tdm_tree_read(name, folder, text, n, kinds, embedded, out, err);
	if (!status)
		status = tdm_tree_build(*out, NULL, err);
	if (status) {
		tdm_tree_close(*out);
		*out = NULL;
	}
	return status;
}

void tdm_tree_close(struct tdm_tree *t) {
	if (!t)
		return;
	for (size_t i = t->n_built; i-- > 0;)
		if (t->built[i]->ops->destroy)
			t->built[i]->ops->destroy(t->built[i]);
	tdm_shared_close(t->state);
	struct tdm_arena arena = t->arena;
	tdm_arena_release(&arena);
}

struct tdm_model *tdm_tree_model(const struct tdm_tree *t, const char *name) {
	for (size_t i = 0; i < t->n_entries; i++)
		if (!strcmp(t->entries[i].name, name))
			return t->entries[i].model;
	return NULL;
}

size_t tdm_tree_models(const struct tdm_tree *t, struct tdm_model *const **out) {
	*out = t->named;
	return t->n_named;
}

const struct tdm_value *tdm_tree_section(const struct tdm_tree *t, const char *name) {
	return tdm_get(t->root, name);
}

struct tdm_shared *tdm_tree_shared(const struct tdm_tree *t) {
	return t->state;
}

const char *tdm_tree_hash(const struct tdm_tree *t) {
	return t->hash;
}

struct tdm_price tdm_tree_dearest(const struct tdm_tree *t) {
	struct tdm_price dearest = {0};
	for (size_t i = 0; i < t->n_built; i++) {
		struct tdm_price price = t->built[i]->price;
		if (price.in + price.out > dearest.in + dearest.out)
			dearest = price;
	}
	return dearest;
}
