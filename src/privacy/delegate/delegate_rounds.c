// Rounds: the forms of `delegate` in which the large model works on a document that only the small one reads: it asks
// one question after the other (chat, after Minion), or has tasks done on every piece of it (jobs, after MinionS; arXiv
// 2502.15964).
//
// The rules it protects: what the large model writes is data (a question, a list of tasks), nothing of it is run; it
// gets of the document the helpers' answers alone, cleaned as every text that leaves, and none that copies words of the
// document in a row; explanations and citations stay at home. Rounds, jobs of a round and money are bounded.
#include "base/text.h"
#include "base/value.h"
#include "models/answer.h"
#include "models/beside.h"
#include "models/gate.h"
#include "privacy/delegate/delegate.h"
#include <stdio.h>
#include <string.h>

#define MOST_TASKS 8
#define MOST_ANSWER_BYTES 600

struct plan { // what the large one said
	struct tdm_words answer, question;
	struct tdm_words tasks[MOST_TASKS], advice[MOST_TASKS];
	size_t n_tasks;
};

struct piece_of {
	const char *text;
	size_t n;
};

struct job {
	struct tdm_words answer; // in the run's arena; empty: it says nothing
	int64_t in, out;
};

struct rounds {
	struct tdm_delegation *e;
	struct tdm_words system, task; // clean
	struct tdm_bytes history;      // clean
	struct piece_of *pieces;
	size_t n_pieces;
	struct plan plan;
	struct job *jobs;
	int64_t first_draw;
};

static int no_memory(const struct tdm_delegation *e) {
	return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a round", e->c->model.name);
}

// --- what the large one says

static struct tdm_words string_of(const struct tdm_value *map, const char *key) {
	const struct tdm_value *v = tdm_get(map, key);
	return v && v->type == TDM_STRING ? tdm_trimmed(v->text, v->len) : (struct tdm_words){NULL, 0};
}

static void read_tasks(const struct tdm_value *list, struct plan *out, size_t most) {
	for (size_t i = 0; list && list->type == TDM_LIST && i < list->n && out->n_tasks < most; i++) {
		const struct tdm_value *item = &list->items[i];
		struct tdm_words task = string_of(item, "task");
		if (item->type == TDM_STRING)
			task = tdm_trimmed(item->text, item->len);
		if (!task.len)
			continue;
		out->tasks[out->n_tasks] = task;
		out->advice[out->n_tasks++] = string_of(item, "advice");
	}
}

static const struct tdm_value *parse(struct tdm_arena *arena, struct tdm_words text) {
	struct tdm_error why = {0};
	struct tdm_value *value = NULL;
	struct tdm_bytes json;
	tdm_bytes_init(&json, (size_t)4 << 20);
	bool ok = tdm_answer_json(&json, text.text, text.len) && !json.failed;
	const char *copy = ok ? tdm_arena_copy(arena, json.data, json.len) : NULL;
	if (copy && tdm_json_parse(arena, copy, json.len, &value, &why) != TDM_OK)
		value = NULL;
	tdm_bytes_release(&json);
	return value;
}

// Words that are no JSON are an answer.
static void read_plan(struct rounds *r, struct tdm_words said) {
	const struct tdm_value *value = parse(r->e->run->arena, said);
	memset(&r->plan, 0, sizeof r->plan);
	if (!value || (value->type != TDM_MAP && value->type != TDM_LIST)) {
		r->plan.answer = said;
		return;
	}
	size_t most = (size_t)r->e->c->o.tasks;
	r->plan.answer = string_of(value, "answer");
	r->plan.question = string_of(value, "question");
	read_tasks(value->type == TDM_LIST ? value : tdm_get(value, "tasks"), &r->plan,
	           most < MOST_TASKS ? most : MOST_TASKS);
}

static int ask_large(struct rounds *r, const char *prompt, bool has_more) {
	struct tdm_delegation *e = r->e;
	char left[24];
	int n = snprintf(left, sizeof left, "%lld", has_more ? (long long)(e->c->o.rounds - e->rounds) : 0LL);
	struct tdm_fill fills[] = {
	    {"task", r->task}, {"history", {r->history.data, r->history.len}}, {"left", {left, (size_t)n}}};
	struct tdm_words said, user = r->task;
	if (r->history.len)
		user.text = tdm_delegate_prompt(e->run->arena, prompt, fills, TDM_COUNT(fills), &user.len);
	if (!user.text || r->history.failed)
		return no_memory(e);
	int status = tdm_delegate_large(e, &r->system, &user, &said);
	if (status == TDM_OK && !e->why)
		read_plan(r, said);
	return status;
}

// --- what goes up

// Cleans what a helper said; one that copies the document stays at home.
static int send_up(struct rounds *r, const char *before, struct tdm_words what, bool *kept) {
	struct tdm_home_look look;
	*kept = false;
	int status = tdm_delegate_clean(r->e, &what, 1, TDM_HOME_CONTEXT, &look);
	if (status != TDM_OK || look.copied)
		return status;
	tdm_bytes_puts(&r->history, before);
	tdm_bytes_json(&r->history, what.text, what.len);
	*kept = true;
	r->e->answers++;
	return TDM_OK;
}

static struct tdm_words cut(struct tdm_words text, size_t most) {
	if (text.len > most) {
		text.len = most;
		text.len -= tdm_utf8_partial(text.text, text.len);
	}
	return text;
}

static bool is_nothing(struct tdm_words text) {
	static const char *const words[] = {"none", "null", "n/a", "not found"};
	while (text.len && strchr(".!", text.text[text.len - 1]))
		text.len--;
	for (size_t i = 0; i < TDM_COUNT(words); i++)
		if (text.len == strlen(words[i]) && !strncasecmp(text.text, words[i], text.len))
			return true;
	return !text.len;
}

// --- chat

static int join_document(const struct tdm_delegation *e, struct tdm_bytes *out) {
	for (size_t i = 0; i < e->home.n_parts; i++) {
		tdm_bytes_puts(out, i ? "\n\n" : "");
		tdm_bytes_add(out, e->home.parts[i].text, e->home.parts[i].n);
	}
	return out->failed ? no_memory(e) : TDM_OK;
}

static int read_document(struct rounds *r, const struct tdm_bytes *document, struct tdm_words *out) {
	struct tdm_delegation *e = r->e;
	struct tdm_fill fills[] = {{"parts", {document->data, document->len}}, {"question", {NULL, 0}}};
	struct tdm_home_ask ask = {.purpose = "sample", .draw = 1 + e->rounds, .temperature = -1};
	struct tdm_result result;
	fills[1].words.text = tdm_home_fill(&e->home, r->plan.question.text, r->plan.question.len, &fills[1].words.len);
	ask.text = fills[1].words.text ? tdm_delegate_prompt(e->run->arena, "chat-read", fills, 2, &ask.len) : NULL;
	if (!ask.text)
		return no_memory(e);
	int status = tdm_delegate_small(e, e->run, &ask, out, &result);
	e->small_in += result.prompt_tokens;
	e->small_out += result.completion_tokens;
	*out = cut(*out, MOST_ANSWER_BYTES);
	return status;
}

static int one_question(struct rounds *r, const struct tdm_bytes *document) {
	struct tdm_words said, question = r->plan.question;
	bool kept;
	int status = read_document(r, document, &said);
	if (status != TDM_OK)
		return status;
	r->e->jobs++;
	tdm_bytes_puts(&r->history, r->history.len ? "\nQuestion: " : "Question: ");
	tdm_bytes_json(&r->history, question.text, question.len); // its own words
	status = send_up(r, "\nHelper: ", said, &kept);
	if (status == TDM_OK && !kept)
		tdm_bytes_puts(&r->history, "\nHelper: may not say that.");
	return status;
}

static int chat(struct rounds *r) {
	struct tdm_delegation *e = r->e;
	struct tdm_bytes document;
	tdm_bytes_init(&document, (size_t)64 << 20);
	int status = join_document(e, &document);
	for (e->rounds = 0; status == TDM_OK; e->rounds++) {
		bool has_more = e->rounds < e->c->o.rounds;
		status = ask_large(r, "chat-round", has_more);
		if (status != TDM_OK || e->why || r->plan.answer.len || !r->plan.question.len || !has_more)
			break;
		status = one_question(r, &document);
	}
	tdm_bytes_release(&document);
	return status;
}

// --- jobs

static int cut_pieces(struct rounds *r) {
	const struct tdm_delegate_options *o = &r->e->c->o;
	const struct tdm_home *h = &r->e->home;
	size_t step = (size_t)(o->chunk - o->overlap), n = 0, chunk = (size_t)o->chunk;
	for (size_t i = 0; i < h->n_parts; i++)
		n += 2 + h->parts[i].n / (step > 4 ? step - 3 : 1);
	r->pieces = tdm_arena_array(r->e->run->arena, n + 1, sizeof *r->pieces);
	for (size_t i = 0; r->pieces && i < h->n_parts; i++) {
		const struct tdm_home_part *p = &h->parts[i];
		for (size_t at = 0; at < p->n && r->n_pieces < n;) {
			size_t left = p->n - at, size = left < chunk ? left : chunk;
			if (size < left)
				size -= tdm_utf8_partial(p->text + at, size);
			r->pieces[r->n_pieces++] = (struct piece_of){p->text + at, size};
			if (size == left)
				break;
			size_t next = at + (size > (size_t)o->overlap ? size - (size_t)o->overlap : size);
			while (next < p->n && ((unsigned char)p->text[next] & 0xC0) == 0x80)
				next++;
			at = next;
		}
	}
	return r->pieces ? TDM_OK : no_memory(r->e);
}

// The answer of a helper's JSON, or its words as they are; nothing where it cites what its piece does not say.
static struct tdm_words read_answer(struct tdm_arena *arena, struct tdm_words said, const struct piece_of *piece) {
	const struct tdm_value *value = parse(arena, said);
	struct tdm_words answer = value && value->type == TDM_MAP ? string_of(value, "answer") : said;
	struct tdm_words citation = string_of(value, "citation");
	if (value && value->type == TDM_NULL)
		answer.len = 0;
	bool is_cited = !citation.len || is_nothing(citation) ||
	                tdm_words_within(arena, piece->text, piece->n, citation.text, citation.len);
	return is_nothing(answer) || !is_cited ? (struct tdm_words){NULL, 0} : cut(answer, MOST_ANSWER_BYTES);
}

// Job i: the samples of one task on one piece are neighbours, the pieces of a task follow one another.
static int do_job(void *arg, size_t i, struct tdm_run *run) {
	struct rounds *r = arg;
	const struct tdm_delegate_options *o = &r->e->c->o;
	size_t samples = (size_t)o->samples, task = i / samples / r->n_pieces;
	const struct piece_of *piece = &r->pieces[i / samples % r->n_pieces];
	struct tdm_fill fills[] = {
	    {"task", r->plan.tasks[task]}, {"advice", r->plan.advice[task]}, {"block", {piece->text, piece->n}}};
	struct tdm_home_ask ask = {.purpose = "sample", .draw = r->first_draw + (int64_t)i, .temperature = -1};
	struct tdm_result result;
	struct tdm_words said;
	if (o->samples > 1)
		ask.temperature = (float)o->temperature;
	ask.text = tdm_delegate_prompt(run->arena, "job", fills, TDM_COUNT(fills), &ask.len);
	if (!ask.text)
		return no_memory(r->e);
	int status = tdm_delegate_small(r->e, run, &ask, &said, &result);
	if (status == TDM_OK)
		r->jobs[i] = (struct job){read_answer(run->arena, said, piece), result.prompt_tokens, result.completion_tokens};
	return status;
}

// A helper that fails says nothing, unless the whole request is over.
static int take_job(void *arg, size_t i, int status, struct tdm_run *run) {
	struct rounds *r = arg;
	struct job *job = &r->jobs[i];
	size_t samples = (size_t)r->e->c->o.samples, piece = i / samples % r->n_pieces, task = i / samples / r->n_pieces;
	char before[64];
	bool kept;
	if (status != TDM_OK && !tdm_gate_may_replace(status))
		return status;
	tdm_error_clear(&run->error);
	r->e->jobs++;
	r->e->small_in += job->in;
	r->e->small_out += job->out;
	if (status != TDM_OK || !job->answer.len)
		return TDM_OK;
	snprintf(before, sizeof before, "%sTask %zu, piece %zu: ", r->history.len ? "\n" : "", task + 1, piece + 1);
	return send_up(r, before, job->answer, &kept);
}

// The tasks are the large one's words; in the helpers' questions its slots are values again.
static int fill_tasks(struct rounds *r) {
	const struct tdm_home *h = &r->e->home;
	for (size_t i = 0; i < r->plan.n_tasks; i++) {
		struct tdm_words *t = &r->plan.tasks[i], *a = &r->plan.advice[i];
		t->text = tdm_home_fill(h, t->text, t->len, &t->len);
		a->text = tdm_home_fill(h, a->text ? a->text : "", a->len, &a->len);
		if (!t->text || !a->text)
			return no_memory(r->e);
	}
	return TDM_OK;
}

static int do_tasks(struct rounds *r) {
	const struct tdm_delegate_options *o = &r->e->c->o;
	struct tdm_beside b = {.work = do_job, .take = take_job, .arg = r};
	size_t each = r->n_pieces * (size_t)o->samples;
	while (r->plan.n_tasks && r->plan.n_tasks * each > (size_t)o->jobs)
		r->plan.n_tasks--;
	if (!r->plan.n_tasks) {
		r->e->why = "more jobs than allowed";
		return TDM_OK;
	}
	int status = fill_tasks(r);
	r->jobs = tdm_arena_array(r->e->run->arena, r->plan.n_tasks * each, sizeof *r->jobs);
	if (status != TDM_OK || !r->jobs)
		return no_memory(r->e);
	size_t before = r->history.len;
	status = tdm_beside_run(&b, r->e->run, r->plan.n_tasks * each, (size_t)o->parallel);
	r->first_draw += (int64_t)(r->plan.n_tasks * each);
	if (r->history.len == before)
		tdm_bytes_puts(&r->history, before ? "\nNobody found anything." : "Nobody found anything.");
	return status;
}

static int jobs(struct rounds *r) {
	struct tdm_delegation *e = r->e;
	int status = cut_pieces(r);
	for (e->rounds = 0; status == TDM_OK; e->rounds++) {
		bool has_more = e->rounds < e->c->o.rounds;
		status = ask_large(r, "jobs-round", has_more);
		if (status != TDM_OK || e->why || r->plan.answer.len || !r->plan.n_tasks || !has_more)
			break;
		status = do_tasks(r);
		if (e->why)
			break;
	}
	return status;
}

// --- one request

static int prepare(struct rounds *r) {
	struct tdm_delegation *e = r->e;
	char count[24];
	int n = snprintf(count, sizeof count, "%lld", (long long)e->c->o.tasks);
	struct tdm_fill fills[] = {{"count", {count, (size_t)n}}};
	struct tdm_words texts[2] = {{NULL, 0}, e->home.task};
	struct tdm_home_look look;
	texts[0].text = tdm_delegate_prompt(e->run->arena, tdm_delegate_forms[e->c->o.form], fills, 1, &texts[0].len);
	if (!texts[0].text)
		return no_memory(e);
	int status = tdm_delegate_clean(e, texts, 2, TDM_HOME_CONTEXT, &look);
	if (look.copied)
		e->why = TDM_DELEGATE_COPIES;
	r->system = texts[0];
	r->task = texts[1];
	return status;
}

static int converse(struct rounds *r) {
	struct tdm_delegation *e = r->e;
	int status = prepare(r);
	if (status == TDM_OK && !e->why)
		status = e->c->o.form == TDM_FORM_CHAT ? chat(r) : jobs(r);
	if (status != TDM_OK || e->why)
		return status;
	if (!r->plan.answer.len) {
		e->why = "no answer in the last round";
		return TDM_OK;
	}
	e->without_parts = true;
	e->reply.text = tdm_home_fill(&e->home, r->plan.answer.text, r->plan.answer.len, &e->reply.len);
	return e->reply.text ? TDM_OK : no_memory(e);
}

int tdm_delegate_rounds(struct tdm_delegation *e) {
	struct rounds r = {.e = e, .first_draw = 16};
	int status = tdm_home_split(&e->home);
	if (status == TDM_OK && !e->home.n_parts)
		e->why = "no document";
	if (status != TDM_OK || e->why)
		return status;
	tdm_bytes_init(&r.history, (size_t)16 << 20);
	status = converse(&r);
	tdm_bytes_release(&r.history);
	return status;
}
