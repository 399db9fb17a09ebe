// Settings of the state: one row per option, and the password, which does not stand in the file.
#include "ledger/shared_settings.h"
#include "base/secret.h"
#include <stddef.h>

#define PASSWORD_LIMIT_BYTES 512

struct settings {
	const char *url, *password, *prefix;
	int64_t timeout_ms, max_bytes;
};

#define AT(field) offsetof(struct settings, field)
const struct tdm_option tdm_shared_settings[] = {
    {"url", TDM_OPT_STRING, AT(url), "memory:", 0, 0, NULL,
     "what limits, budgets, breakers and caches know: memory:, sqlite:PATH (survives a restart), "
     "redis://HOST:PORT/NUMBER "
     "or unix:PATH (shared by replicas)"},
    {"password", TDM_OPT_STRING, AT(password), NULL, 0, 0, NULL, "of that server, \"env:NAME\" or \"file:PATH\""},
    {"prefix", TDM_OPT_STRING, AT(prefix), "tandem:", 0, 0, NULL, "of every key in that server"},
    {"timeout_ms", TDM_OPT_INT, AT(timeout_ms), "200", 1, 60000, NULL, "longest wait for that server, ms"},
    {"max_bytes", TDM_OPT_INT, AT(max_bytes), "67108864", 65536, INT64_C(1) << 40, NULL,
     "of values kept in memory or in a file"},
};
const size_t tdm_n_shared_settings = sizeof tdm_shared_settings / sizeof tdm_shared_settings[0];

int tdm_shared_from_settings(struct tdm_arena *arena, const char *where, const char *folder,
                             const struct tdm_value *section, struct tdm_shared **out, struct tdm_error *err) {
	struct settings s;
	struct tdm_shared_options o;
	struct tdm_bytes password;
	tdm_bytes_init(&password, PASSWORD_LIMIT_BYTES);
	int status =
	    tdm_options_read(arena, where, section, tdm_shared_settings, tdm_n_shared_settings, NULL, &s, sizeof s, err);
	if (!status && s.password)
		status = tdm_secret_line(where, folder, s.password, PASSWORD_LIMIT_BYTES, &password, err);
	if (status)
		return status;
	tdm_shared_options_init(&o);
	o.url = s.url;
	o.folder = folder;
	o.password = password.data;
	o.prefix = s.prefix;
	o.timeout_ms = s.timeout_ms;
	o.max_bytes = s.max_bytes;
	status = tdm_shared_join(&o, out, err);
	tdm_secret_wipe(&password);
	return status;
}
