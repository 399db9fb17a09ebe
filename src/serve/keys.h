// Keys: who asks. Keys of the settings (serve.keys, serve.admin_keys: env: or file:) and virtual keys of a key file
// (key_file.h), in one table and looked up in one way, whatever header carried them.
//
// The rules they protect: only SHA-256 of a key is kept; what is compared is a keyed hash of that, made with a secret
// of this process, so that no time tells how much of a guess was right; a file that changed is read before the next
// decision, so that a key that was revoked is refused from the next request on, also on connections that stay open.
#pragma once
#include "serve/key_file.h"
#include "serve/settings.h"

struct tdm_keys;
struct tdm_key_table;

struct tdm_who {               // who asks; for as long as it is held
	const struct tdm_key *key; // NULL: keyless
	const char *name, *tenant; // NULL: keyless
	bool admin;                // may see what belongs to all tenants
	struct tdm_key_table *table;
};

// Reads everything that the settings name. Error: TDM_ECONFIG with one sentence.
int tdm_keys_open(const struct tdm_serve_settings *settings, struct tdm_keys **out, struct tdm_error *err);
void tdm_keys_close(struct tdm_keys *k);      // NULL is fine
bool tdm_keys_none(const struct tdm_keys *k); // keyless: nothing in the settings asks for a key
// key: as given, NULL = none; there are keys to compare it with. TDM_OK, and *who is held until tdm_who_leave;
// TDM_EKEY.
int tdm_keys_find(struct tdm_keys *k, const char *key, struct tdm_who *who, struct tdm_error *err);
void tdm_who_leave(struct tdm_who *who); // one that was not found is fine
bool tdm_who_may_ask(const struct tdm_who *who, const char *model);
