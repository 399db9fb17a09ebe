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
#include "cli/reading.h"
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

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

static int open_log(const struct tdm_log_settings *log, struct tdm_error *err) {
	tdm_log_set_level((enum tdm_level)log->level);
	return tdm_log_open(log->file, log->format == 1, err);
}

static void reopen_log(void) {
	struct tdm_error err = {0};
	if (tdm_log_reopen(&err))
		tdm_log(TDM_ERROR, "log.kept", NULL, " reason=\"%s\"", err.text);
	else
		tdm_log(TDM_INFO, "log.open", NULL, " reason=signal");
}

static void reload(const struct options *o, struct tdm_server *server, const struct tdm_serve_settings *now) {
	struct tdm_reading r;
	struct tdm_error err = {0};
	struct tdm_setup *setup = NULL;
	int64_t started_us = tdm_now_us();
	reopen_log();
	const struct tdm_given given = {o->config, o->listen, o->ledger};
	int status = tdm_reading_open(&given, &r, &err);
	struct tdm_log_settings log = r.log;
	if (!status)
		status = tdm_reading_make(&r, NULL, &setup, &err);
	if (!status)
		status = tdm_server_use(server, setup, &err);
	if (status) {
		tdm_setup_close(setup);
		tdm_server_fault(server, err.text);
		tdm_log(TDM_ERROR, "settings.kept", NULL, " reason=\"%s\"", err.text);
		return;
	}
	tdm_log_set_level((enum tdm_level)log.level);
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
		else if (number == SIGUSR1)
			reopen_log();
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

// The port is open; the models are made while it says so.
static int load_first(struct tdm_reading *r, struct tdm_server *server, struct tdm_error *err) {
	struct loading loading = {{tell_loading}, server, tdm_now_us()};
	struct tdm_setup *setup = NULL;
	int status = tdm_reading_make(r, &loading.watch, &setup, err);
	if (!status && (status = tdm_server_use(server, setup, err)))
		tdm_setup_close(setup);
	malloc_trim(0); // what reading settings and compiling patterns took
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_reading r;
	struct tdm_server *server;
	sigset_t signals;
	const struct tdm_given given = {o->config, o->listen, o->ledger};
	block_signals(&signals);
	int status = tdm_reading_open(&given, &r, call->error);
	if (status)
		return status;
	if (o->dry_run)
		return tdm_reading_check(&r, false, call->error);
	struct tdm_serve_settings settings;
	unsigned long files = 0;
	status = tdm_serve_settings_copy(call->arena, &r.settings, &settings, call->error);
	if (!status)
		status = open_log(&r.log, call->error);
	if (!status) {
		files = raise_file_limit(&settings);
		status = tdm_server_open(&settings, &server, call->error);
	}
	if (status) {
		tdm_reading_close(&r);
		return status;
	}
	status = load_first(&r, server, call->error);
	if (!status) {
		tdm_log(TDM_INFO, "serve.start", NULL, " url=%s files=%lu workers=%lld queue=%lld ledger=%s",
		        tdm_server_url(server), files, (long long)settings.workers, (long long)settings.queue, settings.ledger);
		printf("listening on %s\n", tdm_server_url(server));
		if (o->hello)
			print_hello(tdm_server_url(server));
		fflush(stdout);
		tdm_log_gather();
		obey_signals(&signals, o, server, &settings);
	}
	tdm_server_close(server, status ? 0 : (int)settings.drain_s);
	tdm_log_gather_no_more();
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
