// `tandem chat`: a conversation on the terminal, the text coloured by the model that wrote it.
#include "cli/app.h"
#include "cli/command.h"
#include "cli/talk.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_TURNS 400
#define ANSWER_LIMIT_BYTES ((size_t)4 << 20)

struct options {
	struct tdm_asked asked;
};

static const struct tdm_option options[] = {
    TDM_TALK_OPTIONS(struct options, asked),
};

struct conversation {
	struct tdm_arena *arena;
	struct tdm_message messages[MAX_TURNS];
	size_t n;
};

static bool add(struct conversation *c, enum tdm_author from, const char *text, size_t len) {
	char *copy = tdm_arena_copy(c->arena, text, len);
	if (!copy || c->n == MAX_TURNS)
		return false;
	c->messages[c->n++] = (struct tdm_message){.from = from, .text = copy, .len = len};
	return true;
}

// One turn. A failure is told and the question forgotten, so that the conversation can go on.
static void turn(struct conversation *c, const struct tdm_talk *talk, struct tdm_model *model, const char *line,
                 size_t len) {
	struct tdm_error err = {0};
	struct tdm_bytes answer;
	if (!add(c, TDM_FROM_USER, line, len)) {
		fprintf(stderr, "tandem: the conversation is full (%d messages); /new starts another\n", MAX_TURNS);
		return;
	}
	tdm_bytes_init(&answer, ANSWER_LIMIT_BYTES);
	if (tdm_talk(talk, model, c->messages, c->n, &answer, &err)) {
		fprintf(stderr, "tandem: %s\n", err.text);
		c->n--;
	} else {
		add(c, TDM_FROM_ASSISTANT, answer.data ? answer.data : "", answer.len);
	}
	tdm_bytes_release(&answer);
}

static void loop(struct conversation *c, const struct tdm_talk *talk, struct tdm_model *model) {
	char *line = NULL;
	size_t cap = 0, n_system = c->n;
	bool terminal = isatty(STDIN_FILENO);
	for (;;) {
		if (terminal) {
			printf("> ");
			fflush(stdout);
		}
		ssize_t n = getline(&line, &cap, stdin);
		if (n < 0 || !strcmp(line, "/quit\n"))
			break;
		if (line[n - 1] == '\n')
			line[--n] = 0;
		if (!strcmp(line, "/new"))
			c->n = n_system;
		else if (n)
			turn(c, talk, model, line, (size_t)n);
	}
	free(line);
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_app app;
	struct tdm_model *model;
	int status = tdm_app_open(call->arena, o->asked.config, &app, call->error);
	if (status)
		return status;
	status = tdm_app_model(&app, o->asked.model, &model, call->error);
	struct conversation *c = tdm_arena_alloc(call->arena, sizeof *c);
	if (!status && !c)
		status = tdm_fail(call->error, TDM_ENOMEM, "tandem chat: out of memory");
	if (!status) {
		struct tdm_talk talk = {.colour = tdm_talk_wants_colour(),
		                        .temperature = (float)o->asked.temperature,
		                        .max_tokens = (int)o->asked.max_tokens};
		talk.dearest = tdm_tree_dearest(app.tree);
		c->arena = call->arena;
		if (o->asked.system)
			add(c, TDM_FROM_SYSTEM, o->asked.system, strlen(o->asked.system));
		if (isatty(STDIN_FILENO))
			printf("%s answers. /new starts again, /quit or Ctrl-D ends.\n", model->name);
		loop(c, &talk, model);
	}
	tdm_app_close(&app);
	return status;
}

const struct tdm_command tdm_command_chat = {
    .name = "chat",
    .summary = "a conversation, coloured by the model that wrote each piece",
    .group = "use",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
