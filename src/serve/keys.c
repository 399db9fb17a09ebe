// Keys: who may use the server.
#include "base/crypto.h"
#include "base/file.h"
#include "serve/server_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int read_key(const char *spec, char *out, size_t cap, struct tdm_error *err) {
	if (!strncmp(spec, "env:", 4)) {
		const char *value = getenv(spec + 4);
		if (!value || !*value)
			return tdm_fail(err, TDM_ECONFIG, "serve.keys: the environment has no variable %s", spec + 4);
		snprintf(out, cap, "%s", value);
		return TDM_OK;
	}
	if (strncmp(spec, "file:", 5))
		return tdm_fail(err, TDM_ECONFIG, "serve.keys: expected \"env:NAME\" or \"file:PATH\"");
	struct tdm_bytes bytes;
	int status = tdm_file_read(spec + 5, cap - 1, &bytes, err);
	if (status)
		return status;
	snprintf(out, cap, "%s", bytes.data ? bytes.data : "");
	out[strcspn(out, "\r\n")] = 0;
	tdm_bytes_release(&bytes);
	return *out ? TDM_OK : tdm_fail(err, TDM_ECONFIG, "serve.keys: %s is empty", spec + 5);
}

int tdm_keys_read(struct tdm_setup *s, struct tdm_error *err) {
	const struct tdm_strings *keys = &s->settings.keys;
	if (keys->n > TDM_MAX_KEYS)
		return tdm_fail(err, TDM_ECONFIG, "serve.keys: expected at most %d keys, got %zu", TDM_MAX_KEYS, keys->n);
	for (size_t i = 0; i < keys->n; i++) {
		char key[512];
		int status = read_key(keys->items[i], key, sizeof key, err);
		if (status)
			return status;
		tdm_sha256(key, strlen(key), s->keys[s->n_keys++]);
		tdm_wipe(key, sizeof key);
	}
	return TDM_OK;
}

static const char *given_key(const struct tdm_exchange *x) {
	const char *bearer = tdm_exchange_header(x, "authorization");
	if (bearer && !strncasecmp(bearer, "Bearer ", 7))
		return bearer + 7;
	return tdm_exchange_header(x, "x-api-key");
}

// Every accepted key is compared, each in constant time.
bool tdm_keys_right(const struct tdm_setup *s, const struct tdm_exchange *x) {
	const char *key = given_key(x);
	uint8_t hash[32];
	bool right = s->n_keys == 0;
	if (right || !key)
		return right;
	tdm_sha256(key, strlen(key), hash);
	for (size_t i = 0; i < s->n_keys; i++)
		right |= tdm_equal_ct(hash, s->keys[i], sizeof hash);
	return right;
}
