// bench_prompts TARGET.gguf DRAFT.gguf TOKENS BYTES TIMES <PROMPTS: speculation beside the target alone on groups of
// prompts: every prompt is answered greedily by every model in turn, in at most TOKENS tokens; of a longer prompt the
// last BYTES bytes are asked, all prompts TIMES times, each time as other tenants. PROMPTS: for each a line "group
// bytes", then so many bytes. Prints lines of "group, prompts, model, times plain, tokens a pass, accepted of drafted,
// equal": times are sums over the group, answers of the target alone over those of the model; a pass over a prompt
// counts as one, the token that ends an answer as a token. "whole": guesses are never cut short, which costs time and
// shows how far they reach.
#include "base/clock.h"
#include "cost/kinds.h"
#include "models/collect.h"
#include "models/sources.h"
#include "models/tree.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MODELS = 8, GROUPS_MAX = 32, NAME_MAX_BYTES = 40, PROMPT_MAX = 1 << 20, PROMPTS_MAX = 4096 };
static const char *const names[N_MODELS] = {"plain", "drafts",       "lookup",        "recycle",
                                            "all",   "lookup-whole", "recycle-whole", "trees"};

struct group {
	char name[NAME_MAX_BYTES];
	int n;
	struct {
		double us;
		long long passes, drafted, accepted, equal;
	} of[N_MODELS];
};

static struct group groups[GROUPS_MAX];
static int n_groups;
static struct {
	struct group *group;
	char *text;
	size_t len;
} prompts[PROMPTS_MAX];
static int n_prompts;

static int fail(const char *what, const struct tdm_error *err) {
	fprintf(stderr, "bench_prompts: %s: %s\n", what, err->text);
	return 1;
}

static struct group *group_named(const char *name) {
	for (int i = 0; i < n_groups; i++)
		if (!strcmp(groups[i].name, name))
			return &groups[i];
	if (n_groups == GROUPS_MAX)
		return NULL;
	snprintf(groups[n_groups].name, sizeof groups[n_groups].name, "%s", name);
	return &groups[n_groups++];
}

static struct tdm_tree *load(const char *target, const char *draft) {
	static const struct tdm_kind *const kinds[] = {&tdm_kind_local, &tdm_kind_speculate, NULL};
	struct tdm_tree *tree = NULL;
	struct tdm_error err = {0};
	char yaml[2048];
	snprintf(yaml, sizeof yaml,
	         "models:\n  plain: {kind: local, path: \"%s\"}\n"
	         "  small: {kind: local, path: \"%s\"}\n"
	         "  drafts: {kind: speculate, target: plain, draft: small}\n"
	         "  trees: {kind: speculate, target: plain, draft: small, nodes: 12}\n"
	         "  lookup: {kind: speculate, target: plain, from: lookup}\n"
	         "  recycle: {kind: speculate, target: plain, from: recycle}\n"
	         "  all: {kind: speculate, target: plain, from: all}\n"
	         "  lookup-whole: {kind: speculate, target: plain, from: lookup, adaptive: no}\n"
	         "  recycle-whole: {kind: speculate, target: plain, from: recycle, adaptive: no}\n",
	         target, draft);
	if (tdm_tree_load("bench", ".", yaml, strlen(yaml), kinds, NULL, &tree, &err))
		fail("models", &err);
	return tree;
}

// Every answer is asked for as a tenant of its own would ask, so that nobody profits from what another one has read.
static int answer(struct tdm_tree *tree, struct group *g, int m, const struct tdm_request *request, int time,
                  struct tdm_bytes *text) {
	static long long n_asked;
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_collect collect;
	struct tdm_result result = {0};
	char tenant[32];
	tdm_arena_init(&arena, (size_t)512 << 20);
	int status = tdm_run_init(&run, &arena, 1);
	snprintf(tenant, sizeof tenant, "%s-%lld", names[m], m == 3 || m == 4 || m == 6 ? -1 - time : n_asked++);
	run.tenant = tenant;
	tdm_collect_init(&collect, 1 << 20, NULL, NULL);
	int64_t start_us = tdm_now_us();
	if (!status)
		status = tdm_generate(tdm_tree_model(tree, names[m]), &run, request, &collect.sink, &result);
	g->of[m].us += (double)(tdm_now_us() - start_us);
	if (status)
		fail(names[m], &run.error);
	else if (run.record->calls) {
		g->of[m].passes += run.record->calls->passes;
		g->of[m].drafted += run.record->calls->drafted;
		g->of[m].accepted += run.record->calls->accepted;
	}
	if (m == 0)
		tdm_bytes_add(text, collect.text.data, collect.text.len);
	g->of[m].equal += collect.text.len == text->len && !memcmp(collect.text.data, text->data, text->len);
	tdm_collect_release(&collect);
	tdm_arena_release(&arena);
	return status;
}

static int ask_all(struct tdm_tree *tree, struct group *g, const struct tdm_request *request, int first, int time) {
	struct tdm_bytes text;
	int status = 0;
	tdm_bytes_init(&text, 1 << 20);
	for (int i = 0; i < N_MODELS && !status; i++) // plain is first, so that there is something to compare with
		status = answer(tree, g, i ? 1 + (first + i) % (N_MODELS - 1) : 0, request, time, &text);
	tdm_bytes_release(&text);
	g->n++;
	return status;
}

static int read_prompts(size_t most_bytes) {
	static char prompt[PROMPT_MAX];
	char name[NAME_MAX_BYTES];
	size_t len;
	while (n_prompts < PROMPTS_MAX && scanf("%39s %zu", name, &len) == 2) {
		struct group *g = group_named(name);
		if (getchar() != '\n' || len >= sizeof prompt || fread(prompt, 1, len, stdin) != len || !g) {
			fputs("bench_prompts: expected lines of \"group bytes\", then so many bytes\n", stderr);
			return 1;
		}
		size_t cut = len > most_bytes ? len - most_bytes : 0;
		while (cut < len && (prompt[cut] & 0xC0) == 0x80)
			cut++;
		prompts[n_prompts].group = g;
		prompts[n_prompts].len = len - cut;
		prompts[n_prompts].text = strndup(prompt + cut, len - cut);
		if (!prompts[n_prompts++].text)
			return 1;
	}
	return 0;
}

static int ask_times(struct tdm_tree *tree, struct tdm_request *request, int times) {
	struct tdm_message message = {.from = TDM_FROM_USER};
	int status = 0;
	request->messages = &message;
	request->n_messages = 1;
	for (int i = 0; i < n_prompts * times && !status; i++) {
		message.text = prompts[i % n_prompts].text;
		message.len = prompts[i % n_prompts].len;
		status = ask_all(tree, prompts[i % n_prompts].group, request, i, i / n_prompts);
	}
	for (int i = 0; i < n_prompts; i++)
		free(prompts[i].text);
	return status;
}

int main(int argc, char **argv) {
	int tokens = argc == 6 ? (int)strtol(argv[3], NULL, 10) : 0, bytes = tokens ? (int)strtol(argv[4], NULL, 10) : 0;
	int times = tokens ? (int)strtol(argv[5], NULL, 10) : 0;
	if (tokens < 1 || bytes < 1 || times < 1) {
		fputs("usage: bench_prompts TARGET.gguf DRAFT.gguf TOKENS BYTES TIMES <PROMPTS\n", stderr);
		return 2;
	}
	struct tdm_request request;
	tdm_request_init(&request);
	request.temperature = 0;
	request.max_tokens = tokens;
	struct tdm_tree *tree = load(argv[1], argv[2]);
	int status = !tree || read_prompts((size_t)bytes) || ask_times(tree, &request, times);
	for (int i = 0; i < n_groups && !status; i++)
		for (int m = 1; m < N_MODELS; m++) {
			struct group *g = &groups[i];
			printf("%s\t%d\t%s\t%.2f\t%.2f\t%lld of %lld\t%lld of %d\n", g->name, g->n, names[m],
			       g->of[0].us / g->of[m].us,
			       1 + (double)g->of[m].accepted / (double)(g->of[m].passes ? g->of[m].passes : 1), g->of[m].accepted,
			       g->of[m].drafted, g->of[m].equal, g->n);
		}
	tdm_tree_close(tree);
	return status;
}
