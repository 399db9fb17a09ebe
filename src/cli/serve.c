// `tandem serve`: the tree behind HTTP, until SIGTERM or SIGINT. This thread owns the setups: it makes the first one
// while the server already answers "loading", and another one beside it for every SIGHUP.
//
// The rule it protects: settings are read, checked and loaded whole before any request sees them; a bad file changes
// nothing.
#include "serve/http.h"
#include "serve/server.h"
#include "base/clock.h"
#include "base/log.h"
#include "cli/app.h"
#include "cli/command.h"
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SETTINGS_LIMIT_BYTES ((size_t)64 << 20)
#define LOADING_LINE_US 200000
#define N_SPARE_FILES 64 // beside connections and workers: ledger, log, models

struct options {
	const char *config, *listen, *ledger;
	bool hello, dry_run;
};

static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, offsetof(struct options, config), NULL, 0, 0, NULL, "settings file"},
    {"listen", TDM_OPT_STRING, offsetof(struct options, listen), NULL, 0, 0, NULL,
     "address:port instead of serve.listen"},
    {"ledger", TDM_OPT_STRING, offsetof(struct options, ledger), NULL, 0, 0, NULL, "file instead of serve.ledger"},
    {"hello", TDM_OPT_BOOL, offsetof(struct options, hello), "no", 0, 0, NULL, "print a first question to try"},
    {"dry-run", TDM_OPT_BOOL, offsetof(struct options, dry_run), "no", 0, 0, NULL,
     "check everything, load the models, and end without listening"},
};

static void print_hello(const char *url) {
	printf("\nTandem answers at %s\n\nPlayground, in a browser: %s/\nWhat it does and costs:   %s/admin\n\nTry it:\n  "
	       "curl -s %s/v1/chat/completions -d '{\"messages\":[{\"role\":\"user\","
	       "\"content\":\"What is the capital of France?\"}]}'\n\nOpenAI clients: base URL %s/v1, any key. Stop with "
	       "Ctrl-C.\n",
	       url, url, url, url, url);
}

// --- settings

struct reading { // of the settings file
	struct tdm_arena arena;
	struct tdm_app app;
	struct tdm_serve_settings settings;
};

// The file and its serve section; no model is made. On failure nothing is left.
static int read_settings(const struct options *o, struct reading *r, struct tdm_error *err) {
	tdm_arena_init(&r->arena, SETTINGS_LIMIT_BYTES);
	int status = tdm_app_read(&r->arena, o->config, &r->app, err);
	if (!status) {
		const char *where = tdm_arena_printf(&r->arena, "%s: serve", r->app.settings_name);
		status = tdm_options_read(&r->arena, where, tdm_tree_section(r->app.tree, "serve"), tdm_serve_options,
		                          tdm_n_serve_options, NULL, &r->settings, sizeof r->settings, err);
	}
	if (o->listen)
		r->settings.listen = o->listen;
	if (o->ledger)
		r->settings.ledger = o->ledger;
	if (status) {
		tdm_app_close(&r->app);
		tdm_arena_release(&r->arena);
	}
	return status;
}

// Makes the models and the setup. Takes the reading, also when it fails.
static int make_setup(struct reading *r, struct tdm_tree_watch *watch, struct tdm_setup **out, struct tdm_error *err) {
	int status = tdm_tree_build(r->app.tree, watch, err);
	if (!status)
		return tdm_setup_new(&r->arena, r->app.tree, &r->settings, out, err);
	tdm_app_close(&r->app);
	tdm_arena_release(&r->arena);
	return status;
}

struct loading {
	struct tdm_tree_watch watch;
	struct tdm_server *server;
	int64_t told_us; // a line of the log now and then, none when it is quick
};

static void tell_loading(struct tdm_tree_watch *watch, const char *model, size_t n, size_t total) {
	struct loading *l = (struct loading *)watch;
	int64_t now_us = tdm_now_us();
	tdm_server_loading(l->server, model, n, total);
	if (now_us < l->told_us + LOADING_LINE_US)
		return;
	l->told_us = now_us;
	tdm_log(TDM_INFO, "serve.loading", NULL, " url=%s model=%s done=%zu of=%zu", tdm_server_url(l->server), model, n,
	        total);
}

// --- signals

static void tell_restart(const struct tdm_serve_settings *now, const struct tdm_serve_settings *next) {
	const char *names[8];
	size_t n = tdm_serve_needs_restart(now, next, names, TDM_COUNT(names));
	for (size_t i = 0; i < n; i++)
		tdm_log(TDM_WARN, "settings.restart", NULL, " option=serve.%s effect=\"at the next start\"", names[i]);
}

static void reload(const struct options *o, struct tdm_server *server, const struct tdm_serve_settings *now) {
	struct reading r;
	struct tdm_error err = {0};
	struct tdm_setup *setup = NULL;
	int64_t started_us = tdm_now_us();
	int status = read_settings(o, &r, &err);
	if (!status)
		status = make_setup(&r, NULL, &setup, &err);
	if (!status)
		status = tdm_server_use(server, setup, &err);
	if (status) {
		tdm_setup_close(setup);
		tdm_server_fault(server, err.text);
		tdm_log(TDM_ERROR, "settings.kept", NULL, " reason=\"%s\"", err.text);
		return;
	}
	tdm_log(TDM_INFO, "settings.reload", NULL, " hash=%s us=%lld", tdm_tree_hash(setup->tree),
	        (long long)(tdm_now_us() - started_us));
	tell_restart(now, &setup->settings);
}

// Until SIGTERM or SIGINT.
static void obey_signals(const sigset_t *set, const struct options *o, struct tdm_server *server,
                         const struct tdm_serve_settings *now) {
	const struct timespec tick = {.tv_sec = 0, .tv_nsec = 200000000};
	bool more = false;
	for (;;) {
		int number = more ? sigtimedwait(set, NULL, &tick) : sigwaitinfo(set, NULL);
		if (number == SIGTERM || number == SIGINT)
			return;
		if (number == SIGHUP)
			reload(o, server, now);
		more = tdm_server_tend(server);
	}
}

// --- the process

// A server that runs out of descriptors refuses clients, so it takes as many as it may use, where the system lets it.
static unsigned long raise_file_limit(const struct tdm_serve_settings *s) {
	struct rlimit limit;
	rlim_t wanted = (rlim_t)s->connections + (rlim_t)s->workers * 2 + N_SPARE_FILES;
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < wanted)
		tdm_log(TDM_WARN, "serve.files", NULL, " limit=%lu wanted=%lu", (unsigned long)limit.rlim_cur,
		        (unsigned long)wanted);
	return (unsigned long)limit.rlim_cur;
}

static void block_signals(sigset_t *set) {
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, set, NULL); // before any thread starts, so that all of them inherit it
}

static int dry_run(struct reading *r, struct tdm_error *err) {
	struct tdm_setup *setup;
	char name[256];
	snprintf(name, sizeof name, "%s", r->app.settings_name);
	int status = make_setup(r, NULL, &setup, err);
	if (!status && (status = tdm_serve_check(&setup->settings, err)))
		tdm_setup_close(setup);
	if (status)
		return status;
	printf("%s is good: %s\n", name, tdm_tree_hash(setup->tree));
	tdm_setup_close(setup);
	return TDM_OK;
}

// The port is open; the models are made while it says so.
static int load_first(struct reading *r, struct tdm_server *server, struct tdm_error *err) {
	struct loading loading = {{tell_loading}, server, tdm_now_us()};
	struct tdm_setup *setup = NULL;
	int status = make_setup(r, &loading.watch, &setup, err);
	if (!status && (status = tdm_server_use(server, setup, err)))
		tdm_setup_close(setup);
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct reading r;
	struct tdm_server *server;
	sigset_t signals;
	block_signals(&signals);
	int status = read_settings(o, &r, call->error);
	if (status)
		return status;
	if (o->dry_run)
		return dry_run(&r, call->error);
	struct tdm_serve_settings settings;
	if ((status = tdm_serve_settings_copy(call->arena, &r.settings, &settings, call->error)))
		return status;
	unsigned long files = raise_file_limit(&settings);
	status = tdm_server_open(&settings, &server, call->error);
	if (status)
		return status;
	status = load_first(&r, server, call->error);
	if (!status) {
		tdm_log(TDM_INFO, "serve.start", NULL, " url=%s files=%lu workers=%lld queue=%lld ledger=%s",
		        tdm_server_url(server), files, (long long)settings.workers, (long long)settings.queue, settings.ledger);
		printf("listening on %s\n", tdm_server_url(server));
		if (o->hello)
			print_hello(tdm_server_url(server));
		fflush(stdout);
		obey_signals(&signals, o, server, &settings);
	}
	tdm_server_close(server, status ? 0 : (int)settings.drain_s);
	return status;
}

const struct tdm_command tdm_command_serve = {
    .name = "serve",
    .summary = "the models behind an OpenAI-compatible HTTP server",
    .group = "serve",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
