// POST of a format that answers (chat completions, messages): reads the request, asks the model, writes the answer
// whole or as a stream, and closes the record.
//
// The rule it protects: every request ends in exactly one state; a cut answer never looks whole; a receipt that was
// shown is in the ledger. Before the commit everything can still become an HTTP error; after it, only an error event.
#include "base/clock.h"
#include "base/crew.h"
#include "models/promise.h"
#include "models/sources.h"
#include "serve/entry.h"
#include "serve/formats/responses.h"
#include "serve/seen.h"
#include <limits.h>
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)64 << 20)
#define MOST_AT_ONCE 8 // answers that memory is shared among

struct chat;

struct choice { // one of the answers
	struct tdm_sink sink;
	struct chat *chat;
	int index, status;
	struct tdm_run own, *run; // the first one's is the request's
	struct tdm_arena arena;   // of the others
	struct tdm_request request;
	struct tdm_raw raw; // completions
	struct tdm_echo echo;
	struct tdm_columns columns;
	struct tdm_result result;
	struct tdm_task task;
	struct tdm_bytes said;       // every word that goes out, for its hash
	bool began;                  // streamed: its head was sent
	struct tdm_stream stream;    // streamed
	struct tdm_chat_choice kept; // not streamed: all of it
	struct tdm_chat_call **last_call;
};

struct chat {
	struct tdm_batch batch; // first: hold() finds the rest by it
	struct tdm_call_context *c;
	const struct tdm_format *format;
	struct tdm_chat_request request;
	struct tdm_seen seen; // what its models were asked, where the client asked for that
	struct tdm_model *model;
	struct tdm_run run;
	struct tdm_chat_head head;
	struct tdm_chat_usage usage;
	struct choice *choices; // request.n
	int n_begun;
	atomic_bool given_up;   // a choice has failed
	pthread_mutex_t lock;   // guards what follows
	bool committed;         // the stream
	struct tdm_bytes event; // of the stream, one write at a time
	int n_ended;
	struct choice *last; // whose end waits for the receipt
	int status;          // of the first choice that failed, its error
	struct tdm_error error;
};

// --- the record

static int close_record(struct chat *chat, int status) {
	struct tdm_bytes all;
	tdm_bytes_init(&all, MOST_AT_ONCE * ANSWER_LIMIT_BYTES);
	for (int i = 0; i < chat->n_begun; i++)
		tdm_bytes_add(&all, chat->choices[i].said.data, chat->choices[i].said.len);
	struct tdm_run_end end = {
	    .status = status,
	    .finish = chat->n_begun ? chat->choices[chat->n_begun - 1].result.finish : TDM_FINISH_STOP,
	    .prompt_tokens = chat->usage.prompt_tokens,
	    .completion_tokens = chat->usage.completion_tokens,
	};
	status = tdm_entry_close(chat->c, &chat->run, end, all.data, all.len);
	tdm_bytes_release(&all);
	return status;
}

// --- the answer, streamed

static int flush_event(struct chat *chat) {
	int status = chat->event.failed ? TDM_ENOMEM : tdm_exchange_write(chat->c->x, chat->event.data, chat->event.len);
	tdm_bytes_clear(&chat->event);
	return status;
}

static int out_of_room(struct choice *choice) {
	return tdm_fail(&choice->run->error, TDM_ENOMEM, "the answer does not fit its memory limit");
}

static bool is_full(const struct tdm_stream *s) {
	return s->text.failed || s->output.failed || s->logprobs.failed || s->name.failed || s->same.failed;
}

// The first event of the stream, which is the first choice's, commits it: headers, role and text go out in one write.
static void begin_choice(struct choice *choice, const char *author) {
	struct chat *chat = choice->chat;
	if (choice->index == 0) {
		chat->head.model = author ? author : chat->model->name;
		chat->run.record->first_us = tdm_now_us() - tdm_exchange_arrived_us(chat->c->x);
		tdm_entry_commit(chat->c, chat->run.record, chat->head.model);
	}
	chat->format->begin(&chat->event, &chat->head, &choice->stream);
	choice->began = true;
}

static int put_stream(struct choice *choice, const struct tdm_event *event) {
	struct chat *chat = choice->chat;
	pthread_mutex_lock(&chat->lock);
	if (!choice->began)
		begin_choice(choice, event->author);
	chat->format->piece(&chat->event, &chat->head, &choice->stream, event, choice->request.logprobs);
	int status = flush_event(chat);
	if (!status && !chat->committed)
		status = tdm_exchange_stream(chat->c->x);
	chat->committed = true;
	pthread_mutex_unlock(&chat->lock);
	if (status == TDM_ENOMEM || (!status && is_full(&choice->stream)))
		return out_of_room(choice);
	return status == TDM_EGONE ? tdm_fail(&choice->run->error, TDM_EGONE, "the client left") : status;
}

static int keep_call(struct choice *choice, const struct tdm_event *event) {
	struct tdm_arena *arena = choice->run->arena;
	struct tdm_chat_call *call = tdm_arena_alloc(arena, sizeof *call);
	if (!call)
		return out_of_room(choice);
	call->id = tdm_arena_string(arena, event->call_id);
	call->name = tdm_arena_copy(arena, event->text, event->len);
	tdm_bytes_init(&call->arguments, ANSWER_LIMIT_BYTES);
	*choice->last_call = call;
	choice->last_call = &call->next;
	return call->id && call->name ? TDM_OK : out_of_room(choice);
}

static struct tdm_bytes *place_of(struct choice *choice, const struct tdm_event *event) {
	if (event->piece == TDM_PIECE_TEXT)
		return &choice->kept.text;
	if (event->piece == TDM_PIECE_THOUGHT)
		return &choice->kept.thought;
	struct tdm_chat_call *last = choice->kept.calls;
	while (last && last->next)
		last = last->next;
	return last ? &last->arguments : NULL;
}

static int put_whole(struct choice *choice, const struct tdm_event *event) {
	if (event->piece == TDM_PIECE_CALL)
		return keep_call(choice, event);
	struct tdm_bytes *place = place_of(choice, event);
	if (place)
		tdm_bytes_add(place, event->text, event->len);
	if (choice->kept.has_logprobs && event->piece == TDM_PIECE_TEXT && choice->chat->format->score)
		choice->chat->format->score(&choice->kept, event);
	return place && place->failed ? out_of_room(choice) : TDM_OK;
}

// The choice that ends last waits for the receipt.
static int finish_streamed(struct choice *choice) {
	struct chat *chat = choice->chat;
	int status = TDM_OK;
	pthread_mutex_lock(&chat->lock);
	if (!choice->began)
		begin_choice(choice, choice->result.served);
	if (++chat->n_ended == chat->request.n) {
		chat->last = choice;
	} else {
		chat->format->finish(&chat->event, &chat->head, &choice->stream, &choice->result, &chat->usage, NULL);
		status = flush_event(chat);
	}
	pthread_mutex_unlock(&chat->lock);
	return status;
}

static void hold(struct tdm_batch *batch, bool held) {
	tdm_exchange_hold(((struct chat *)batch)->c->x, held);
}

static void end_stream(struct chat *chat, int status, const char *receipt) {
	struct tdm_exchange *x = chat->c->x;
	if (status) {
		struct tdm_stream *stream = &chat->choices[0].stream;
		if (!chat->head.model)
			chat->head.model = chat->model->name; // committed by a ping
		chat->format->fail(&chat->event, &chat->head, stream, &chat->run.error, chat->c->request_id, receipt);
	} else {
		struct choice *last = chat->last;
		chat->format->finish(&chat->event, &chat->head, &last->stream, &last->result, &chat->usage, receipt);
		if (last->stream.kept.len)
			chat->format->keep(chat->c, &chat->request, last->stream.kept.data, last->stream.kept.len);
		chat->format->end(&chat->event, &chat->head, &chat->usage, receipt);
	}
	tdm_exchange_hold(x, true); // the last event and the end of the answer leave together
	int last = flush_event(chat);
	tdm_exchange_stream(x);
	tdm_exchange_end(x, status == TDM_OK && last == TDM_OK);
}

// --- the answer, whole

static void reply_whole(struct chat *chat, const char *receipt) {
	struct tdm_bytes body;
	struct tdm_chat_choice *kept = tdm_arena_array(chat->c->arena, (size_t)chat->request.n, sizeof *kept);
	struct tdm_record *r = chat->run.record;
	chat->head.model = r->served ? r->served : chat->model->name;
	tdm_entry_commit(chat->c, chat->run.record, chat->head.model);
	tdm_entry_figures(chat->c, r);
	for (int i = 0; kept && i < chat->request.n; i++)
		kept[i] = chat->choices[i].kept;
	tdm_bytes_init(&body, ANSWER_LIMIT_BYTES * 6);
	if (kept)
		chat->format->whole(&body, &chat->head, kept, chat->request.n, &chat->usage, receipt);
	body.failed |= !kept;
	if (chat->request.store && !body.failed)
		chat->format->keep(chat->c, &chat->request, body.data, body.len);
	tdm_reply_body(chat->c->x, 200, &body);
	tdm_bytes_release(&body);
}

// --- the choices: the first one alone until its words begin, for what it has read of the prompt is there for the
// others then; these on threads of their own, so that a local model computes the tokens of all in one pass

// A conversation that does not fit loses its oldest turns where the client wants that: one, two, four ... of them.
static int generate_fitting(struct choice *choice) {
	struct chat *chat = choice->chat;
	int status = tdm_generate(chat->model, choice->run, &choice->request, &choice->sink, &choice->result);
	for (size_t n = 1; status == TDM_ECONTEXT && chat->request.may_drop; n *= 2) {
		if (!tdm_responses_drop(choice->run->arena, &choice->request, n))
			break;
		tdm_error_clear(&choice->run->error);
		tdm_record_warn(choice->run->record, "history_truncated", "input", "the oldest turns did not fit");
		status = tdm_generate(chat->model, choice->run, &choice->request, &choice->sink, &choice->result);
	}
	return status;
}

static void run_choice(void *arg) {
	struct choice *choice = arg;
	struct chat *chat = choice->chat;
	choice->status = generate_fitting(choice);
	choice->kept.result = choice->result;
	if (!choice->status && chat->request.stream)
		choice->status = finish_streamed(choice);
	if (!choice->status)
		return;
	pthread_mutex_lock(&chat->lock);
	if (!chat->status) {
		chat->status = choice->status;
		chat->error = choice->run->error;
	}
	atomic_store(&chat->given_up, true);
	pthread_mutex_unlock(&chat->lock);
}

static int put_choice(struct tdm_sink *sink, const struct tdm_event *event);

#define N_BUFFERS 10

static void buffers(struct choice *choice, struct tdm_bytes *out[N_BUFFERS]) {
	struct tdm_stream *s = &choice->stream;
	struct tdm_bytes *const all[N_BUFFERS] = {&choice->said,
	                                          &choice->kept.text,
	                                          &choice->kept.thought,
	                                          &choice->kept.logprobs,
	                                          &s->name,
	                                          &s->text,
	                                          &s->logprobs,
	                                          &s->output,
	                                          &s->kept,
	                                          &s->same};
	memcpy(out, all, sizeof all);
}

// A choice of completions: its own prompt, and what is shown of it.
static void set_prompt(struct chat *chat, struct choice *choice) {
	const struct tdm_prompt *prompt = &chat->request.prompts.items[choice->index / chat->request.n_each];
	bool wants_echo = chat->request.echoes && choice->request.logprobs;
	choice->raw = (struct tdm_raw){prompt->tokens, prompt->n_tokens, prompt->vocab_id, chat->request.only_echoes,
	                               wants_echo ? &choice->echo : NULL};
	choice->request.messages = &prompt->message;
	choice->request.draw = (uint64_t)(choice->index % chat->request.n_each);
	choice->request.raw = &choice->raw;
	tdm_columns_init(&choice->columns, prompt->message.text, prompt->message.len);
	choice->kept.shown = choice->stream.shown = (struct tdm_shown){
	    .prompt = prompt,
	    .echo = wants_echo ? &choice->echo : NULL,
	    .columns = &choice->columns,
	    .is_echoed = chat->request.echoes,
	    .has_logprobs = choice->kept.has_logprobs,
	};
}

static int init_choice(struct chat *chat, int index) {
	struct choice *choice = &chat->choices[index];
	*choice = (struct choice){.sink = {put_choice, NULL}, .chat = chat, .index = index, .run = &chat->run};
	choice->stream.index = index;
	choice->request = chat->request.request;
	choice->request.draw = (uint64_t)index;
	choice->status = TDM_EGONE; // until it has ended
	choice->last_call = &choice->kept.calls;
	choice->kept.has_logprobs = choice->request.logprobs && (chat->model->can & TDM_CAN_LOGPROBS);
	struct tdm_bytes *all[N_BUFFERS];
	buffers(choice, all);
	for (size_t i = 0; i < N_BUFFERS; i++)
		tdm_bytes_init(all[i], ANSWER_LIMIT_BYTES);
	int at_once = chat->request.n < MOST_AT_ONCE ? chat->request.n : MOST_AT_ONCE;
	tdm_arena_init(&choice->arena, chat->c->arena->limit_bytes / (size_t)at_once);
	if (chat->request.prompts.n)
		set_prompt(chat, choice);
	chat->n_begun++;
	if (index == 0)
		return TDM_OK;
	choice->task = (struct tdm_task){.fn = run_choice, .arg = choice};
	choice->run = &choice->own;
	choice->own = chat->run;
	choice->own.error = (struct tdm_error){0};
	choice->own.arena = &choice->arena;
	choice->own.record = tdm_arena_alloc(&choice->arena, sizeof *choice->own.record);
	if (!choice->own.record)
		return tdm_fail(&chat->run.error, TDM_ENOMEM, "the answers do not fit their memory limit");
	tdm_record_init(choice->own.record, &choice->arena);
	return TDM_OK;
}

// By the first choice's thread, once.
static int start_others(struct chat *chat) {
	int status = TDM_OK;
	while (!status && chat->n_begun < chat->request.n) {
		int index = chat->n_begun;
		status = init_choice(chat, index);
		if (!status)
			tdm_task_start(&chat->choices[index].task);
	}
	return status;
}

static int put_choice(struct tdm_sink *sink, const struct tdm_event *event) {
	struct choice *choice = (struct choice *)sink;
	struct chat *chat = choice->chat;
	tdm_bytes_add(&choice->said, event->text, event->len);
	int status = chat->request.stream ? put_stream(choice, event) : put_whole(choice, event);
	return status || choice->index ? status : start_others(chat);
}

// The others have ended; what they did goes to the request's record in their order.
static void join_others(struct chat *chat) {
	for (int i = 1; i < chat->n_begun; i++) {
		struct choice *choice = &chat->choices[i];
		if (!choice->own.record)
			continue;
		if (atomic_load(&chat->given_up))
			tdm_task_cancel(&choice->task);
		else
			tdm_task_finish(&choice->task);
	}
	for (int i = 1; i < chat->n_begun; i++) {
		if (!chat->choices[i].own.record)
			continue;
		tdm_record_join(chat->run.record, chat->choices[i].own.record);
		chat->run.n_retries += chat->choices[i].own.n_retries;
	}
}

static int generate(struct chat *chat) {
	struct choice *first = &chat->choices[0];
	if (chat->request.n > 1)
		chat->run.given_up = &chat->given_up;
	init_choice(chat, 0);
	run_choice(first);
	if (!first->status && start_others(chat)) { // an empty answer has not done it
		chat->status = chat->run.error.status;
		chat->error = chat->run.error;
		atomic_store(&chat->given_up, true);
	}
	join_others(chat);
	int n_each = chat->request.prompts.n ? chat->request.n_each : chat->request.n;
	for (int i = 0; i < chat->n_begun; i++) {
		const struct tdm_result *result = &chat->choices[i].result;
		if (chat->choices[i].status)
			continue;
		chat->run.record->served = result->served ? result->served : chat->model->name;
		chat->usage.completion_tokens += result->completion_tokens;
		chat->usage.reasoning_tokens += result->reasoning_tokens;
		if (i % n_each == 0) { // the prompt is counted once
			chat->usage.prompt_tokens += result->prompt_tokens;
			chat->usage.cached_tokens += result->cached_tokens;
		}
		if (result->estimated)
			tdm_record_warn(chat->run.record, "usage_estimated", NULL, "the upstream gave no token counts");
	}
	if (chat->status)
		chat->run.error = chat->error;
	return chat->status;
}

// --- the request

static int read_request(struct chat *chat) {
	struct tdm_value *value;
	int status = tdm_read_body(chat->c, &value, &chat->run.error);
	if (!status)
		status =
		    chat->format->resolve ? chat->format->resolve(chat->c, chat->run.record, value, &chat->run.error) : TDM_OK;
	if (!status)
		status = chat->format->read(chat->c->arena, value, chat->run.record, &chat->request, &chat->run.error);
	return status ? status : tdm_entry_wishes(chat->c, &chat->request.objective, &chat->run.error);
}

// The wishes hold for all choices together: every one of them is a call that reads its prompt.
static int check_objective(struct chat *chat) {
	struct tdm_request all = chat->request.request;
	size_t n = (size_t)chat->request.n, n_each = chat->request.prompts.n ? 1 : all.n_messages;
	struct tdm_message *messages = n > 1 ? tdm_arena_array(chat->c->arena, n * n_each, sizeof *messages) : NULL;
	int64_t most = (int64_t)(all.max_tokens ? all.max_tokens : TDM_STANDARD_MAX_TOKENS) * chat->request.n;
	if (n == 1)
		return tdm_check_objective(chat->model, &all, &chat->run);
	if (!messages)
		return tdm_fail(&chat->run.error, TDM_ENOMEM, "the answers do not fit their memory limit");
	for (size_t i = 0; i < n * n_each; i++)
		messages[i] = chat->request.prompts.n ? chat->request.prompts.items[i / (size_t)chat->request.n_each].message
		                                      : all.messages[i % n_each];
	all.messages = messages;
	all.n_messages = n * n_each;
	all.max_tokens = most < INT_MAX ? (int)most : INT_MAX;
	return tdm_check_objective(chat->model, &all, &chat->run);
}

static int prepare(struct chat *chat) {
	int status = read_request(chat);
	if (!status && chat->request.has_seed)
		chat->run.seed = chat->request.seed;
	if (!status && chat->request.objective.seen)
		status = tdm_seen_open(chat->c, &chat->seen, &chat->run);
	if (!status)
		status = tdm_entry_aim(chat->c, &chat->run, chat->request.model, &chat->request.objective, &chat->model);
	if (status)
		return status;
	if (chat->format->fit)
		status = chat->format->fit(chat->c->arena, chat->model, chat->run.record, &chat->request, &chat->run.error);
	if (status)
		return status;
	if (chat->request.request.logprobs && !(chat->model->can & TDM_CAN_LOGPROBS))
		tdm_record_warn(chat->run.record, "parameter_ignored", "logprobs", "this model cannot give log-probabilities");
	chat->choices = tdm_arena_array(chat->c->arena, (size_t)chat->request.n, sizeof *chat->choices);
	if (!chat->choices)
		return tdm_fail(&chat->run.error, TDM_ENOMEM, "the answers do not fit their memory limit");
	return check_objective(chat);
}

static void begin(struct chat *chat) {
	tdm_make_id(chat->head.id, chat->format->id_prefix);
	chat->head.receipt_id = chat->run.record->id;
	chat->head.prompt_estimate = tdm_estimate_tokens(tdm_request_bytes(&chat->request.request));
	chat->head.created_s = tdm_wall_us() / 1000000;
	chat->head.fingerprint = chat->c->setup->fingerprint;
	chat->head.include_usage = chat->request.include_usage;
	chat->head.trace = chat->request.objective.trace;
	chat->head.older_tools = chat->request.older_tools;
	chat->head.echo = chat->request.echo;
	chat->head.store = chat->request.store;
	if (!chat->request.stream)
		return;
	chat->batch.hold = hold;
	chat->run.batch = &chat->batch;
	tdm_exchange_may_stream(chat->c->x, chat->format->ping);
}

static void release(struct chat *chat) {
	for (int i = 0; i < chat->n_begun; i++) {
		struct choice *choice = &chat->choices[i];
		struct tdm_bytes *all[N_BUFFERS];
		buffers(choice, all);
		for (size_t k = 0; k < N_BUFFERS; k++)
			tdm_bytes_release(all[k]);
		tdm_columns_release(&choice->columns);
		for (struct tdm_chat_call *call = choice->kept.calls; call; call = call->next)
			tdm_bytes_release(&call->arguments);
		tdm_arena_release(&choice->arena);
	}
	tdm_bytes_release(&chat->event);
	tdm_seen_release(&chat->seen);
	pthread_mutex_destroy(&chat->lock);
}

static void answer(struct chat *chat, int status) {
	status = close_record(chat, status);
	const char *receipt = tdm_seen_add(&chat->seen, chat->c->arena, tdm_entry_receipt(chat->c, chat->run.record));
	if (chat->request.stream && (!status || tdm_exchange_committed(chat->c->x))) {
		end_stream(chat, status, receipt);
	} else if (status) {
		chat->c->error = chat->run.error;
		chat->c->error.status = status;
		tdm_reply_error(chat->c, receipt);
	} else {
		reply_whole(chat, receipt);
	}
}

void tdm_handle_answer(struct tdm_call_context *c) {
	struct chat chat = {.c = c, .format = c->format};
	if (tdm_entry_begin(c, &chat.run, c->format->endpoint))
		return;
	tdm_bytes_init(&chat.event, SIZE_MAX / 4);
	pthread_mutex_init(&chat.lock, NULL);
	int status = prepare(&chat);
	if (!status) {
		begin(&chat);
		status = generate(&chat);
	}
	answer(&chat, status);
	release(&chat);
}
