// Settings of the server: the `serve` section of the settings file.
#pragma once
#include "base/option.h"

struct tdm_serve_settings {
	const char *listen, *standard; // "address:port"; the default model
	int64_t workers, queue, max_body_bytes, timeout_s, ping_s;
	const char *ledger;
	struct tdm_strings keys;
	bool open;
};

extern const struct tdm_option tdm_serve_options[];
extern const size_t tdm_n_serve_options;
