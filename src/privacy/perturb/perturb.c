// perturb: a model elsewhere gets the user's words with each of them replaced at random by a near one, and the small
// model writes the answer from the real words and what came back (InferDPT 2310.12214, SanText, CusText).
//
// The rules it protects: values that the mask knows are slots before any word is drawn, so noise is never what hides a
// secret; chance comes from the system and never from a seed; what a request spends is k times the epsilon of a token,
// taken from the conversation's before anything is sent, and a conversation that has none left sends nothing. Where
// words stand, their number and what is between them is not hidden. The laws are in lexicon.c.
#include "models/gate.h"
#include "models/promise.h"
#include "privacy/delegate/delegate.h"
#include "privacy/perturb/epsilon.h"
#include "privacy/kinds.h"
#include "privacy/perturb/lexicon.h"
#include <ctype.h>
#include <stdio.h>

#define VACUOUS 10 // from here on a total says nothing about a document
#define TEXT_LIMIT_BYTES ((size_t)16 << 20)

enum { THEN_LOCAL, THEN_BLOCK };
static const char *const mechanisms[] = {"santext", "custext", "rantext"};
static const char *const metrics[] = {"distance", "set", "pure"};

struct options {
	int mechanism, then;
	double epsilon, limit;
	int64_t k, level;
	bool extract;
	const char *vectors;
};

struct perturb {
	struct tdm_model model;
	struct options o;
	struct tdm_model *inner, *small;
	struct tdm_detector detector;
	struct tdm_scanner *scanner;
	struct tdm_lexicon *words;
	struct tdm_shared *state; // NULL: a conversation is one request
	int level;
};

struct noised { // one request
	const struct perturb *c;
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_home home;
	struct tdm_words text, reply; // as it leaves; what came back, filled in
	int64_t tokens, unknown, kept, hidden;
	double spent; // of the conversation, this request included
	const char *why;
};

static int no_memory(const struct noised *e) {
	return tdm_fail(&e->run->error, TDM_ENOMEM, "%s: no memory for a text", e->c->model.name);
}

// --- noise

static bool is_word(char c) {
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

// The length of a slot at text[0..n), "[EMAIL_1]" or "[SECRET:name]"; 0: there is none.
static size_t slot_length(const struct tdm_home *h, const char *text, size_t n) {
	for (size_t i = 0; i < h->n_values; i++) {
		size_t length = strlen(h->values[i].slot);
		if (length <= n && !memcmp(text, h->values[i].slot, length))
			return length;
	}
	return 0;
}

static int put_word(struct noised *e, const char *word, size_t n, double *scratch, struct tdm_bytes *out) {
	const struct perturb *c = e->c;
	int32_t x = tdm_lexicon_find(c->words, word, n), y;
	int status = tdm_lexicon_draw(c->words, (enum tdm_noise)c->o.mechanism, c->o.epsilon, c->o.k, x, &tdm_system_chance,
	                              scratch, &y);
	if (status != TDM_OK)
		return tdm_fail(&e->run->error, TDM_EGUARD, "%s: the system gave no chance; nothing was sent", c->model.name);
	e->tokens++;
	e->unknown += x < 0;
	e->kept += x == y;
	tdm_bytes_puts(out, c->words->words[y]);
	return TDM_OK;
}

static int add_noise(struct noised *e, struct tdm_words text) {
	double *scratch = tdm_arena_array(e->run->arena, 2 * e->c->words->n, sizeof *scratch);
	struct tdm_bytes out;
	int status = scratch ? TDM_OK : no_memory(e);
	tdm_bytes_init(&out, TEXT_LIMIT_BYTES);
	for (size_t at = 0, end; at < text.len && status == TDM_OK; at = end) {
		end = at;
		while (end < text.len && is_word(text.text[end]))
			end++;
		if (end > at) {
			status = put_word(e, text.text + at, end - at, scratch, &out);
			continue;
		}
		end = at + slot_length(&e->home, text.text + at, text.len - at);
		end += end == at;
		tdm_bytes_add(&out, text.text + at, end - at);
	}
	e->text.len = out.len;
	e->text.text = out.failed ? NULL : tdm_arena_copy(e->run->arena, out.data ? out.data : "", out.len);
	tdm_bytes_release(&out);
	return status || e->text.text ? status : no_memory(e);
}

// Takes the request's epsilon from the conversation's, or says why not.
static int spend(struct noised *e) {
	struct tdm_epsilon epsilon = {.limit = e->c->o.limit};
	double amount = (double)e->tokens * e->c->o.epsilon;
	int status = tdm_epsilon_spend(e->c->state, e->run, e->request, e->c->model.name, amount, &epsilon);
	e->spent = epsilon.spent;
	if (status == TDM_OK && epsilon.is_refused)
		e->why = "epsilon is spent";
	return status;
}

// --- one request

static int ask_inner(struct noised *e, struct tdm_result *result) {
	struct tdm_words system = {NULL, 0};
	struct tdm_request asked = *e->request;
	struct tdm_collect said;
	system.text = tdm_delegate_prompt(e->run->arena, "perturbed", NULL, 0, &system.len);
	struct tdm_message messages[] = {{.from = TDM_FROM_SYSTEM, .text = system.text, .len = system.len},
	                                 {.from = TDM_FROM_USER, .text = e->text.text, .len = e->text.len}};
	if (!system.text)
		return no_memory(e);
	asked.messages = messages;
	asked.n_messages = 2;
	asked.purpose = "draft";
	asked.form = NULL;
	asked.tools = (struct tdm_toolbox){0};
	asked.logprobs = false;
	asked.top_logprobs = 0;
	asked.n_stop = 0;
	tdm_collect_init(&said, TEXT_LIMIT_BYTES, NULL, NULL);
	int status = tdm_home_send(&e->home, e->c->inner, &asked, &said.sink, result);
	if (e->c->inner->leaves)
		e->run->record->left.method = "perturb";
	struct tdm_words text = tdm_trimmed(said.text.data ? said.text.data : "", said.text.len);
	if (status == TDM_OK && !text.len)
		e->why = "no reply";
	e->reply.text = tdm_home_fill(&e->home, text.text, text.len, &e->reply.len);
	tdm_collect_release(&said);
	return status || e->reply.text ? status : no_memory(e);
}

static int prepare(struct noised *e) {
	const struct perturb *c = e->c;
	struct tdm_home_rules rules = {.detector = &c->detector, .copied = 12};
	int wish = e->run->objective.privacy > 3 ? 3 : e->run->objective.privacy;
	struct tdm_home_look look;
	rules.level = c->level > (int)c->o.level ? c->level : (int)c->o.level;
	rules.level = wish > rules.level ? wish : rules.level;
	int status = tdm_home_open(&e->home, e->run, e->request, &rules);
	struct tdm_words text = e->home.task;
	if (status == TDM_OK)
		status = tdm_home_clean(&e->home, &text, 1, 0, &look);
	e->hidden = status == TDM_OK ? (int64_t)look.hidden : 0;
	if (status == TDM_OK)
		status = add_noise(e, text);
	return status == TDM_OK ? spend(e) : status;
}

static void record(const struct noised *e, const char *choice) {
	const struct options *o = &e->c->o;
	double request = (double)e->tokens * o->epsilon;
	tdm_gate_record(e->run, &e->c->model, choice, "kept", e->tokens ? (double)e->kept / (double)e->tokens : (double)NAN,
	                (double)NAN,
	                "%s%sepsilon_per_token %g, tokens %lld, epsilon_request %g, epsilon_conversation %g, metric %s, "
	                "document_level %s; %lld unknown, %lld hidden",
	                e->why ? e->why : "", e->why ? ": " : "", o->epsilon, (long long)e->tokens, request, e->spent,
	                metrics[o->mechanism], request > VACUOUS || e->spent > VACUOUS ? "no" : "yes",
	                (long long)e->unknown, (long long)e->hidden);
}

// What became of the way out: goes on at home, or is refused.
static int settle(struct noised *e, int status) {
	bool refused = status == TDM_EEGRESS || status == TDM_EGUARD || status == TDM_EPRIVACY;
	bool spent = e->why && !strcmp(e->why, "epsilon is spent");
	if (e->c->o.then == THEN_BLOCK && (refused || spent))
		return status ? status
		              : tdm_fail(&e->run->error, TDM_EPRIVACY,
		                         "%s: the epsilon of this conversation is spent; nothing was sent", e->c->model.name);
	if (status < 0 && !refused && !tdm_gate_may_replace(status))
		return status;
	if (status < 0) {
		const char *code = tdm_status_info(status)->code;
		char *text = tdm_arena_printf(e->run->record->arena, "model %s is out (%s): model %s goes on",
		                              e->c->inner->name, code, e->c->small->name);
		tdm_record_warn(e->run->record, "model_out", e->c->inner->name, text ? text : code);
		tdm_error_clear(&e->run->error);
		e->why = refused ? "not sent" : "inner failed";
	}
	return TDM_OK;
}

// The request without marks, with the continuation behind its last question.
static int compose(struct noised *e, struct tdm_sink *sink, struct tdm_result *result) {
	struct tdm_request asked = *e->request;
	size_t n = asked.n_messages, task = n;
	struct tdm_message *list = tdm_arena_array(e->run->arena, n, sizeof *list);
	struct tdm_fill fills[] = {{"reply", e->reply}};
	size_t n_note = 0;
	const char *note = e->why ? "" : tdm_delegate_prompt(e->run->arena, "home-perturbed", fills, 1, &n_note);
	while (task > 1 && asked.messages[task - 1].from != TDM_FROM_USER)
		task--;
	if (!list || !note)
		return no_memory(e);
	for (size_t i = 0; i < n; i++) {
		list[i] = asked.messages[i];
		list[i].text = e->home.texts[i].text;
		list[i].len = e->home.texts[i].n;
	}
	struct tdm_message *m = &list[task - 1];
	char *text = tdm_arena_alloc(e->run->arena, m->len + n_note + 1);
	if (!text)
		return no_memory(e);
	memcpy(text, m->text, m->len);
	memcpy(text + m->len, note, n_note);
	m->text = text;
	m->len += n_note;
	asked.messages = list;
	int status = tdm_generate(e->c->small, e->run, &asked, sink, result);
	if (status == TDM_OK && !e->why)
		result->served = e->c->model.name;
	return status;
}

static bool is_plain(const struct tdm_request *request) {
	bool plain = !tdm_wants_tools(request) && !request->raw;
	for (size_t i = 0; i < request->n_messages; i++)
		plain = plain && !request->messages[i].n_calls && request->messages[i].from != TDM_FROM_TOOL;
	return plain;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct perturb *c = (const struct perturb *)m;
	struct noised e = {.c = c, .run = run, .request = request};
	struct tdm_result first;
	if (!is_plain(request)) {
		e.why = "not divisible";
		record(&e, "local");
		return tdm_generate(c->small, run, request, sink, result);
	}
	int status = prepare(&e);
	if (status == TDM_OK && !e.why)
		status = ask_inner(&e, &first);
	status = settle(&e, status);
	record(&e, status ? "block" : e.why ? "local" : mechanisms[c->o.mechanism]);
	if (status != TDM_OK)
		return status;
	if (c->o.extract || e.why)
		return compose(&e, sink, result);
	*result = first;
	result->served = c->inner->name;
	result->stop = NULL;
	status = tdm_put_text(sink, c->inner->name, e.reply.text, e.reply.len);
	return status < 0 ? status : TDM_OK;
}

// --- the settings

static void destroy(struct tdm_model *m) {
	tdm_scanner_free(((struct perturb *)m)->scanner);
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct perturb *c = tdm_build_model(b, sizeof *c, &ops, TDM_CAN_TEXT);
	if (!c)
		return TDM_ENOMEM;
	c->o = *(const struct options *)options;
	c->inner = tdm_build_role(b, "inner");
	c->small = tdm_build_role(b, "small");
	c->state = b->state;
	if (c->small->leaves)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: role small: %s sends text off this machine, and it reads everything", b->where,
		                c->small->name);
	if (!c->o.vectors)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: vectors: expected a file of words with their numbers, a GGUF file, or embedded:NAME",
		                b->where);
	int status = tdm_lexicon_open(b, c->o.vectors, c->o.k, &c->words);
	*out = &c->model;
	return status ? status : tdm_home_detector(b, "inner", c->inner, &c->detector, &c->level, &c->scanner);
}

static const struct tdm_role roles[] = {
    {"inner", TDM_CAN_TEXT, 1, 1, "gets the words with noise; behind a mask, if it is elsewhere"},
    {"small", TDM_CAN_TEXT, 1, 1, "writes the answer from the real words and what came back; stays on this machine"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"mechanism", TDM_OPT_CHOICE, AT(mechanism), "santext", 0, 0, "santext|custext|rantext",
     "by distance over all words; within sets of k near words; over all words, with a list of near ones drawn anew"},
    {"epsilon", TDM_OPT_NUMBER, AT(epsilon), "6", 0, 1e6, NULL, "of one word; of santext for words at distance 1"},
    {"limit", TDM_OPT_NUMBER, AT(limit), "0", 0, 1e9, NULL,
     "most that a conversation may spend; 0 = it is only counted"},
    {"k", TDM_OPT_INT, AT(k), "20", 2, 1000, NULL, "words of a set (custext), most words of a list (rantext)"},
    {"vectors", TDM_OPT_STRING, AT(vectors), NULL, 0, 0, NULL,
     "words with their numbers, one a line; or a GGUF file or embedded:NAME, whose tokens that are words are taken"},
    {"level", TDM_OPT_INT, AT(level), "2", 1, 3, NULL, "which values are hidden first, as mask has levels"},
    {"extract", TDM_OPT_BOOL, AT(extract), "yes", 0, 0, NULL,
     "the small model writes the answer; no: what came back is it"},
    {"then", TDM_OPT_CHOICE, AT(then), "local", 0, 0, "local|block",
     "when nothing may be sent: the small model answers alone, or the request is refused"},
};

const struct tdm_kind tdm_kind_perturb = {
    .name = "perturb",
    .summary = "words leave with noise of a stated epsilon, the answer is written at home",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_PRIVACY,
    .leaf = "C1b",
    .source = "SanText, CusText, InferDPT (2310.12214)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
