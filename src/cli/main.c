// Tandem's command line: finds the command, reads its options from its table, runs it, prints the sentence of a
// failure.
#include "cli/command.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ARENA_LIMIT_BYTES ((size_t)1 << 30)

static const struct tdm_command *find_command(const char *name) {
	for (size_t i = 0; tdm_commands[i]; i++)
		if (!strcmp(tdm_commands[i]->name, name))
			return tdm_commands[i];
	return NULL;
}

// "certify leak" is the command certify-leak. *at: the first word behind its name.
static const struct tdm_command *find_named(int argc, char **argv, int *at) {
	char name[64];
	const struct tdm_command *c = NULL;
	*at = 2;
	if (argc > 2 && argv[2][0] != '-') {
		snprintf(name, sizeof name, "%s-%s", argv[1], argv[2]);
		c = find_command(name);
		*at += c != NULL;
	}
	return c ? c : find_command(argv[1]);
}

static void print_group(const char *group, const char *title) {
	printf("\n%s\n", title);
	for (size_t i = 0; tdm_commands[i]; i++)
		if (!strcmp(tdm_commands[i]->group, group))
			printf("  %-10s %s\n", tdm_commands[i]->name, tdm_commands[i]->summary);
}

static void print_help(void) {
	printf("tandem: a small and a large language model answer as one.\n\nusage: tandem COMMAND [options]\n");
	print_group("use", "Use");
	print_group("serve", "Serve");
	print_group("measure", "Measure");
	print_group("make", "Make models");
	printf("\ntandem COMMAND --help shows the options of a command.\n");
}

static void print_option(const struct tdm_option *o) {
	char left[64];
	snprintf(left, sizeof left, "--%s%s", o->name, o->type == TDM_OPT_BOOL ? "" : " VALUE");
	printf("  %-24s %s", left, o->help ? o->help : "");
	if (o->type == TDM_OPT_CHOICE)
		printf(" (%s)", o->choices);
	if (o->standard)
		printf(" [%s]", o->standard);
	printf("\n");
}

static void print_command_help(const struct tdm_command *c) {
	printf("tandem %s: %s\n\nusage: tandem %s [options]%s%s\n", c->name, c->summary, c->name, c->operands ? " " : "",
	       c->operands ? c->operands : "");
	if (c->n_options)
		printf("\noptions\n");
	for (size_t i = 0; i < c->n_options; i++)
		print_option(&c->options[i]);
}

static const struct tdm_option *find_option(const struct tdm_command *c, const char *name, size_t n) {
	for (size_t i = 0; i < c->n_options; i++)
		if (strlen(c->options[i].name) == n && !memcmp(c->options[i].name, name, n))
			return &c->options[i];
	return NULL;
}

static int unknown_option(const struct tdm_command *c, const char *name, struct tdm_error *err) {
	const char *names[64];
	size_t n = 0;
	for (size_t i = 0; i < c->n_options && n < 64; i++)
		names[n++] = c->options[i].name;
	const char *near = tdm_nearest(name, names, n);
	return tdm_fail(err, TDM_EVALUE, "tandem %s: unknown option --%s%s%s%s; see tandem %s --help", c->name, name,
	                near ? " (nearest: --" : "", near ? near : "", near ? ")" : "", c->name);
}

struct words {
	char **argv;
	int argc, at;
};

// Reads one "--name..." word, and the next one when the option takes its value from there.
static int read_option(const struct tdm_command *c, struct words *w, void *out, struct tdm_arena *arena,
                       struct tdm_error *err) {
	const char *name = w->argv[w->at] + 2, *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);
	const struct tdm_option *o = find_option(c, name, n);
	if (!o)
		return unknown_option(c, tdm_arena_copy(arena, name, n), err);
	const char *value = equals ? equals + 1 : o->type == TDM_OPT_BOOL ? "yes" : NULL;
	if (!value && w->at + 1 < w->argc)
		value = w->argv[++w->at];
	if (!value)
		return tdm_fail(err, TDM_EVALUE, "tandem %s: option --%s expects a value", c->name, o->name);
	const char *where = tdm_arena_printf(arena, "tandem %s: --%s", c->name, o->name);
	return tdm_option_set(arena, where, o, value, out, err);
}

static int read_words(const struct tdm_command *c, struct words *w, struct tdm_command_call *call, void *out) {
	const char **operands = tdm_arena_array(call->arena, (size_t)w->argc + 1, sizeof *operands);
	if (!operands)
		return tdm_fail(call->error, TDM_ENOMEM, "tandem %s: out of memory", c->name);
	bool only_operands = false;
	for (; w->at < w->argc; w->at++) {
		const char *word = w->argv[w->at];
		if (!only_operands && !strcmp(word, "--")) {
			only_operands = true;
		} else if (!only_operands && word[0] == '-' && word[1] == '-') {
			int status = read_option(c, w, out, call->arena, call->error);
			if (status)
				return status;
		} else {
			operands[call->n_operands++] = word;
		}
	}
	call->operands = operands;
	if (call->n_operands && !c->operands)
		return tdm_fail(call->error, TDM_EVALUE, "tandem %s: takes no operand, but got \"%s\"", c->name, operands[0]);
	return TDM_OK;
}

static int run_command(const struct tdm_command *c, struct words *w, struct tdm_arena *arena, struct tdm_error *err) {
	void *options = tdm_arena_alloc(arena, c->options_bytes + 1);
	if (!options)
		return tdm_fail(err, TDM_ENOMEM, "tandem %s: out of memory", c->name);
	int status = tdm_options_read(arena, c->name, NULL, c->options, c->n_options, NULL, options, c->options_bytes, err);
	if (status)
		return status;
	struct tdm_command_call call = {.arena = arena, .options = options, .error = err};
	status = read_words(c, w, &call, options);
	return status ? status : c->run(&call);
}

static bool wants_help(int argc, char **argv) {
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], "--help"))
			return true;
	return false;
}

int main(int argc, char **argv) {
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		print_help();
		return argc < 2 ? 2 : 0;
	}
	int at;
	const struct tdm_command *c = find_named(argc, argv, &at);
	if (!c) {
		fprintf(stderr, "tandem: unknown command \"%s\"; tandem --help lists the commands\n", argv[1]);
		return 2;
	}
	if (wants_help(argc, argv)) {
		print_command_help(c);
		return 0;
	}
	struct tdm_arena arena;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	struct words w = {.argv = argv, .argc = argc, .at = at};
	int status = run_command(c, &w, &arena, &err);
	if (status && err.text[0])
		fprintf(stderr, "tandem: %s\n", err.text);
	tdm_arena_release(&arena);
	return status ? status == TDM_EVALUE || status == TDM_ECONFIG ? 2 : 1 : 0;
}
