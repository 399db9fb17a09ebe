// Server: the tree behind HTTP. A bounded queue, worker threads, one handler per path.
#pragma once
#include "serve/setup.h"

struct tdm_server;

// settings borrowed until close. Opens the ledger, starts the workers and listens; until the first setup, requests are
// answered with 503 loading. Error: TDM_ECONFIG, TDM_EIO, TDM_ELEDGER.
int tdm_server_open(const struct tdm_serve_settings *settings, struct tdm_server **out, struct tdm_error *err);
void tdm_server_loading(struct tdm_server *s, const char *model, size_t n, size_t total); // for /health until then
// Requests begin with this setup from now on; those that began before keep theirs. Takes it, unless it fails: keyless
// where that is not allowed.
int tdm_server_use(struct tdm_server *s, struct tdm_setup *setup, struct tdm_error *err);
// Closes setups that were replaced and that no request keeps any more. By the thread that calls tdm_server_use. True:
// there are more.
bool tdm_server_tend(struct tdm_server *s);
// The last reload failed, and why (one sentence, shown by /health with a key); tdm_server_use clears it.
void tdm_server_fault(struct tdm_server *s, const char *why);
const char *tdm_server_url(const struct tdm_server *s); // "http://127.0.0.1:8080"
// Lets running requests end (at most drain_s seconds) while new ones are answered with 503 draining, then cancels what
// is left and closes everything.
void tdm_server_close(struct tdm_server *s, int drain_s);
