// Settings of the server: the `serve` section of the settings file.
#pragma once
#include "base/option.h"

struct tdm_serve_settings {
	const char *listen, *standard; // "address:port"; the default model
	int64_t workers, queue, max_body_bytes, timeout_s, ping_s, drain_s;
	const char *ledger, *ledger_journal;
	int64_t ledger_limit_bytes;
	bool ledger_sync, ledger_required;
	struct tdm_strings keys, admin_keys;
	const char *key_file;
	int64_t responses_ttl_s, responses_bytes;
	bool responses, open;
	int64_t connections, header_s, body_s, write_s, idle_s;
	bool half_close;
	struct tdm_strings cors, hosts;
};

extern const struct tdm_option tdm_serve_options[];
extern const size_t tdm_n_serve_options;

struct tdm_log_settings { // the `log` section
	const char *file;     // NULL = standard error
	int format, level;    // 0 text, 1 json; enum tdm_level
};
extern const struct tdm_option tdm_log_options[];
extern const size_t tdm_n_log_options;

// Names of options that differ and that only a start can change.
size_t tdm_serve_needs_restart(const struct tdm_serve_settings *now, const struct tdm_serve_settings *next,
                               const char **names, size_t cap);
// A copy whose strings live in the arena; values that are read by their owners (TDM_OPT_VALUE) are left out.
int tdm_serve_settings_copy(struct tdm_arena *arena, const struct tdm_serve_settings *from,
                            struct tdm_serve_settings *out, struct tdm_error *err);
bool tdm_listen_is_local(const char *listen); // only this machine can connect
int tdm_listen_parse(const char *listen, char *address, size_t cap, int *port, struct tdm_error *err);
// What no single row can check: the address can be read, and keyless use is on loopback or allowed.
int tdm_serve_check(const struct tdm_serve_settings *s, struct tdm_error *err);
