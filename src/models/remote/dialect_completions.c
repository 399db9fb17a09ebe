// Completions of OpenAI: text that is continued. A conversation of one message goes as that message; a longer one as a
// transcript, each turn behind the word for who speaks: models that know formats of conversations are better asked by
// another dialect.
#include "models/remote/dialect.h"
#include <string.h>

// --- what is asked

void tdm_write_transcript(struct tdm_bytes *out, const struct tdm_request *rq) {
	static const char *const names[] = {"", "User: ", "Assistant: ", "Tool: "};
	bool is_open = rq->n_messages && rq->messages[rq->n_messages - 1].from == TDM_FROM_ASSISTANT;
	if (rq->raw || rq->n_messages == 1) {
		if (rq->n_messages)
			tdm_bytes_add(out, rq->messages[0].text, rq->messages[0].len);
		return;
	}
	for (size_t i = 0; i < rq->n_messages; i++) {
		const struct tdm_message *m = &rq->messages[i];
		tdm_bytes_puts(out, names[m->from]);
		tdm_bytes_add(out, m->text, m->len);
		tdm_bytes_puts(out, is_open && i + 1 == rq->n_messages ? "" : "\n\n");
	}
	tdm_bytes_puts(out, is_open ? "" : "Assistant:");
}

static int write_request(struct tdm_bytes *b, const struct tdm_asking *a, struct tdm_run *run,
                         const struct tdm_request *rq) {
	struct tdm_bytes prompt;
	int64_t most = tdm_most_tokens(a, rq);
	if (rq->raw && rq->raw->tokens && !(rq->n_messages && rq->messages[0].len))
		return tdm_cannot(run, "prompt", "the upstream may have another vocabulary; expected text");
	tdm_bytes_init(&prompt, b->limit);
	tdm_write_transcript(&prompt, rq);
	tdm_write_string(b, "{\"model\":", a->model);
	tdm_bytes_puts(b, ",\"prompt\":");
	tdm_bytes_json(b, prompt.data ? prompt.data : "", prompt.len);
	b->failed |= prompt.failed;
	tdm_bytes_release(&prompt);
	if (most > 0)
		tdm_bytes_named(b, ",\"max_tokens\":", most);
	tdm_write_sampling(b, a, rq);
	tdm_write_stop(b, "stop", rq);
	tdm_write_forwarded(b, a, rq);
	if (rq->logprobs)
		tdm_bytes_named(b, ",\"logprobs\":", rq->top_logprobs);
	if (rq->wants_seed)
		tdm_bytes_named(b, ",\"seed\":", tdm_seed_of(run, rq));
	tdm_bytes_puts(b, ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");
	return TDM_OK;
}

// --- what is answered

static const struct tdm_value *item(const struct tdm_value *list, size_t i) {
	return list && list->type == TDM_LIST && i < list->n ? &list->items[i] : NULL;
}

static struct tdm_value map_of(struct tdm_arena *arena, struct tdm_value token, struct tdm_value logprob,
                               const struct tdm_value *top) {
	static const char *const keys[] = {"token", "logprob", "top_logprobs"};
	struct tdm_value *items = tdm_arena_array(arena, 3, sizeof *items);
	const char **names = tdm_arena_array(arena, 3, sizeof *names);
	if (!items || !names)
		return (struct tdm_value){0};
	memcpy(names, keys, sizeof keys);
	items[0] = token;
	items[1] = logprob;
	items[2] = top ? *top : (struct tdm_value){0};
	return (struct tdm_value){.type = TDM_MAP, .n = 3, .items = items, .keys = names};
}

// {"tok": logprob} as a list of {token, logprob}, best first.
static struct tdm_value list_of(struct tdm_arena *arena, const struct tdm_value *top) {
	struct tdm_value list = {.type = TDM_LIST};
	if (!top || top->type != TDM_MAP || !(list.items = tdm_arena_array(arena, top->n + 1, sizeof *list.items)))
		return list;
	for (size_t i = 0; i < top->n; i++) {
		struct tdm_value token = {.type = TDM_STRING, .text = top->keys[i], .len = strlen(top->keys[i])};
		struct tdm_value entry = map_of(arena, token, top->items[i], NULL);
		size_t at = list.n++;
		for (; at > 0 && tdm_get_number(&list.items[at - 1], "logprob", 0) < top->items[i].number; at--)
			list.items[at] = list.items[at - 1];
		list.items[at] = entry;
	}
	return list;
}

struct tdm_value tdm_completions_entries(struct tdm_arena *arena, const struct tdm_value *logprobs) {
	const struct tdm_value *tokens = tdm_get(logprobs, "tokens"), *values = tdm_get(logprobs, "token_logprobs"),
	                       *tops = tdm_get(logprobs, "top_logprobs");
	struct tdm_value list = {.type = TDM_LIST};
	if (!tokens || tokens->type != TDM_LIST || !(list.items = tdm_arena_array(arena, tokens->n + 1, sizeof list)))
		return list;
	for (size_t i = 0; i < tokens->n; i++) {
		const struct tdm_value *value = item(values, i);
		struct tdm_value top = list_of(arena, item(tops, i));
		list.items[list.n++] = map_of(arena, tokens->items[i], value ? *value : (struct tdm_value){0}, &top);
	}
	return list;
}

static int read_choice(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *choice) {
	static const struct tdm_reason reasons[] = {{"stop", TDM_FINISH_STOP},
	                                            {"length", TDM_FINISH_LENGTH},
	                                            {"content_filter", TDM_FINISH_FILTER},
	                                            {"eos", TDM_FINISH_STOP},
	                                            {NULL, 0}};
	const struct tdm_value *text = tdm_get(choice, "text");
	const char *reason = tdm_get_string(choice, "finish_reason");
	int status = TDM_OK;
	if (text && text->type == TDM_STRING && text->len) {
		struct tdm_value entries = tdm_completions_entries(arena, tdm_get(choice, "logprobs"));
		status = tdm_upstream_tokens(u, arena, text, &entries);
	}
	return !status && reason ? tdm_upstream_finish(u, reasons, reason) : status;
}

static int read_event(struct tdm_upstream *u, struct tdm_arena *arena, const struct tdm_value *event) {
	const struct tdm_value *choices = tdm_get(event, "choices");
	tdm_read_usage(u, event);
	if (choices && (choices->type != TDM_LIST || choices->n > TDM_CHOICES_LIMIT))
		return tdm_upstream_bad(u, "choices that are no list of at most 128");
	for (size_t i = 0; choices && i < choices->n; i++) {
		u->n_dropped += u->finished;
		if (u->finished || tdm_get_number(&choices->items[i], "index", 0) != 0)
			continue;
		int status = read_choice(u, arena, &choices->items[i]);
		if (status)
			return status;
	}
	return TDM_OK;
}

const struct tdm_dialect tdm_dialect_completions = {
    .name = "completions",
    .path = "/completions",
    .key_header = "Authorization",
    .key_prefix = "Bearer ",
    .takes_raw = true,
    .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS,
    .knows = TDM_KNOWS_STOP | TDM_KNOWS_SEED | TDM_KNOWS_LOGPROBS,
    .write = write_request,
    .read = read_event,
};
