// Fuzz target: bytes as an upstream's answer in one of the dialects. The first byte picks the dialect, the HTTP status
// and whether the rest is the body as it stands or lines that become the events of a stream; the second one says how
// many of the following bytes are the lengths of the pieces in which the body comes. However it is cut, the events,
// the end and the sentence of a failure are the same; text that goes on is UTF-8.
//
// links: models engine ledger assure base
#include "base/log.h"
#include "base/text.h"
#include "models/remote/dialect.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
	tdm_log_set_level(TDM_ERROR); // what was repaired is no news here
	return 0;
}

static const struct tdm_dialect *const dialects[] = {
    &tdm_dialect_openai, &tdm_dialect_completions, &tdm_dialect_responses, &tdm_dialect_anthropic, &tdm_dialect_llama};

struct answer {
	struct tdm_sink sink;
	size_t n_events;
	uint64_t hash;
	int status;
	struct tdm_result result;
	struct tdm_error error;
};

static void add(struct answer *a, const void *bytes, size_t n) {
	for (size_t i = 0; i < n; i++)
		a->hash = (a->hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
	a->hash = (a->hash ^ 0xff) * 0x100000001b3u;
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct answer *a = (struct answer *)sink;
	if (!tdm_utf8_valid(event->text, event->len) || !event->len)
		abort();
	a->n_events++;
	add(a, &event->piece, sizeof event->piece);
	add(a, event->text, event->len);
	add(a, &(bool){event->call_id != NULL}, sizeof(bool)); // ids that were made here differ
	add(a, &event->token, sizeof event->token);
	add(a, &event->logprob, sizeof event->logprob);
	for (int i = 0; i < event->n_alternatives; i++)
		add(a, event->alternatives[i].text, event->alternatives[i].len);
	return TDM_OK;
}

struct cuts { // lengths of pieces, in turn; n 0: all at once
	const uint8_t *lengths;
	size_t n;
};

static void read_answer(const struct tdm_dialect *dialect, int http, const struct tdm_bytes *body,
                        const struct cuts *cuts, struct answer *a) {
	static const char *const stop[] = {"END", "\n\n"};
	const struct tdm_message question = {.from = TDM_FROM_USER, .text = "q", .len = 1};
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request request;
	struct tdm_upstream u;
	*a = (struct answer){.sink = {put, NULL}};
	tdm_arena_init(&arena, (size_t)256 << 20);
	if (tdm_run_init(&run, &arena, 1))
		abort();
	tdm_request_init(&request);
	request.messages = &question;
	request.n_messages = 1;
	request.stop = stop;
	request.n_stop = 2;
	tdm_upstream_init(&u, dialect, "far", &run, &request, &a->sink, &a->result);
	for (size_t at = 0, k = 0, part; at < body->len && !a->status; at += part, k++) {
		part = cuts->n ? cuts->lengths[k % cuts->n] + (size_t)1 : body->len;
		part = part < body->len - at ? part : body->len - at;
		char *piece = malloc(part); // so that a look behind its end is found
		memcpy(piece, body->data + at, part);
		a->status = tdm_upstream_feed(&u, http, piece, part);
		free(piece);
	}
	int status = tdm_upstream_end(&u, http);
	a->status = a->status < 0 ? a->status : status;
	add(a, &a->result.finish, sizeof a->result.finish);
	add(a, &a->result.prompt_tokens, sizeof a->result.prompt_tokens);
	add(a, &a->result.completion_tokens, sizeof a->result.completion_tokens);
	add(a, &a->result.cached_tokens, sizeof a->result.cached_tokens);
	if (a->result.stop)
		add(a, a->result.stop, strlen(a->result.stop));
	a->error = run.error;
	tdm_upstream_release(&u);
	tdm_arena_release(&arena);
}

// Each line an event of the stream.
static void put_events(struct tdm_bytes *body, const char *text, size_t n) {
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t len = end ? (size_t)(end - text) - at : n - at;
		tdm_bytes_puts(body, "data: ");
		tdm_bytes_add(body, text + at, len);
		tdm_bytes_puts(body, "\n\n");
		at += len + 1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
	static const int statuses[] = {200, 200, 200, 429};
	struct answer once, cut;
	struct tdm_bytes body;
	if (n < 3)
		return 0;
	size_t pick = data[0], n_cuts = data[1] % 16;
	struct cuts whole = {0}, cuts = {data + 2, n_cuts};
	if (n < 3 + n_cuts)
		return 0;
	const struct tdm_dialect *dialect = dialects[pick % 5];
	int http = statuses[pick / 10 % 4];
	tdm_bytes_init(&body, 1 << 22);
	if (pick / 5 % 2)
		put_events(&body, (const char *)data + 2 + n_cuts, n - 2 - n_cuts);
	else
		tdm_bytes_add(&body, data + 2 + n_cuts, n - 2 - n_cuts);
	read_answer(dialect, http, &body, &whole, &once);
	cuts.n = cuts.n ? cuts.n : 1; // data[2] is the first byte of the body then
	read_answer(dialect, http, &body, &cuts, &cut);
	if (once.n_events != cut.n_events || once.hash != cut.hash || once.status != cut.status ||
	    strcmp(once.error.text, cut.error.text) != 0)
		abort();
	tdm_bytes_release(&body);
	return 0;
}
