// Settings of the server: one row per option.
#include "serve/settings.h"
#include <stddef.h>

#define AT(field) offsetof(struct tdm_serve_settings, field)

const struct tdm_option tdm_serve_options[] = {
    {"listen", TDM_OPT_STRING, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "address:port; port 0 picks a free one"},
    {"default", TDM_OPT_STRING, AT(standard), NULL, 0, 0, NULL,
     "the model of requests that name none; absent: the first"},
    {"workers", TDM_OPT_INT, AT(workers), "16", 1, 1024, NULL, "requests that are answered at the same time"},
    {"queue", TDM_OPT_INT, AT(queue), "64", 0, 65536, NULL, "requests that may wait; one more is 429 queue_full"},
    {"max_body_bytes", TDM_OPT_INT, AT(max_body_bytes), "33554432", 1024, 1 << 30, NULL, "largest request body"},
    {"timeout", TDM_OPT_INT, AT(timeout_s), "600", 1, 86400, NULL, "longest time for one request, in seconds"},
    {"ping", TDM_OPT_INT, AT(ping_s), "10", 1, 15, NULL,
     "a stream without an event for so many seconds gets a comment"},
    {"ledger", TDM_OPT_STRING, AT(ledger), "tandem.db", 0, 0, NULL,
     "file of the receipts; \":memory:\" keeps them until the end"},
    {"keys", TDM_OPT_LIST, AT(keys), NULL, 0, 0, NULL,
     "accepted API keys, each \"env:NAME\" or \"file:PATH\"; none: keyless"},
    {"open", TDM_OPT_BOOL, AT(open), "no", 0, 0, NULL, "allow keyless use on an address that is not loopback"},
};
const size_t tdm_n_serve_options = sizeof tdm_serve_options / sizeof tdm_serve_options[0];
