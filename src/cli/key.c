// `tandem key new|list|revoke`: virtual keys of serve.key_file. A running server reads the file before its next
// decision, so nothing has to be told or restarted. A new key is printed once and kept nowhere.
#include "serve/key_file.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/random.h"
#include "cli/app.h"
#include "cli/command.h"
#include "serve/settings.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_S INT64_C(86400)
#define PREFIX "tdm-"

struct options {
	const char *config, *file, *name;
	int64_t days;
	struct tdm_key key;
};

#define AT(field) offsetof(struct options, field)
#define KEY_AT(field) offsetof(struct options, key.field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file, whose serve.key_file is meant"},
    {"file", TDM_OPT_STRING, AT(file), NULL, 0, 0, NULL, "key file instead of that"},
    {"name", TDM_OPT_STRING, AT(name), NULL, 0, 0, NULL, "what people call the new key"},
    {"days", TDM_OPT_INT, AT(days), "0", 0, 36500, NULL, "until it expires; 0 = never"},
    TDM_KEY_BOUNDS(KEY_AT),
};

static int find_file(const struct tdm_command_call *call, const char **out) {
	const struct options *o = call->options;
	struct tdm_app app;
	struct tdm_serve_settings s;
	*out = o->file;
	if (o->file)
		return TDM_OK;
	int status = tdm_app_read(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = tdm_options_read(call->arena, "serve", tdm_tree_section(app.tree, "serve"), tdm_serve_options,
	                          tdm_n_serve_options, NULL, &s, sizeof s, call->error);
	*out = status ? NULL : tdm_arena_string(call->arena, s.key_file);
	tdm_app_close(&app);
	if (!status && !*out)
		return tdm_fail(call->error, TDM_EVALUE,
		                "tandem key: the settings name no serve.key_file; set it, or give --file PATH");
	return status;
}

// --- changes

struct change {
	struct tdm_key_change change;
	struct tdm_key *key;  // new: the one to add
	const char *id;       // revoke: id or name
	struct tdm_key found; // revoke: the one that was
};

static int add_key(struct tdm_key_change *self, struct tdm_key *keys, size_t *n, struct tdm_error *err) {
	struct change *c = (struct change *)self;
	for (size_t i = 0; i < *n; i++)
		if (!strcmp(keys[i].name, c->key->name) && !keys[i].revoked_s)
			return tdm_fail(err, TDM_EVALUE, "tandem key: there is a key \"%s\" already", c->key->name);
	keys[(*n)++] = *c->key;
	return TDM_OK;
}

static int revoke_key(struct tdm_key_change *self, struct tdm_key *keys, size_t *n, struct tdm_error *err) {
	struct change *c = (struct change *)self;
	for (size_t i = 0; i < *n; i++) {
		if (keys[i].revoked_s || (strcmp(keys[i].id, c->id) != 0 && strcmp(keys[i].name, c->id) != 0))
			continue;
		keys[i].revoked_s = tdm_wall_us() / 1000000;
		c->found = keys[i];
		return TDM_OK;
	}
	return tdm_fail(err, TDM_EVALUE, "tandem key: there is no key \"%s\" to revoke; tandem key list shows them", c->id);
}

// --- the three verbs

static int new_key(const struct tdm_command_call *call, const char *path) {
	const struct options *o = call->options;
	struct tdm_key key = o->key;
	char id[TDM_ID_BYTES], part[TDM_ID_BYTES], text[2 * TDM_ID_BYTES + 8], hex[2 * TDM_SHA256_BYTES + 1];
	uint8_t hash[TDM_SHA256_BYTES];
	if (!o->name || !*o->name)
		return tdm_fail(call->error, TDM_EVALUE, "tandem key new: expected --name NAME");
	tdm_make_id(id, "key_");
	tdm_make_id(text, PREFIX);
	tdm_make_id(part, "");
	memcpy(text + strlen(text), part, strlen(part) + 1);
	tdm_sha256(text, strlen(text), hash);
	tdm_hex(hash, sizeof hash, hex);
	key.id = id;
	key.name = o->name;
	key.hash = hex;
	key.created_s = tdm_wall_us() / 1000000;
	key.expires_s = o->days ? key.created_s + o->days * DAY_S : 0;
	struct change c = {.change = {add_key}, .key = &key};
	int status = tdm_key_file_change(call->arena, path, &c.change, call->error);
	if (!status)
		printf("%s\n", text);
	if (!status)
		fprintf(stderr, "key %s (%s) of tenant %s is in %s; it is shown this once\n", key.name, id, key.tenant, path);
	tdm_wipe(text, sizeof text);
	tdm_wipe(part, sizeof part);
	return status;
}

static void print_key(const struct tdm_key *k, int64_t now_s) {
	char until[32] = "never";
	time_t at = (time_t)k->expires_s;
	struct tm tm;
	if (k->expires_s)
		strftime(until, sizeof until, "%Y-%m-%d", gmtime_r(&at, &tm));
	const char *state = k->revoked_s ? "revoked" : k->expires_s && now_s >= k->expires_s ? "expired" : "valid";
	printf("%s name=%s tenant=%s state=%s expires=%s%s", k->id, k->name, k->tenant, state, until,
	       k->admin ? " admin" : "");
	for (size_t i = 0; i < k->models.n; i++)
		printf("%s%s", i ? "," : " models=", k->models.items[i]);
	if (k->requests_per_minute)
		printf(" requests_per_minute=%lld", (long long)k->requests_per_minute);
	if (k->tokens_per_minute)
		printf(" tokens_per_minute=%lld", (long long)k->tokens_per_minute);
	if (k->concurrency)
		printf(" concurrency=%lld", (long long)k->concurrency);
	if (k->money > 0)
		printf(" money=%.9g", k->money);
	if (k->tokens)
		printf(" tokens=%lld", (long long)k->tokens);
	printf("\n");
}

static int list_keys(const struct tdm_command_call *call, const char *path) {
	struct tdm_key *keys;
	size_t n;
	int status = tdm_key_file_read(call->arena, path, &keys, &n, call->error);
	for (size_t i = 0; !status && i < n; i++)
		print_key(&keys[i], tdm_wall_us() / 1000000);
	return status;
}

static int revoke(const struct tdm_command_call *call, const char *path) {
	struct change c = {.change = {revoke_key}, .id = call->n_operands > 1 ? call->operands[1] : NULL};
	if (!c.id)
		return tdm_fail(call->error, TDM_EVALUE, "tandem key revoke: expected the name or the id of a key");
	int status = tdm_key_file_change(call->arena, path, &c.change, call->error);
	if (!status)
		printf("%s name=%s is revoked, from the next request on\n", c.found.id, c.found.name);
	return status;
}

static int run(const struct tdm_command_call *call) {
	static const struct {
		const char *name;
		int (*run)(const struct tdm_command_call *call, const char *path);
	} verbs[] = {{"new", new_key}, {"list", list_keys}, {"revoke", revoke}};
	const char *path, *verb = call->n_operands ? call->operands[0] : "";
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(verbs[i].name, verb) != 0)
			continue;
		int status = find_file(call, &path);
		return status ? status : verbs[i].run(call, path);
	}
	return tdm_fail(call->error, TDM_EVALUE, "tandem key: expected new, list or revoke, got \"%s\"", verb);
}

const struct tdm_command tdm_command_key = {
    .name = "key",
    .summary = "virtual keys: new, list, revoke; a running server knows at once",
    .operands = "new | list | revoke NAME",
    .group = "serve",
    .options = options,
    .n_options = sizeof options / sizeof options[0],
    .options_bytes = sizeof(struct options),
    .run = run,
};
