// Settings of the server: one row per option, and what depends on the table alone. An option that a reload cannot
// change: its name also in `of_the_start`.
#include "serve/settings.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(struct tdm_serve_settings, field)

const struct tdm_option tdm_serve_options[] = {
    {"listen", TDM_OPT_STRING, AT(listen), "127.0.0.1:8080", 0, 0, NULL, "address:port; port 0 picks a free one"},
    {"default", TDM_OPT_STRING, AT(standard), NULL, 0, 0, NULL,
     "the model of requests that name none; absent: the first"},
    {"workers", TDM_OPT_INT, AT(workers), "16", 1, 4096, NULL, "requests that are answered at the same time"},
    {"queue", TDM_OPT_INT, AT(queue), "64", 0, 65536, NULL, "requests that may wait; one more is 429 queue_full"},
    {"max_body_bytes", TDM_OPT_INT, AT(max_body_bytes), "33554432", 1024, 1 << 30, NULL, "largest request body"},
    {"timeout", TDM_OPT_INT, AT(timeout_s), "600", 1, 86400, NULL, "longest time for one request, in seconds"},
    {"ping", TDM_OPT_INT, AT(ping_s), "10", 1, 15, NULL,
     "a stream without an event for so many seconds gets a comment"},
    {"connections", TDM_OPT_INT, AT(connections), "4096", 8, 65536, NULL,
     "clients at the same time; for one more the oldest idle one is closed"},
    {"header_timeout", TDM_OPT_INT, AT(header_s), "10", 1, 3600, NULL, "longest time for a request's head, in seconds"},
    {"body_timeout", TDM_OPT_INT, AT(body_s), "30", 1, 3600, NULL, "longest time for the next 64 KiB of a body"},
    {"write_timeout", TDM_OPT_INT, AT(write_s), "60", 1, 3600, NULL,
     "a client that reads nothing for so long is dropped"},
    {"idle_timeout", TDM_OPT_INT, AT(idle_s), "120", 1, 86400, NULL,
     "longest time between two requests of a connection"},
    {"half_close", TDM_OPT_BOOL, AT(half_close), "no", 0, 0, NULL,
     "answer clients that have closed their sending side; no: they have left"},
    {"cors", TDM_OPT_LIST, AT(cors), NULL, 0, 0, NULL,
     "origins of other web pages that may ask; none: no other page may"},
    {"hosts", TDM_OPT_LIST, AT(hosts), NULL, 0, 0, NULL,
     "keyless: names under which clients may ask, beside localhost and the address"},
    {"drain", TDM_OPT_INT, AT(drain_s), "25", 0, 3600, NULL, "seconds that running requests get to end after SIGTERM"},
    {"ledger", TDM_OPT_STRING, AT(ledger), "tandem.db", 0, 0, NULL,
     "file of the receipts, \":memory:\" to keep them until the end, or postgresql://..."},
    {"ledger_required", TDM_OPT_BOOL, AT(ledger_required), "yes", 0, 0, NULL,
     "nothing leaves this machine that the ledger cannot record; no: a warning says so"},
    {"ledger_sync", TDM_OPT_BOOL, AT(ledger_sync), "no", 0, 0, NULL,
     "records also survive a loss of power; every request waits for the disk"},
    {"ledger_journal", TDM_OPT_STRING, AT(ledger_journal), NULL, 0, 0, NULL,
     "where records wait for the ledger's database, as PATH.log.N; absent: beside its file"},
    {"ledger_limit_bytes", TDM_OPT_INT, AT(ledger_limit_bytes), "268435456", 1 << 20, (double)((int64_t)1 << 40), NULL,
     "most that may wait there while the database is away"},
    {"keys", TDM_OPT_LIST, AT(keys), NULL, 0, 0, NULL,
     "accepted API keys, each \"env:NAME\" or \"file:PATH\"; no key of any kind: keyless"},
    {"admin_keys", TDM_OPT_LIST, AT(admin_keys), NULL, 0, 0, NULL,
     "likewise, of who may see what belongs to all tenants"},
    {"key_file", TDM_OPT_STRING, AT(key_file), NULL, 0, 0, NULL,
     "file of virtual keys with tenants, limits and budgets, which tandem key writes"},
    {"responses", TDM_OPT_BOOL, AT(responses), "no", 0, 0, NULL,
     "keep answers of /v1/responses in memory, so that previous_response_id works"},
    {"responses_ttl", TDM_OPT_INT, AT(responses_ttl_s), "3600", 1, 1 << 30, NULL, "for so many seconds"},
    {"responses_bytes", TDM_OPT_INT, AT(responses_bytes), "67108864", 65536, (double)((int64_t)1 << 40), NULL,
     "at most so much of them; the oldest make room"},
    {"open", TDM_OPT_BOOL, AT(open), "no", 0, 0, NULL, "allow keyless use on an address that is not loopback"},
};
const size_t tdm_n_serve_options = sizeof tdm_serve_options / sizeof tdm_serve_options[0];

const struct tdm_option tdm_log_options[] = {
    {"file", TDM_OPT_STRING, offsetof(struct tdm_log_settings, file), NULL, 0, 0, NULL,
     "where lines go, opened again on SIGHUP and SIGUSR1; absent = standard error"},
    {"format", TDM_OPT_CHOICE, offsetof(struct tdm_log_settings, format), "text", 0, 0, "text|json",
     "key=value, or one JSON object a line"},
    {"level", TDM_OPT_CHOICE, offsetof(struct tdm_log_settings, level), "info", 0, 0, "debug|info|warn|error",
     "the least that is written"},
};
const size_t tdm_n_log_options = sizeof tdm_log_options / sizeof tdm_log_options[0];

static const char *const of_the_start[] = {"listen",        "workers",        "queue",          "max_body_bytes",
                                           "ping",          "connections",    "header_timeout", "body_timeout",
                                           "write_timeout", "idle_timeout",   "half_close",     "drain",
                                           "ledger",        "ledger_journal", "ledger_sync",    "ledger_limit_bytes"};

static const struct tdm_option *find(const char *name) {
	for (size_t i = 0; i < tdm_n_serve_options; i++)
		if (!strcmp(tdm_serve_options[i].name, name))
			return &tdm_serve_options[i];
	return NULL;
}

static bool same(const struct tdm_option *o, const struct tdm_serve_settings *a, const struct tdm_serve_settings *b) {
	const char *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;
	if (o->type == TDM_OPT_STRING) {
		const char *s = *(const char *const *)x, *t = *(const char *const *)y;
		return s && t ? !strcmp(s, t) : s == t;
	}
	if (o->type == TDM_OPT_BOOL)
		return *(const bool *)x == *(const bool *)y;
	size_t n = o->type == TDM_OPT_BOOL ? sizeof(bool) : o->type == TDM_OPT_CHOICE ? sizeof(int) : sizeof(int64_t);
	return !memcmp(x, y, n); // no list is among them
}

size_t tdm_serve_needs_restart(const struct tdm_serve_settings *now, const struct tdm_serve_settings *next,
                               const char **names, size_t cap) {
	size_t n = 0;
	for (size_t i = 0; i < sizeof of_the_start / sizeof of_the_start[0]; i++) {
		const struct tdm_option *o = find(of_the_start[i]);
		if (o && !same(o, now, next) && n < cap)
			names[n++] = o->name;
	}
	return n;
}

int tdm_serve_settings_copy(struct tdm_arena *arena, const struct tdm_serve_settings *from,
                            struct tdm_serve_settings *out, struct tdm_error *err) {
	bool failed = false;
	*out = *from;
	for (size_t i = 0; i < tdm_n_serve_options; i++) {
		const struct tdm_option *o = &tdm_serve_options[i];
		void *at = (char *)out + o->offset;
		if (o->type == TDM_OPT_STRING && *(const char **)at) {
			*(const char **)at = tdm_arena_string(arena, *(const char **)at);
			failed |= !*(const char **)at;
		} else if (o->type == TDM_OPT_LIST) {
			struct tdm_strings *list = at;
			const char **items = tdm_arena_array(arena, list->n + 1, sizeof *items);
			for (size_t k = 0; items && k < list->n; k++)
				failed |= !(items[k] = tdm_arena_string(arena, list->items[k]));
			list->items = items;
			failed |= !items;
		} else if (o->type == TDM_OPT_VALUE) {
			*(const void **)at = NULL;
		}
	}
	return failed ? tdm_fail(err, TDM_ENOMEM, "out of memory for the settings") : TDM_OK;
}

int tdm_listen_parse(const char *listen, char *address, size_t cap, int *port, struct tdm_error *err) {
	const char *text = listen, *colon = strrchr(listen, ':');
	char *end = NULL;
	long number = colon ? strtol(colon + 1, &end, 10) : -1;
	size_t n = colon ? (size_t)(colon - listen) : 0;
	if (n > 1 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	if (!colon || end == colon + 1 || *end || number < 0 || number > 65535 || !n || n >= cap)
		return tdm_fail(err, TDM_ECONFIG, "serve.listen: expected \"address:port\", got \"%s\"", listen);
	memcpy(address, text, n);
	address[n] = 0;
	*port = (int)number;
	return TDM_OK;
}

bool tdm_listen_is_local(const char *listen) {
	char address[64];
	int port;
	return !tdm_listen_parse(listen, address, sizeof address, &port, NULL) &&
	       (!strncmp(address, "127.", 4) || !strcmp(address, "::1"));
}

int tdm_serve_check(const struct tdm_serve_settings *s, struct tdm_error *err) {
	char address[64];
	int port, status = tdm_listen_parse(s->listen, address, sizeof address, &port, err);
	if (status || s->keys.n || s->admin_keys.n || s->key_file || s->open || tdm_listen_is_local(s->listen))
		return status;
	return tdm_fail(err, TDM_ECONFIG, "serve.listen: %s is not loopback; set serve.keys, or serve.open: yes", address);
}
