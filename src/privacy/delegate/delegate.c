// delegate: a public question is made out of a private one, a model elsewhere answers it, and the small model at home
// writes the answer from the request and what came back (CoGenesis, PAPILLON, Minions and others: see the forms).
//
// The rules it protects: the small model stays on this machine, and nothing leaves it but through a mask; what leaves
// besides is what the form says and no value of the request (home.h). Where that cannot be had, or the large model is
// down, slow or says nothing, the small one answers alone with a note in the receipt, or the request is refused
// (`then: block`). The answer streams as the small one writes it.
//
// Here are the kind's row, the calls of both models and the way home; delegate_public.c has the forms that ask once,
// delegate_rounds.c the ones that converse. A new form: a row in `forms`, a choice, its texts in delegate_prompts.c.
#include "privacy/delegate/delegate.h"
#include "base/clock.h"
#include "models/gate.h"
#include "models/promise.h"
#include "privacy/kinds.h"
#include <ctype.h>
#include <stdio.h>

#define SMALL_ANSWER_LIMIT_BYTES ((size_t)1 << 20)
#define DRAWS_PER_REQUEST 8192 // random streams of one draw of a request: its own and those of its helpers

const char *const tdm_delegate_forms[] = {"sketch", "rewrite", "keywords", "examples", "relevant", "chat", "jobs"};
static const struct {
	int reply;
	const char *method; // of receipts
	int (*ask)(struct tdm_delegation *e);
} forms[] = {
    {TDM_REPLY_OUTLINE, "sketch", tdm_delegate_public},   {TDM_REPLY_ANSWER, "rewrite", tdm_delegate_public},
    {TDM_REPLY_CONTEXT, "delegate", tdm_delegate_public}, {TDM_REPLY_ANSWER, "delegate", tdm_delegate_public},
    {TDM_REPLY_ANSWER, "delegate", tdm_delegate_public},  {TDM_REPLY_ANSWER, "delegate", tdm_delegate_rounds},
    {TDM_REPLY_ANSWER, "delegate", tdm_delegate_rounds},
};
enum { THEN_LOCAL, THEN_BLOCK };

struct tdm_words tdm_trimmed(const char *text, size_t n) {
	while (n && isspace((unsigned char)text[n - 1]))
		n--;
	for (; n && isspace((unsigned char)*text); n--)
		text++;
	return (struct tdm_words){text, n};
}

int tdm_delegate_clean(struct tdm_delegation *e, struct tdm_words *texts, size_t n, unsigned copies,
                       struct tdm_home_look *look) {
	int status = tdm_home_clean(&e->home, texts, n, copies, look);
	e->leaked += look->leaked;
	e->hidden += look->hidden;
	return status;
}

// --- the two models

// A question of our own in the place of the client's.
static void own_question(struct tdm_request *asked, const struct tdm_message *messages, size_t n, const char *purpose) {
	asked->messages = messages;
	asked->n_messages = n;
	asked->purpose = purpose;
	asked->form = NULL;
	asked->tools = (struct tdm_toolbox){0};
	asked->logprobs = false;
	asked->top_logprobs = 0;
	asked->n_stop = 0;
}

int tdm_delegate_small(const struct tdm_delegation *e, struct tdm_run *run, const struct tdm_home_ask *ask,
                       struct tdm_words *out, struct tdm_result *result) {
	struct tdm_message m = {.from = TDM_FROM_USER, .text = ask->text, .len = ask->len};
	struct tdm_request asked = *e->request;
	struct tdm_collect said;
	own_question(&asked, &m, 1, ask->purpose);
	asked.max_tokens = 0;
	if (ask->temperature >= 0)
		asked.temperature = ask->temperature;
	asked.draw = e->request->draw * DRAWS_PER_REQUEST + (uint64_t)ask->draw;
	tdm_collect_init(&said, SMALL_ANSWER_LIMIT_BYTES, NULL, NULL);
	int status = tdm_generate(e->c->small, run, &asked, &said.sink, result);
	char *copy = tdm_arena_copy(run->arena, said.text.data ? said.text.data : "", said.text.len);
	*out = copy ? tdm_trimmed(copy, said.text.len) : (struct tdm_words){NULL, 0};
	tdm_collect_release(&said);
	return copy || status ? status : tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for an answer", e->c->model.name);
}

// Does what is left of the request's max_cost, and of `money`, pay for one more call of the large one?
static bool can_pay(struct tdm_delegation *e, const struct tdm_request *asked) {
	struct tdm_run *run = e->run;
	struct tdm_objective outer = run->objective;
	double spent = tdm_record_cost(run->record);
	double left = e->c->o.money > 0 ? e->c->o.money - (spent - e->cost_before) : INFINITY;
	if (!isnan(outer.max_cost) && outer.max_cost - spent < left)
		left = outer.max_cost - spent;
	if (isinf(left))
		return true;
	run->objective = (struct tdm_objective){.quality = NAN, .max_cost = left};
	bool can = left > 0 && tdm_check_objective(e->c->large, asked, run) == TDM_OK;
	run->objective = outer;
	tdm_error_clear(&run->error);
	return can;
}

struct begun { // notes that words came
	struct tdm_sink sink;
	struct tdm_begin begin;
};

static int begun_put(struct tdm_sink *sink, const struct tdm_event *event) {
	atomic_store_explicit(&((struct begun *)sink)->begin.began, true, memory_order_relaxed);
	return sink->next->put(sink->next, event);
}

static int send(struct tdm_delegation *e, const struct tdm_request *asked, struct tdm_sink *sink,
                struct tdm_result *result) {
	struct tdm_run *run = e->run;
	int64_t wait_us = e->c->o.wait_ms * 1000;
	struct begun b = {.sink = {begun_put, sink}, .begin = {.outer = run->begin}};
	b.begin.until_us = tdm_now_us() + wait_us;
	run->begin = wait_us ? &b.begin : b.begin.outer;
	int status = tdm_home_send(&e->home, e->c->large, asked, &b.sink, result);
	run->begin = b.begin.outer;
	if (status != TDM_EDEADLINE || !wait_us || atomic_load(&b.begin.began))
		return status;
	tdm_error_clear(&run->error);
	int over = tdm_run_check(run); // the request's own end is the end
	return over ? over
	            : tdm_fail(&run->error, TDM_EUPTIME, "model %s: it did not begin to answer in time", e->c->large->name);
}

int tdm_delegate_large(struct tdm_delegation *e, const struct tdm_words *system, const struct tdm_words *user,
                       struct tdm_words *out) {
	struct tdm_message messages[] = {{.from = TDM_FROM_SYSTEM, .text = system->text, .len = system->len},
	                                 {.from = TDM_FROM_USER, .text = user->text, .len = user->len}};
	bool converses = forms[e->c->o.form].ask == tdm_delegate_rounds;
	struct tdm_request asked = *e->request;
	struct tdm_result result = {0}; // a scan may end it before anybody is asked
	struct tdm_collect said;
	own_question(&asked, messages, 2, converses ? "plan" : "draft");
	asked.max_tokens = e->c->o.tokens ? (int)e->c->o.tokens : converses ? 0 : e->request->max_tokens;
	asked.draw = e->request->draw * DRAWS_PER_REQUEST + (uint64_t)e->rounds;
	*out = (struct tdm_words){"", 0};
	if (!can_pay(e, &asked)) {
		e->why = "money is spent";
		return TDM_OK;
	}
	tdm_collect_init(&said, SMALL_ANSWER_LIMIT_BYTES, NULL, NULL);
	int status = send(e, &asked, &said.sink, &result);
	e->large_in += result.prompt_tokens;
	e->large_out += result.completion_tokens;
	if (e->c->large->leaves)
		e->run->record->left.method = forms[e->c->o.form].method;
	struct tdm_words text = tdm_trimmed(said.text.data ? said.text.data : "", said.text.len);
	if (status == TDM_OK && !text.len)
		e->why = "no reply";
	// of rounds the values are filled in by who reads it: some of it goes up again
	out->len = text.len;
	out->text = converses ? tdm_arena_copy(e->run->arena, text.text, text.len)
	                      : tdm_home_fill(&e->home, text.text, text.len, &out->len);
	tdm_collect_release(&said);
	return status || out->text ? status
	                           : tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a reply", e->c->model.name);
}

// --- the way home

static size_t task_of(const struct tdm_request *request) {
	size_t i = request->n_messages;
	while (i > 1 && request->messages[i - 1].from != TDM_FROM_USER)
		i--;
	return i - 1;
}

static int add_reply(struct tdm_delegation *e, struct tdm_message *task) {
	static const char *const names[] = {"home-answer", "home-answer", "home-outline", "home-context"};
	struct tdm_fill fills[] = {{"reply", e->reply}, {"notes", e->notes}};
	const char *name = e->notes.len ? "home-examples" : names[e->reply_kind];
	size_t n;
	const char *note = tdm_delegate_prompt(e->run->arena, name, fills, TDM_COUNT(fills), &n);
	char *text = note ? tdm_arena_alloc(e->run->arena, task->len + n + 1) : NULL;
	if (!text)
		return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a note", e->c->model.name);
	memcpy(text, task->text, task->len);
	memcpy(text + task->len, note, n);
	task->text = text;
	task->len += n;
	return TDM_OK;
}

// The request without marks, and with what came back behind its question.
static int home_request(struct tdm_delegation *e, struct tdm_request *asked) {
	size_t n = e->request->n_messages, task = task_of(e->request);
	struct tdm_message *list = tdm_arena_array(e->run->arena, n, sizeof *list);
	if (!list)
		return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a request", e->c->model.name);
	for (size_t i = 0; i < n; i++) {
		list[i] = e->request->messages[i];
		list[i].text = e->home.texts[i].text;
		list[i].len = e->home.texts[i].n;
	}
	*asked = *e->request;
	asked->messages = list;
	if (e->why)
		return TDM_OK;
	if (e->without_parts) {
		list[task].text = e->home.task.text;
		list[task].len = e->home.task.len;
		asked->messages = &list[task];
		asked->n_messages = 1;
	}
	return add_reply(e, &list[task]);
}

static int compose(struct tdm_delegation *e, struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_request asked;
	int status = home_request(e, &asked);
	if (status == TDM_OK)
		status = tdm_generate(e->c->small, e->run, &asked, sink, result);
	e->small_in += result->prompt_tokens;
	e->small_out += result->completion_tokens;
	if (status == TDM_OK && !e->why)
		result->served = e->c->model.name;
	return status;
}

static void record(const struct tdm_delegation *e, const char *choice, const char *egress) {
	const struct tdm_delegate *c = e->c;
	double leak = e->home.n_asked ? (double)e->leaked / (double)e->home.n_asked : 0;
	tdm_gate_record(
	    e->run, &c->model, choice, "leak", leak > 1 ? 1 : leak, c->o.leak,
	    "%s%s%zu of %zu values found, %zu hidden, %d again; rounds %lld, jobs %lld, kept %lld; large %lld/%lld, "
	    "small %lld/%lld tokens; egress %s",
	    e->why ? e->why : "", e->why ? ": " : "", e->leaked, e->home.n_asked, e->hidden, e->again, (long long)e->rounds,
	    (long long)e->jobs, (long long)e->answers, (long long)e->large_in, (long long)e->large_out,
	    (long long)e->small_in, (long long)e->small_out, egress);
}

static bool is_refusal(int status) {
	return status == TDM_EEGRESS || status == TDM_EGUARD || status == TDM_EPRIVACY;
}

// What becomes of a question that did not go out, or of one that was not answered. *refused: nothing may replace it.
static int settle(struct tdm_delegation *e, int status) {
	const struct tdm_delegate *c = e->c;
	bool withheld = is_refusal(status) || (e->why && !strcmp(e->why, TDM_DELEGATE_COPIES));
	if (withheld && c->o.then == THEN_BLOCK)
		return status ? status
		              : tdm_fail(&e->run->error, TDM_EPRIVACY,
		                         "%s: what was to be asked elsewhere copies private words; nothing of it was sent",
		                         c->model.name);
	if (status < 0 && !is_refusal(status) && !tdm_gate_may_replace(status))
		return status;
	if (status < 0) {
		const char *code = tdm_status_info(status)->code;
		char *text = tdm_arena_printf(e->run->record->arena, "model %s is out (%s): model %s goes on", c->large->name,
		                              code, c->small->name);
		tdm_record_warn(e->run->record, "model_out", c->large->name, text ? text : code);
		tdm_error_clear(&e->run->error);
		e->why = is_refusal(status) ? "not sent" : "large failed";
	}
	return TDM_OK;
}

// Tools, calls and raw prompts are the small one's alone: they have no public half.
static bool is_divisible(const struct tdm_request *request) {
	bool plain = !tdm_wants_tools(request) && !request->raw;
	for (size_t i = 0; i < request->n_messages; i++)
		plain = plain && !request->messages[i].n_calls && request->messages[i].from != TDM_FROM_TOOL;
	return plain;
}

// privacy 3 needs a level of 3, and so on.
static int level_of(const struct tdm_delegate *c, const struct tdm_run *run) {
	int level = (int)c->o.level, wish = run->objective.privacy > 3 ? 3 : run->objective.privacy;
	level = c->level > level ? c->level : level;
	return wish > level ? wish : level;
}

// One private value a line, as the small one says; those that do not stand in the request are ignored by who searches.
static int list_values(struct tdm_delegation *e, struct tdm_home_rules *rules) {
	struct tdm_fill fills[] = {{"task", e->home.task}, {"parts", {"", 0}}};
	struct tdm_home_ask ask = {.purpose = "guard", .draw = 4, .temperature = 0};
	struct tdm_bytes parts;
	struct tdm_result result;
	struct tdm_words said;
	tdm_bytes_init(&parts, (size_t)64 << 20);
	for (size_t i = 0; i < e->home.n_parts; i++) {
		tdm_bytes_add(&parts, e->home.parts[i].text, e->home.parts[i].n);
		tdm_bytes_puts(&parts, "\n\n");
	}
	fills[1].words = (struct tdm_words){parts.data ? parts.data : "", parts.len};
	ask.text = parts.failed ? NULL : tdm_delegate_prompt(e->run->arena, "list", fills, 2, &ask.len);
	tdm_bytes_release(&parts);
	if (!ask.text)
		return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a list", e->c->model.name);
	int status = tdm_delegate_small(e, e->run, &ask, &said, &result);
	e->small_in += result.prompt_tokens;
	e->small_out += result.completion_tokens;
	struct tdm_words *list = tdm_arena_array(e->run->arena, said.len + 1, sizeof *list);
	for (size_t at = 0; status == TDM_OK && list && at < said.len;) {
		const char *end = memchr(said.text + at, '\n', said.len - at);
		size_t n = end ? (size_t)(end - said.text) - at : said.len - at;
		struct tdm_words item = tdm_trimmed(said.text + at, n);
		for (size_t i = 0; item.len && i < e->home.n_texts; i++)
			if (memmem(e->home.texts[i].text, e->home.texts[i].n, item.text, item.len)) {
				list[rules->n_listed++] = item;
				break;
			}
		at += n + 1;
	}
	rules->listed = list;
	return status || list ? status : tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a list", e->c->model.name);
}

static int open_home(struct tdm_delegation *e) {
	const struct tdm_delegate *c = e->c;
	struct tdm_home_rules rules = {.detector = &c->detector, .copied = (int)c->o.copied};
	rules.level = level_of(c, e->run);
	int status = tdm_home_open(&e->home, e->run, e->request, &rules);
	if (status != TDM_OK || !c->o.list)
		return status;
	status = list_values(e, &rules);
	return status == TDM_OK ? tdm_home_open(&e->home, e->run, e->request, &rules) : status;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct tdm_delegate *c = (const struct tdm_delegate *)m;
	struct tdm_delegation e = {.c = c, .run = run, .request = request, .reply_kind = c->o.reply};
	e.cost_before = tdm_record_cost(run->record);
	if (e.reply_kind == TDM_REPLY_AUTO)
		e.reply_kind = forms[c->o.form].reply;
	if (!is_divisible(request)) {
		e.why = "not divisible";
		record(&e, "local", "pass");
		return tdm_generate(c->small, run, request, sink, result);
	}
	int status = open_home(&e);
	if (status != TDM_OK)
		return status;
	status = forms[c->o.form].ask(&e);
	const char *egress = status == TDM_EEGRESS ? "block" : "pass";
	status = settle(&e, status);
	const char *choice = status ? "block" : e.why ? "local" : tdm_delegate_forms[c->o.form];
	if (status == TDM_OK)
		status = compose(&e, sink, result);
	record(&e, choice, egress);
	return status;
}

// --- the settings

static void destroy(struct tdm_model *m) {
	tdm_scanner_free(((struct tdm_delegate *)m)->scanner);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct tdm_model *small = tdm_build_role(b, "small"), *large = tdm_build_role(b, "large");
	unsigned can = TDM_CAN_TEXT | (small->can & (TDM_CAN_LOGPROBS | TDM_CAN_TOOLS | TDM_CAN_FORM));
	struct tdm_delegate *c = tdm_build_model(b, sizeof *c, &ops, can);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct tdm_delegate_options *)options;
	c->small = small;
	c->large = large;
	if (small->leaves)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: role small: %s sends text off this machine, and it reads everything", b->where,
		                small->name);
	if (c->o.overlap >= c->o.chunk)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: overlap: expected less than chunk", b->where);
	if (c->o.instruction && c->o.form != TDM_FORM_REWRITE && c->o.form != TDM_FORM_KEYWORDS &&
	    c->o.form != TDM_FORM_EXAMPLES)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: instruction: form %s asks the small model for no question",
		                b->where, tdm_delegate_forms[c->o.form]);
	*out = &c->model;
	return tdm_home_detector(b, "large", large, &c->detector, &c->level, &c->scanner);
}

static const struct tdm_role roles[] = {
    {"small", TDM_CAN_TEXT, 1, 1, "reads everything and writes the answer; stays on this machine"},
    {"large", TDM_CAN_TEXT, 1, 1, "gets the public question; behind a mask, if it is elsewhere"},
};

#define AT(field) offsetof(struct tdm_delegate_options, field)
static const struct tdm_option table[] = {
    {"form", TDM_OPT_CHOICE, AT(form), "rewrite", 0, 0, "sketch|rewrite|keywords|examples|relevant|chat|jobs",
     "what leaves: the bare question, one that the small model wrote, words of the subject, other questions of the "
     "sort, "
     "paragraphs that are needed, answers about a document, or of pieces of it"},
    {"reply", TDM_OPT_CHOICE, AT(reply), "auto", 0, 0, "auto|answer|outline|context",
     "what is asked for; auto: an outline (sketch), background (keywords), else an answer"},
    {"then", TDM_OPT_CHOICE, AT(then), "local", 0, 0, "local|block",
     "when nothing may be sent: the small model answers alone, or the request is refused"},
    {"level", TDM_OPT_INT, AT(level), "2", 1, 3, NULL,
     "which values never leave, as mask has levels; a mask's own may be higher"},
    {"leak", TDM_OPT_NUMBER, AT(leak), "0", 0, 1, NULL,
     "share of the request's values from which on a question is written again, before they are hidden in it"},
    {"copied", TDM_OPT_INT, AT(copied), "12", 4, 1000, NULL,
     "words in a row that may not be copied from private parts"},
    {"list", TDM_OPT_BOOL, AT(list), "no", 0, 0, NULL,
     "ask the small model for private values first, beside the patterns"},
    {"instruction", TDM_OPT_STRING, AT(instruction), NULL, 0, 0, NULL,
     "what the small model is told in place of the form's own words; {task} and {parts} are put in"},
    {"keywords", TDM_OPT_INT, AT(keywords), "12", 1, 64, NULL, "most keywords (keywords)"},
    {"examples", TDM_OPT_INT, AT(examples), "4", 1, 32, NULL, "questions of the same sort (examples)"},
    {"relevance", TDM_OPT_NUMBER, AT(relevance), "0.5", 0, 1, NULL, "from which on a paragraph is sent (relevant)"},
    {"rounds", TDM_OPT_INT, AT(rounds), "5", 0, 20, NULL, "most questions (chat) or lists of tasks (jobs)"},
    {"tasks", TDM_OPT_INT, AT(tasks), "3", 1, 8, NULL, "most tasks of a round (jobs)"},
    {"chunk", TDM_OPT_INT, AT(chunk), "3000", 64, 1 << 20, NULL, "bytes of a piece of the document (jobs)"},
    {"overlap", TDM_OPT_INT, AT(overlap), "20", 0, 1 << 16, NULL, "bytes that neighbouring pieces share (jobs)"},
    {"samples", TDM_OPT_INT, AT(samples), "1", 1, 16, NULL, "how often a task is done on a piece (jobs)"},
    {"temperature", TDM_OPT_NUMBER, AT(temperature), "0.7", 0, 2, NULL, "of several samples (jobs)"},
    {"jobs", TDM_OPT_INT, AT(jobs), "2048", 1, 4096, NULL, "most jobs of a round: tasks times pieces times samples"},
    {"parallel", TDM_OPT_INT, AT(parallel), "4", 1, 64, NULL, "jobs that run at a time"},
    {"money", TDM_OPT_NUMBER, AT(money), "0", 0, 1e6, NULL,
     "most that the models may cost for one request; 0 = no bound of its own"},
    {"tokens", TDM_OPT_INT, AT(tokens), "0", 0, 1 << 20, NULL,
     "most tokens of one answer of the large model; 0 = the request's limit"},
    {"wait_ms", TDM_OPT_INT, AT(wait_ms), "0", 0, 3600000, NULL,
     "how long the large model may take to begin an answer, ms; 0 = as long as it likes"},
};

const struct tdm_kind tdm_kind_delegate = {
    .name = "delegate",
    .summary = "a public question goes out, the answer is written at home",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_PRIVACY,
    .leaf = "C1b",
    .source = "CoGenesis (2403.03129), PAPILLON (2410.17127), Minions (2502.15964)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct tdm_delegate_options),
    .create = create,
};
