// `tandem serve`: the tree behind HTTP, until SIGTERM or SIGINT.
#include "serve/server.h"
#include "cli/app.h"
#include "cli/command.h"
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_S 20

struct options {
	const char *config, *listen, *ledger;
	bool hello;
};

static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, offsetof(struct options, config), NULL, 0, 0, NULL, "settings file"},
    {"listen", TDM_OPT_STRING, offsetof(struct options, listen), NULL, 0, 0, NULL,
     "address:port instead of serve.listen"},
    {"ledger", TDM_OPT_STRING, offsetof(struct options, ledger), NULL, 0, 0, NULL, "file instead of serve.ledger"},
    {"hello", TDM_OPT_BOOL, offsetof(struct options, hello), "no", 0, 0, NULL, "print a first question to try"},
};

static void print_hello(const char *url) {
	printf("\nTandem answers at %s\n\nTry it:\n  curl -s %s/v1/chat/completions -d '{\"messages\":[{\"role\":\"user\","
	       "\"content\":\"What is the capital of France?\"}]}'\n\nOpenAI clients: base URL %s/v1, any key. Stop with "
	       "Ctrl-C.\n",
	       url, url, url);
}

static int read_settings(const struct tdm_command_call *call, const struct tdm_app *app, struct tdm_serve_settings *s) {
	const struct options *o = call->options;
	const char *where = tdm_arena_printf(call->arena, "%s: serve", app->settings_name);
	int status = tdm_options_read(call->arena, where, tdm_tree_section(app->tree, "serve"), tdm_serve_options,
	                              tdm_n_serve_options, NULL, s, sizeof *s, call->error);
	if (o->listen)
		s->listen = o->listen;
	if (o->ledger)
		s->ledger = o->ledger;
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	struct tdm_serve_settings settings;
	struct tdm_server *server;
	sigset_t stop;
	int signal_number;
	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &stop, NULL); // before any thread starts, so that all of them inherit it
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = read_settings(call, &app, &settings);
	if (!status)
		status = tdm_server_open(app.tree, &settings, &server, call->error);
	if (!status) {
		printf("listening on %s\n", tdm_server_url(server));
		if (o->hello)
			print_hello(tdm_server_url(server));
		fflush(stdout);
		sigwait(&stop, &signal_number);
		tdm_server_close(server, DRAIN_S);
	}
	tdm_app_close(&app);
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
