// Keys: the table of those who may ask. `lock` guards which table is the one of now; tables themselves never change,
// and one that was replaced goes with the last request that holds it.
#include "serve/keys.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/secret.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_LIMIT_BYTES 512
#define MOST_KEYS_OF_SETTINGS 64
#define TABLE_LIMIT_BYTES ((size_t)64 << 20)

struct row {
	uint8_t mac[TDM_SHA256_BYTES]; // keyed hash of the SHA-256 of the key
	const struct tdm_key *key;
};

struct tdm_key_table {
	struct tdm_arena arena; // of its keys
	struct row *rows;       // by mac
	size_t n;
	atomic_int n_users;
};

struct of_settings { // one key of the settings, a tenant of its own; strings are the settings'
	struct tdm_key key;
	uint8_t hash[TDM_SHA256_BYTES];
};

struct tdm_keys {
	char *path; // of the key file; NULL = none
	struct of_settings fixed[MOST_KEYS_OF_SETTINGS];
	size_t n_fixed;
	uint8_t secret[32];   // of this process
	pthread_mutex_t lock; // guards what follows
	struct tdm_key_table *table;
	struct stat seen; // the file that the table was made of
};

// --- tables

static void table_leave(struct tdm_key_table *t) {
	if (!t || atomic_fetch_sub(&t->n_users, 1) > 1)
		return;
	struct tdm_arena arena = t->arena;
	tdm_arena_release(&arena);
}

static int by_mac(const void *a, const void *b) {
	return memcmp(((const struct row *)a)->mac, ((const struct row *)b)->mac, TDM_SHA256_BYTES);
}

static void mac_of(const struct tdm_keys *k, const uint8_t *hash, uint8_t *out) {
	tdm_hmac_sha256(k->secret, sizeof k->secret, hash, TDM_SHA256_BYTES, out);
}

static int digit_of(char c) {
	return c <= '9' ? c - '0' : c - 'a' + 10;
}

static void add_row(const struct tdm_keys *k, struct tdm_key_table *t, const struct tdm_key *key, const uint8_t *hash) {
	uint8_t read[TDM_SHA256_BYTES];
	for (size_t i = 0; !hash && i < sizeof read; i++)
		read[i] = (uint8_t)(digit_of(key->hash[2 * i]) << 4 | digit_of(key->hash[2 * i + 1]));
	mac_of(k, hash ? hash : read, t->rows[t->n].mac);
	t->rows[t->n++].key = key;
}

static int table_new(const struct tdm_keys *k, struct tdm_key_table **out, struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_key *keys = NULL;
	size_t n = 0;
	tdm_arena_init(&arena, TABLE_LIMIT_BYTES);
	int status = k->path ? tdm_key_file_read(&arena, k->path, &keys, &n, err) : TDM_OK;
	struct tdm_key_table *t = status ? NULL : tdm_arena_alloc(&arena, sizeof *t);
	struct row *rows = t ? tdm_arena_array(&arena, n + k->n_fixed + 1, sizeof *rows) : NULL;
	if (!rows) {
		tdm_arena_release(&arena);
		return status ? status : tdm_fail(err, TDM_ENOMEM, "no memory for the keys");
	}
	t->rows = rows;
	atomic_store(&t->n_users, 1);
	for (size_t i = 0; i < k->n_fixed; i++)
		add_row(k, t, &k->fixed[i].key, k->fixed[i].hash);
	for (size_t i = 0; i < n; i++)
		if (!keys[i].revoked_s)
			add_row(k, t, &keys[i], NULL);
	qsort(t->rows, t->n, sizeof *t->rows, by_mac);
	t->arena = arena;
	*out = t;
	return TDM_OK;
}

// --- a file that changes

static bool same_file(const struct stat *a, const struct stat *b) {
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

// With the lock held. A file that cannot be used changes nothing; one that is gone takes its keys with it.
static void read_again(struct tdm_keys *k, const struct stat *now, bool gone) {
	struct tdm_error err = {0};
	struct tdm_key_table *t = NULL;
	char *path = k->path;
	k->seen = *now;
	k->path = gone ? NULL : path;
	int status = table_new(k, &t, &err);
	k->path = path;
	if (status) {
		tdm_log(TDM_ERROR, "keys.kept", NULL, " reason=\"%s\"", err.text);
		return;
	}
	tdm_log(TDM_INFO, "keys.read", NULL, " n=%zu", t->n);
	table_leave(k->table);
	k->table = t;
}

static struct tdm_key_table *table_of_now(struct tdm_keys *k) {
	struct stat now = {0};
	pthread_mutex_lock(&k->lock);
	bool gone = k->path && stat(k->path, &now) && errno == ENOENT;
	if (k->path && !same_file(&now, &k->seen))
		read_again(k, &now, gone);
	struct tdm_key_table *t = k->table;
	atomic_fetch_add(&t->n_users, 1);
	pthread_mutex_unlock(&k->lock);
	return t;
}

// --- keys of the settings

static int read_text(const char *option, const char *spec, struct tdm_bytes *out, struct tdm_error *err) {
	struct stat info;
	int status = tdm_secret_line(option, NULL, spec, KEY_LIMIT_BYTES - 1, out, err);
	if (status || strncmp(spec, "file:", 5) || stat(spec + 5, &info) || !(info.st_mode & S_IRWXO))
		return status;
	tdm_secret_wipe(out);
	return tdm_fail(err, TDM_ECONFIG, "%s: %s may be read by everybody; expected mode 0600", option, spec + 5);
}

static int read_fixed(struct tdm_keys *k, const char *option, const struct tdm_strings *specs, bool admin,
                      struct tdm_error *err) {
	for (size_t i = 0; i < specs->n; i++) {
		if (k->n_fixed == MOST_KEYS_OF_SETTINGS)
			return tdm_fail(err, TDM_ECONFIG, "%s: more than %d keys; serve.key_file holds any number", option,
			                MOST_KEYS_OF_SETTINGS);
		struct tdm_bytes text;
		int status = read_text(option, specs->items[i], &text, err);
		if (status)
			return status;
		struct of_settings *f = &k->fixed[k->n_fixed++];
		const char *name = specs->items[i]; // where it comes from names it: that stays when the list changes
		f->key = (struct tdm_key){.id = name, .name = name, .tenant = name, .admin = admin};
		tdm_sha256(text.data, text.len, f->hash);
		tdm_secret_wipe(&text);
	}
	return TDM_OK;
}

// --- opening and closing

int tdm_keys_open(const struct tdm_serve_settings *settings, struct tdm_keys **out, struct tdm_error *err) {
	struct tdm_keys *k = calloc(1, sizeof *k);
	if (!k)
		return tdm_fail(err, TDM_ENOMEM, "out of memory");
	pthread_mutex_init(&k->lock, NULL);
	int status = tdm_system_random(k->secret, sizeof k->secret);
	if (status)
		tdm_fail(err, status, "the system gives no random numbers");
	if (!status)
		status = read_fixed(k, "serve.keys", &settings->keys, false, err);
	if (!status)
		status = read_fixed(k, "serve.admin_keys", &settings->admin_keys, true, err);
	if (!status && settings->key_file && !(k->path = strdup(settings->key_file)))
		status = tdm_fail(err, TDM_ENOMEM, "out of memory");
	if (!status && k->path)
		stat(k->path, &k->seen); // before it is read: a change meanwhile is seen later
	if (!status)
		status = table_new(k, &k->table, err);
	if (status) {
		tdm_keys_close(k);
		return status;
	}
	*out = k;
	return TDM_OK;
}

void tdm_keys_close(struct tdm_keys *k) {
	if (!k)
		return;
	table_leave(k->table);
	pthread_mutex_destroy(&k->lock);
	free(k->path);
	tdm_wipe(k, sizeof *k);
	free(k);
}

bool tdm_keys_none(const struct tdm_keys *k) {
	return !k->n_fixed && !k->path;
}

// --- asking

static const struct tdm_key *find(const struct tdm_keys *k, const struct tdm_key_table *t, const char *text) {
	struct row wanted;
	uint8_t hash[TDM_SHA256_BYTES];
	tdm_sha256(text, strlen(text), hash);
	mac_of(k, hash, wanted.mac);
	const struct row *row = bsearch(&wanted, t->rows, t->n, sizeof *t->rows, by_mac);
	return row && tdm_equal_ct(row->mac, wanted.mac, sizeof wanted.mac) ? row->key : NULL;
}

int tdm_keys_find(struct tdm_keys *k, const char *key, struct tdm_who *who, struct tdm_error *err) {
	*who = (struct tdm_who){.table = table_of_now(k)};
	who->key = key ? find(k, who->table, key) : NULL;
	bool late = who->key && who->key->expires_s && tdm_wall_us() / 1000000 >= who->key->expires_s;
	if (!who->key || late) {
		tdm_who_leave(who);
		return tdm_fail(err, TDM_EKEY,
		                late ? "the API key has expired" : "the API key is missing or not one of this server's");
	}
	who->name = who->key->name;
	who->tenant = who->key->tenant;
	who->admin = who->key->admin;
	return TDM_OK;
}

void tdm_who_leave(struct tdm_who *who) {
	table_leave(who->table);
	*who = (struct tdm_who){0};
}

bool tdm_who_may_ask(const struct tdm_who *who, const char *model) {
	const struct tdm_strings *models = who->key ? &who->key->models : NULL;
	if (!models || !models->n)
		return true;
	for (size_t i = 0; i < models->n; i++)
		if (!strcmp(models->items[i], model))
			return true;
	return false;
}
