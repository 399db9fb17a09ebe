// Talk: prints an answer as it comes, each piece in the colour of the model that wrote it.
#include "cli/talk.h"
#include "base/bytes.h"
#include "ledger/receipt.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_LIMIT_BYTES ((size_t)256 << 20)
#define ANSWER_LIMIT_BYTES ((size_t)4 << 20)
#define MAX_AUTHORS 6

// Colours of the authors in the order in which they first write: the first is the terminal's own.
static const char *const colours[MAX_AUTHORS] = {"36", "33", "35", "32", "34", "31"};

struct printer {
	struct tdm_sink sink;
	const struct tdm_talk *talk;
	struct tdm_bytes *answer;
	const char *authors[MAX_AUTHORS];
	int64_t characters[MAX_AUTHORS];
	int n_authors;
};

static atomic_bool interrupted;

static void on_interrupt(int signal_number) {
	(void)signal_number;
	atomic_store(&interrupted, true);
}

static int author_index(struct printer *p, const char *author) {
	for (int i = 0; i < p->n_authors; i++)
		if (!strcmp(p->authors[i], author))
			return i;
	if (p->n_authors == MAX_AUTHORS)
		return MAX_AUTHORS - 1;
	p->authors[p->n_authors] = author;
	return p->n_authors++;
}

static int print_event(struct tdm_sink *sink, const struct tdm_event *event) {
	struct printer *p = (struct printer *)sink;
	int author = author_index(p, event->author ? event->author : "");
	p->characters[author] += (int64_t)event->len;
	if (p->talk->colour)
		printf("\033[%sm%.*s\033[0m", colours[author], (int)event->len, event->text);
	else
		fwrite(event->text, 1, event->len, stdout);
	fflush(stdout);
	if (p->answer)
		tdm_bytes_add(p->answer, event->text, event->len);
	return TDM_OK;
}

static void print_account(const struct printer *p, const struct tdm_run *run, const struct tdm_result *result) {
	const struct tdm_record *r = run->record;
	if (!isatty(STDERR_FILENO) && !p->talk->receipt)
		return;
	fprintf(stderr, "[");
	for (int i = 0; i < p->n_authors; i++)
		fprintf(stderr, p->talk->colour ? "\033[%sm%s%s\033[0m" : "%.0s%s%s", colours[i], i ? ", " : "", p->authors[i]);
	fprintf(stderr, " · %lld tokens · %.0f ms · cost %.6f", (long long)result->completion_tokens,
	        (double)r->total_us / 1e3, tdm_record_cost(r));
	for (const struct tdm_decision *d = r->decisions; d; d = d->next)
		fprintf(stderr, " · %s=%s", d->kind, d->choice);
	fprintf(stderr, "]\n");
}

static void print_receipt(const struct tdm_record *r) {
	struct tdm_bytes json;
	tdm_bytes_init(&json, 1 << 20);
	tdm_receipt_write(&json, r);
	if (json.data)
		fprintf(stderr, "%s\n", json.data);
	tdm_bytes_release(&json);
}

static uint64_t pick_seed(uint64_t seed) {
	if (!seed)
		tdm_system_random(&seed, sizeof seed);
	return seed;
}

int tdm_talk(const struct tdm_talk *talk, struct tdm_model *model, const struct tdm_message *messages,
             size_t n_messages, struct tdm_bytes *answer, struct tdm_error *err) {
	struct tdm_arena arena;
	struct tdm_run run;
	struct tdm_request request;
	struct tdm_result result;
	struct printer printer = {.sink.put = print_event, .talk = talk, .answer = answer};
	tdm_arena_init(&arena, ARENA_LIMIT_BYTES);
	int status = tdm_run_init(&run, &arena, pick_seed(talk->seed));
	if (status) {
		tdm_fail(err, status, "out of memory");
		goto done;
	}
	atomic_store(&interrupted, false);
	signal(SIGINT, on_interrupt);
	run.cancelled = &interrupted;
	run.record->requested = model->name;
	tdm_request_init(&request);
	request.messages = messages;
	request.n_messages = n_messages;
	request.temperature = talk->temperature;
	request.max_tokens = talk->max_tokens;
	status = tdm_generate(model, &run, &request, &printer.sink, &result);
	signal(SIGINT, SIG_DFL);
	printf("\n");
	run.record->served = result.served;
	struct tdm_run_end end = {status,        result.finish,        result.prompt_tokens, result.completion_tokens,
	                          talk->dearest, printer.n_authors > 0};
	tdm_run_close(&run, &end);
	if (status)
		tdm_fail(err, status, "%s", run.error.text);
	else
		print_account(&printer, &run, &result);
	if (talk->receipt)
		print_receipt(run.record);
done:
	tdm_arena_release(&arena);
	return status;
}

bool tdm_talk_wants_colour(void) {
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}
