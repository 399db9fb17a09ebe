// Script: a source that says what a file tells it to, for tests of everything above it. It is deterministic: the answer
// depends on the request and, with `turn: call`, on the number of calls before. It streams in pieces, obeys stop
// strings, fails and waits when told so, and can write down the exact requests that reached it.
//
//   answers: ["first", "second"]          used in turn
//   file: answers.json                    [{"match": "part of the last user message", "answer": "...",
//                                           "logprobs": -0.1 or [-0.1, -2], "scores": {"yes": -0.2}, "error": CODE,
//                                           "delay_ms": 5, "chunk": 3}, ...]     the first match answers
#include "base/clock.h"
#include "base/file.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/value.h"
#include "models/collect.h"
#include "models/sources.h"
#include "models/stop.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_LIMIT_BYTES ((size_t)16 << 20)

struct options {
	struct tdm_strings answers;
	const char *file, *record;
	int turn; // call, draw
	int64_t chunk, delay_ms;
	double logprob;
};

struct rule {
	const char *match, *answer; // match NULL = always
	size_t answer_bytes;
	const double *logprobs; // of event i: logprobs[i % n_logprobs]
	size_t n_logprobs;
	const struct tdm_value *scores;
	int error; // TDM_OK or the status that ends the answer
	int64_t delay_ms, chunk;
};

struct script {
	struct tdm_model model;
	struct rule *rules;
	size_t n_rules;
	bool in_turn, by_draw; // in_turn: rules are used one after the other, match is not looked at
	const char *record;
	atomic_ullong n_calls;
};

// --- what reached this model

static const char *const author_names[] = {"system", "user", "assistant", "tool"};

static void write_request(struct tdm_bytes *b, const struct tdm_request *rq) {
	tdm_bytes_puts(b, "{\"messages\":[");
	for (size_t i = 0; i < rq->n_messages; i++) {
		tdm_bytes_printf(b, "%s{\"role\":\"%s\",\"content\":", i ? "," : "", author_names[rq->messages[i].from]);
		tdm_bytes_json(b, rq->messages[i].text, rq->messages[i].len);
		tdm_bytes_putc(b, '}');
	}
	tdm_bytes_printf(b, "],\"max_tokens\":%d,\"temperature\":", rq->max_tokens);
	tdm_bytes_number(b, (double)rq->temperature);
	tdm_bytes_printf(b, ",\"draw\":%llu,\"logprobs\":%s,\"purpose\":", (unsigned long long)rq->draw,
	                 rq->logprobs ? "true" : "false");
	tdm_bytes_json(b, rq->purpose ? rq->purpose : "answer", strlen(rq->purpose ? rq->purpose : "answer"));
	tdm_bytes_puts(b, "}\n");
}

// One line, one write: concurrent calls do not mix.
static int record_request(const struct script *s, struct tdm_run *run, const struct tdm_request *rq) {
	struct tdm_bytes line;
	int status = TDM_OK;
	if (!s->record)
		return TDM_OK;
	tdm_bytes_init(&line, FILE_LIMIT_BYTES);
	write_request(&line, rq);
	int fd = open(s->record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (line.failed || fd < 0 || write(fd, line.data, line.len) != (ssize_t)line.len)
		status = tdm_fail(&run->error, TDM_EIO, "script %s: cannot append to %s: %s", s->model.name, s->record,
		                  strerror(errno));
	if (fd >= 0)
		close(fd);
	tdm_bytes_release(&line);
	return status;
}

// --- which rule

static const struct tdm_message *last_user(const struct tdm_request *rq) {
	for (size_t i = rq->n_messages; i-- > 0;)
		if (rq->messages[i].from == TDM_FROM_USER)
			return &rq->messages[i];
	return NULL;
}

static bool matches(const struct rule *rule, const struct tdm_message *user) {
	return !rule->match || (user && memmem(user->text, user->len, rule->match, strlen(rule->match)));
}

static const struct rule *choose_rule(struct script *s, struct tdm_run *run, const struct tdm_request *rq) {
	unsigned long long call = atomic_fetch_add(&s->n_calls, 1);
	if (s->in_turn)
		return &s->rules[(s->by_draw ? rq->draw : call) % s->n_rules];
	for (size_t i = 0; i < s->n_rules; i++)
		if (matches(&s->rules[i], last_user(rq)))
			return &s->rules[i];
	tdm_fail(&run->error, TDM_EVALUE, "script %s: no answer matches the last user message", s->model.name);
	return NULL;
}

// --- answering

// Waits in small steps, so that a client that leaves is noticed.
static int wait_ms(struct tdm_run *run, int64_t ms) {
	int64_t until_us = tdm_now_us() + ms * 1000;
	int status = tdm_run_check(run);
	while (status == TDM_OK && tdm_now_us() < until_us) {
		tdm_loop_blocks();
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		status = tdm_run_check(run);
	}
	return status;
}

// The next `chunk` bytes, made longer until they end with a whole character.
static size_t next_piece(const char *text, size_t n, int64_t chunk) {
	size_t at = 0;
	uint32_t c;
	while (at < n && at < (size_t)chunk)
		at += tdm_utf8_next(text + at, n - at, &c);
	return at;
}

static int stream_answer(struct script *s, struct tdm_run *run, const struct tdm_request *rq, const struct rule *rule,
                         struct tdm_sink *sink, struct tdm_result *result) {
	size_t n = rule->answer_bytes, at = 0;
	double sum = 0;
	int status = TDM_OK;
	result->stop = tdm_stop_find(rq->stop, rq->n_stop, rule->answer, n, true, &at);
	n = at; // all of it without one
	for (at = 0; at < n && status == TDM_OK;) {
		struct tdm_event event = {.text = rule->answer + at, .author = s->model.name, .token = -1, .logprob = NAN};
		event.len = next_piece(event.text, n - at, rule->chunk);
		if (rule->n_logprobs)
			event.logprob = (float)rule->logprobs[(size_t)result->completion_tokens % rule->n_logprobs];
		if ((status = wait_ms(run, rule->delay_ms)))
			break;
		status = sink->put(sink, &event);
		sum += (double)event.logprob;
		at += event.len;
		if (++result->completion_tokens == rq->max_tokens && at < n) {
			result->finish = TDM_FINISH_LENGTH;
			break;
		}
	}
	result->mean_logprob = result->completion_tokens ? sum / (double)result->completion_tokens : (double)NAN;
	return status < 0 ? status : TDM_OK;
}

static int script_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq,
                           struct tdm_sink *sink, struct tdm_result *result) {
	struct script *s = (struct script *)m;
	int64_t started_us = tdm_now_us();
	int status = record_request(s, run, rq);
	const struct rule *rule = status ? NULL : choose_rule(s, run, rq);
	if (!rule)
		status = run->error.status;
	result->prompt_tokens = tdm_estimate_tokens(tdm_request_bytes(rq));
	if (rule && rule->delay_ms && rule->answer_bytes == 0)
		status = wait_ms(run, rule->delay_ms);
	if (rule && !status)
		status = stream_answer(s, run, rq, rule, sink, result);
	if (rule && !status && rule->error)
		status = tdm_fail(&run->error, rule->error, "script %s: told to fail with %s", m->name,
		                  tdm_status_info(rule->error)->code);
	tdm_source_called(m, run, rq, "answer", started_us, status, result);
	return status;
}

// ln p of each text from the rule's "scores"; a text that is not listed has -20.
static int script_score(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *rq,
                        const char *const *texts, size_t n, double *logprobs, int *n_tokens) {
	struct script *s = (struct script *)m;
	struct tdm_result result = {.prompt_tokens = tdm_estimate_tokens(tdm_request_bytes(rq))};
	int64_t started_us = tdm_now_us();
	int status = record_request(s, run, rq);
	const struct rule *rule = status ? NULL : choose_rule(s, run, rq);
	tdm_run_saw(run, m, rq);
	if (!rule)
		status = run->error.status;
	for (size_t i = 0; rule && i < n; i++) {
		logprobs[i] = tdm_get_number(rule->scores, texts[i], -20);
		if (n_tokens)
			n_tokens[i] = (int)tdm_estimate_tokens(strlen(texts[i]));
	}
	if (rule && rule->error)
		status = tdm_fail(&run->error, rule->error, "script %s: told to fail with %s", m->name,
		                  tdm_status_info(rule->error)->code);
	tdm_source_called(m, run, rq, "judge", started_us, status, &result);
	return status;
}

// --- reading the settings

static const double *numbers(const struct tdm_build *b, const struct tdm_value *value, size_t *n) {
	const struct tdm_value *items = value->type == TDM_LIST ? value->items : value;
	size_t count = value->type == TDM_LIST ? value->n : 1;
	double *out = tdm_arena_array(b->arena, count, sizeof *out);
	for (size_t i = 0; out && i < count; i++) {
		if (items[i].type != TDM_NUMBER)
			return NULL;
		out[i] = items[i].number;
	}
	*n = count;
	return out;
}

static int status_of(const char *code) {
	for (int row = 0; row < TDM_N_STATUS; row++)
		if (!strcmp(tdm_status_info(-1 - row)->code, code))
			return -1 - row;
	return TDM_OK;
}

struct row { // one entry of the file, as options
	const char *match, *answer, *error;
	int64_t delay_ms, chunk;
	const struct tdm_value *logprobs, *scores;
};
#define ROW(name) offsetof(struct row, name)
static const struct tdm_option row_options[] = {
    {"match", TDM_OPT_STRING, ROW(match), NULL, 0, 0, NULL, "part of the last user message; absent = always"},
    {"answer", TDM_OPT_STRING, ROW(answer), "", 0, 0, NULL, "text to say"},
    {"error", TDM_OPT_STRING, ROW(error), NULL, 0, 0, NULL, "code of the failure that ends the answer"},
    {"delay_ms", TDM_OPT_INT, ROW(delay_ms), "0", 0, 600000, NULL, "wait before each piece, ms"},
    {"chunk", TDM_OPT_INT, ROW(chunk), "8", 1, 1e9, NULL, "bytes per piece"},
    {"logprobs", TDM_OPT_VALUE, ROW(logprobs), NULL, 0, 0, NULL, "number, or a list of one per piece"},
    {"scores", TDM_OPT_VALUE, ROW(scores), NULL, 0, 0, NULL, "map from a text to its logarithm of probability"},
};

static int read_rule(const struct tdm_build *b, const char *path, size_t index, const struct tdm_value *entry,
                     struct rule *out) {
	struct row row;
	const char *where = tdm_arena_printf(b->arena, "%s: entry %zu", path, index + 1);
	int status =
	    tdm_options_read(b->arena, where, entry, row_options, TDM_COUNT(row_options), NULL, &row, sizeof row, b->error);
	if (status)
		return status;
	*out = (struct rule){.match = row.match, .answer = row.answer, .answer_bytes = strlen(row.answer)};
	out->scores = row.scores;
	out->delay_ms = row.delay_ms;
	out->chunk = row.chunk;
	if (row.error && !(out->error = status_of(row.error)))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: unknown error code \"%s\"", where, row.error);
	if (row.logprobs && !(out->logprobs = numbers(b, row.logprobs, &out->n_logprobs)))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: logprobs are expected to be numbers", where);
	return TDM_OK;
}

static const char *beside_settings(const struct tdm_build *b, const char *path) {
	return !path || path[0] == '/' || !b->folder ? path : tdm_arena_printf(b->arena, "%s/%s", b->folder, path);
}

static int read_file(const struct tdm_build *b, struct script *s, const char *name) {
	const char *path = beside_settings(b, name);
	struct tdm_bytes text;
	struct tdm_value *list = NULL;
	struct tdm_error why = {0};
	int status = tdm_file_read(path, FILE_LIMIT_BYTES, &text, &why);
	if (!status)
		status = tdm_json_parse(b->arena, text.data, text.len, &list, &why);
	tdm_bytes_release(&text);
	if (status)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: file %s: %s", b->where, path, why.text);
	if (list->type != TDM_LIST || list->n == 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: file %s: expected a list of answers", b->where, path);
	s->rules = tdm_arena_array(b->arena, list->n, sizeof *s->rules);
	if (!s->rules)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for %zu answers", b->where, list->n);
	s->n_rules = list->n;
	for (size_t i = 0; i < list->n && !status; i++)
		status = read_rule(b, path, i, &list->items[i], &s->rules[i]);
	return status;
}

static int read_answers(const struct tdm_build *b, struct script *s, const struct options *o) {
	double *logprob = tdm_arena_alloc(b->arena, sizeof *logprob);
	s->rules = tdm_arena_array(b->arena, o->answers.n, sizeof *s->rules);
	if (!s->rules || !logprob)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for %zu answers", b->where, o->answers.n);
	*logprob = o->logprob;
	s->n_rules = o->answers.n;
	s->in_turn = true;
	for (size_t i = 0; i < o->answers.n; i++) {
		s->rules[i] = (struct rule){.answer = o->answers.items[i], .answer_bytes = strlen(o->answers.items[i])};
		s->rules[i].delay_ms = o->delay_ms;
		s->rules[i].chunk = o->chunk;
		s->rules[i].logprobs = logprob;
		s->rules[i].n_logprobs = o->logprob <= 0;
	}
	return TDM_OK;
}

static const struct tdm_model_ops text_ops = {.generate = script_generate};
static const struct tdm_model_ops score_ops = {.generate = script_generate, .score = script_score};

static int script_create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	const struct options *o = options;
	if ((o->answers.n == 0) == !o->file)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: expected either answers or a file", b->where);
	struct script *s = tdm_build_model(b, sizeof *s, &text_ops, TDM_CAN_TEXT);
	if (!s)
		return TDM_ENOMEM;
	int status = o->file ? read_file(b, s, o->file) : read_answers(b, s, o);
	if (status)
		return status;
	s->by_draw = o->turn == 1;
	s->record = beside_settings(b, o->record);
	for (size_t i = 0; i < s->n_rules; i++) {
		s->model.can |= s->rules[i].n_logprobs ? TDM_CAN_LOGPROBS : 0;
		s->model.can |= s->rules[i].scores ? TDM_CAN_SCORE : 0;
	}
	if (s->model.can & TDM_CAN_SCORE)
		s->model.ops = &score_ops;
	*out = &s->model;
	return TDM_OK;
}

#define AT(name) offsetof(struct options, name)
static const struct tdm_option script_options[] = {
    {"answers", TDM_OPT_LIST, AT(answers), NULL, 0, 0, NULL, "answers, used in turn"},
    {"file", TDM_OPT_STRING, AT(file), NULL, 0, 0, NULL, "JSON list of answers with the message each of them matches"},
    {"record", TDM_OPT_STRING, AT(record), NULL, 0, 0, NULL, "file to which every request is appended as a JSON line"},
    {"turn", TDM_OPT_CHOICE, AT(turn), "call", 0, 0, "call|draw", "answers in turn by the count of calls, or by draw"},
    {"chunk", TDM_OPT_INT, AT(chunk), "8", 1, 1e9, NULL, "bytes per piece of an answer"},
    {"delay_ms", TDM_OPT_INT, AT(delay_ms), "0", 0, 600000, NULL, "wait before each piece, ms"},
    {"logprob", TDM_OPT_NUMBER, AT(logprob), "1", 0, 0, NULL, "logarithm of probability of each piece; above 0 = none"},
};

const struct tdm_kind tdm_kind_script = {
    .name = "script",
    .summary = "recorded answers, for tests",
    .family = TDM_SOURCE,
    .options = script_options,
    .n_options = TDM_COUNT(script_options),
    .options_bytes = sizeof(struct options),
    .create = script_create,
};
