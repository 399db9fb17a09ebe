// Server: the tree behind HTTP. A bounded queue, worker threads, one handler per path.
#pragma once
#include "models/tree.h"
#include "serve/settings.h"

struct tdm_server;

// settings borrowed until close. Opens the ledger, starts the workers and listens. Error: TDM_ECONFIG, TDM_EIO,
// TDM_ELEDGER.
int tdm_server_open(const struct tdm_tree *tree, const struct tdm_serve_settings *settings, struct tdm_server **out,
                    struct tdm_error *err);
const char *tdm_server_url(const struct tdm_server *s); // "http://127.0.0.1:8080"
// Stops accepting, lets running requests end (at most drain_s seconds), then cancels what is left and closes
// everything.
void tdm_server_close(struct tdm_server *s, int drain_s);
