// The kind end to end, around an inner model that writes down what it receives and says what it is told.
#include "tests.h"
#include "../fake_kind.h"
#include "base/random.h"
#include "base/text.h"
#include "privacy/mask/alias.h"
#include "privacy/egress.h"
#include "privacy/kinds.h"
#include "models/promise.h"
#include "models/form.h"
#include <stdio.h>
#include <stdlib.h>

struct inner { // echoes the last user message, or says `answer`; keeps everything it was sent as JSON
	struct tdm_model model;
	struct tdm_bytes seen;
	const char *answer;
	size_t piece; // bytes per event; whole characters
	bool logprobs, breaks;
	int calls, status_of_scan;
	size_t n_stop;
	char stop[64];
	bool calls_back;  // the answer is a call with the arguments of the first message's first one
	const char *leak; // bytes shown to the run's egress chain, as a source would before sending
};

static void write_down(struct inner *in, const struct tdm_request *r) {
	tdm_bytes_clear(&in->seen);
	for (size_t i = 0; i < r->n_messages; i++) {
		tdm_bytes_add(&in->seen, r->messages[i].text, r->messages[i].len);
		tdm_bytes_putc(&in->seen, '\n');
		tdm_bytes_json(&in->seen, r->messages[i].text, r->messages[i].len);
		tdm_bytes_putc(&in->seen, '\n');
		for (size_t k = 0; k < r->messages[i].n_calls; k++)
			tdm_bytes_join(&in->seen, "call ", r->messages[i].calls[k].name, " ");
		for (size_t k = 0; k < r->messages[i].n_calls; k++)
			tdm_bytes_add(&in->seen, r->messages[i].calls[k].arguments, r->messages[i].calls[k].len);
	}
	for (size_t i = 0; i < r->tools.n; i++)
		tdm_bytes_printf(&in->seen, "\n%s %s %.*s", r->tools.items[i].name, r->tools.items[i].description,
		                 (int)r->tools.items[i].len, r->tools.items[i].parameters);
	in->n_stop = r->n_stop;
	snprintf(in->stop, sizeof in->stop, "%s", r->n_stop ? r->stop[0] : "");
	in->logprobs = r->logprobs;
	if (r->form && r->form->kind == TDM_GRAMMAR_SCHEMA)
		tdm_bytes_add(&in->seen, r->form->text, r->form->len);
}

static int inner_generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *r, struct tdm_sink *sink,
                          struct tdm_result *result) {
	struct inner *in = (struct inner *)m;
	const struct tdm_message *last = &r->messages[r->n_messages - 1];
	const char *text = in->answer ? in->answer : in->calls_back ? r->messages->calls->arguments : last->text;
	size_t n = in->answer ? strlen(in->answer) : in->calls_back ? r->messages->calls->len : last->len, at = 0;
	in->calls++;
	write_down(in, r);
	for (struct tdm_egress *e = run->egress; e && in->leak; e = e->next)
		if ((in->status_of_scan = e->scan(e, in->leak, strlen(in->leak), &run->error)) != TDM_OK)
			return in->status_of_scan;
	if (in->calls_back) {
		const char *name = r->messages->calls->name;
		sink->put(sink,
		          &(struct tdm_event){.piece = TDM_PIECE_CALL, .text = name, .len = strlen(name), .call_id = "c"});
	}
	while (at < n) {
		size_t m_bytes = n - at < in->piece ? n - at : in->piece;
		while (at + m_bytes < n && ((unsigned char)text[at + m_bytes] & 0xC0) == 0x80)
			m_bytes++;
		struct tdm_event e = {.text = text + at, .len = m_bytes, .author = m->name, .token = 7, .logprob = -.5f};
		e.piece = in->calls_back ? TDM_PIECE_ARGUMENTS : TDM_PIECE_TEXT;
		int status = sink->put(sink, &e);
		if (status)
			return status < 0 ? status : TDM_OK;
		at += m_bytes;
	}
	result->served = m->name;
	return in->breaks ? tdm_fail(&run->error, TDM_EUPSTREAM, "the inner model broke off") : TDM_OK;
}

static struct inner inner;
static struct asked a;
static struct tdm_arena per_request; // so that thousands of requests need the memory of one

static void make(const char *options) {
	static const struct tdm_model_ops ops = {.generate = inner_generate};
	static const char *const roles[] = {"inner"};
	tdm_bytes_release(&inner.seen);
	inner = (struct inner){.piece = 5};
	inner.model =
	    (struct tdm_model){.ops = &ops, .name = "far", .can = TDM_CAN_TEXT | TDM_CAN_LOGPROBS, .leaves = true};
	tdm_bytes_init(&inner.seen, 1 << 22);
	assert_int_equal(asked_make(&a, &tdm_kind_mask, options, 1, (struct tdm_model *[]){&inner.model}, roles), TDM_OK);
	assert_int_equal(a.model->can, TDM_CAN_TEXT);
}

// With a second model in the role `finder`, which always says this.
static int make_with_finder(struct says *near, const char *answer, bool leaves) {
	static const char *const roles[] = {"inner", "finder"};
	make("{level: 2}");
	a.model->ops->destroy(a.model);
	asked_done(&a);
	says_init(near, "near", answer);
	near->model.leaves = leaves;
	return asked_make(&a, &tdm_kind_mask, "{level: 2}", 2, (struct tdm_model *[]){&inner.model, &near->model}, roles);
}

static void unmake(void) {
	a.model->ops->destroy(a.model);
	asked_done(&a);
	tdm_arena_release(&per_request);
	tdm_bytes_release(&inner.seen);
	inner.seen = (struct tdm_bytes){0};
}

static const struct tdm_form *wanted; // of the answers; NULL = any

static const char *tenant; // of the request that is asked next; NULL = nobody's

// One user message (and a system message before it, unless NULL). Privacy: the objective.
static const char *ask_as(const char *system, const char *user, int privacy, const char *session) {
	struct tdm_message m[] = {{.from = TDM_FROM_SYSTEM, .text = system, .len = system ? strlen(system) : 0},
	                          {.from = TDM_FROM_USER, .text = user, .len = strlen(user)}};
	struct tdm_request r;
	tdm_request_init(&r);
	r.messages = system ? m : m + 1;
	r.n_messages = system ? 2 : 1;
	r.logprobs = true;
	r.form = wanted;
	tdm_collect_release(&a.collect);
	tdm_arena_release(&per_request);
	tdm_arena_init(&per_request, 1 << 24);
	assert_int_equal(tdm_run_init(&a.run, &per_request, 1), TDM_OK);
	a.run.objective.privacy = privacy;
	a.run.objective.session = session;
	a.run.tenant = tenant;
	tdm_collect_init(&a.collect, 1 << 20, NULL, &per_request);
	a.status = tdm_generate(a.model, &a.run, &r, &a.collect.sink, &a.result);
	assert_null(a.run.egress); // popped, whatever happened
	return a.collect.text.data ? a.collect.text.data : "";
}

static const char *ask(const char *user) {
	return ask_as(NULL, user, 0, NULL);
}

static bool sent(const char *text) {
	return inner.seen.data && strstr(inner.seen.data, text) != NULL;
}

// Numbers of the same form go out, and come back whatever the cuts; the rest has tokens.
static void numbers_of_the_same_shape_come_back(void **state) {
	make("{level: 2, surrogates: [PHONE, CARD, SSN], limit_clear: 0}");
	const char *text =
	    "Card 4111 1111 1111 1111, once more 4111-1111-1111-1111; mail eve@example.org, call +1 415-555-2671 "
	    "or 415-555-2672, my ssn is 536-90-4399.";
	for (inner.piece = 1; inner.piece < 9; inner.piece++) {
		assert_string_equal(ask(text), text);
		assert_int_equal(a.status, TDM_OK);
		assert_false(sent("4111 1111") || sent("4111-1111") || sent("eve@") || sent("555-267") || sent("536-90"));
		assert_false(sent("CARD_") || sent("PHONE_") || sent("SSN_"));
		assert_true(sent("mail EMAIL_"));
	}
	const char *card = strstr(inner.seen.data, "Card "), *again = strstr(inner.seen.data, "once more ");
	for (int group = 0; group < 4; group++) // one number, written in two ways
		assert_memory_equal(card + 5 + 5 * group, again + 10 + 5 * group, 4);
	unmake();
}

// Names go out as other names, word by word, so that a part of one alone has the same; all of it comes back.
static void surrogates_are_people_that_come_back(void **state) {
	make("{level: 3, detect: [rules, tagger], weights: \"weights/tagger/tagger.bin\", surrogates: [PERSON, PLACE, "
	     "ORG]}");
	const char *text =
	    "My name is Oluwaseun Adebayo and I live in Manchester. Mr. Adebayo works for Barclays; tell Oluwaseun that "
	    "Ms. Fairlie of Fenwick called, or mail o.adebayo@example.org.";
	for (inner.piece = 1; inner.piece < 12; inner.piece++) {
		assert_string_equal(ask(text), text);
		assert_int_equal(a.status, TDM_OK);
		assert_false(sent("Oluwaseun") || sent("Adebayo") || sent("adebayo") || sent("Barclays") || sent("Manchester"));
		assert_false(sent("PERSON_") || sent("PLACE_") || sent("ORG_"));
		assert_true(sent("EMAIL_"));
	}
	char first[32], last[32], again[32], alone[32];
	assert_int_equal(sscanf(inner.seen.data, "My name is %31s %31s and I live", first, last), 2);
	assert_int_equal(sscanf(strstr(inner.seen.data, "Mr. "), "Mr. %31s works", again), 1);
	assert_int_equal(sscanf(strstr(inner.seen.data, "tell "), "tell %31s that", alone), 1);
	assert_string_equal(last, again);
	assert_string_equal(first, alone);
	assert_string_not_equal(first, last);
	unmake();
}

// A name that stands in the request stands for nobody: what is restored would be somebody else's.
static void names_that_stand_there_are_no_aliases(void **state) {
	make("{level: 2, detect: [rules, tagger], weights: \"weights/tagger/tagger.bin\", surrogates: [PERSON]}");
	char text[2048] = "My name is Oluwaseun Adebayo. Not one of";
	size_t n_names, n = strlen(text);
	const char *const *names = tdm_aliases("PERSON", &n_names);
	for (size_t i = 0; i < n_names; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, " %s", names[i]);
	assert_in_range(n, 500, sizeof text - 1);
	assert_string_equal(ask(text), text);
	assert_int_equal(a.status, TDM_OK);
	assert_true(sent("My name is PERSON_") && !sent("Oluwaseun"));
	unmake();
}

static void what_the_finder_lists_is_hidden_too(void **state) {
	static struct says near;
	const char *text = "Tell eve@example.org about Project Bluebird, and again: project bluebird.";
	assert_int_equal(
	    make_with_finder(&near, "{\"private\": [\"Project Bluebird\", \"not in the text\", 7, \"ab\"]}", false),
	    TDM_OK);
	assert_string_equal(ask(text), text);
	assert_int_equal(a.status, TDM_OK);
	assert_false(sent("Bluebird") || sent("bluebird") || sent("eve@"));
	assert_true(sent("Tell EMAIL_") && sent(" about PRIVATE_") && sent(", and again: PRIVATE"));
	unmake();
	static const char *const no_lists[] = {"There is nothing private.", "{\"private\": \"all\"}", "[\"x\"]", ""};
	for (size_t i = 0; i < sizeof no_lists / sizeof *no_lists; i++) {
		assert_int_equal(make_with_finder(&near, no_lists[i], false), TDM_OK);
		ask(text);
		assert_int_equal(a.status, TDM_EGUARD); // and nothing was sent
		assert_int_equal(inner.seen.len, 0);
		unmake();
	}
	assert_int_equal(make_with_finder(&near, "{\"private\": []}", true), TDM_ECONFIG);
	assert_non_null(strstr(a.error.text, "finder: near sends bytes off this machine"));
	asked_done(&a);
	tdm_bytes_release(&inner.seen);
}

static void hides_and_restores(void **state) {
	make("{level: 2}");
	const char *text = "Card 4111 1111 1111 1111, mail o'brien@example.org, call +1 415-555-2671 from 10.0.0.1.";
	assert_string_equal(ask(text), text);
	assert_int_equal(a.status, TDM_OK);
	assert_false(sent("4111 ") || sent("brien") || sent("-555-") || sent("10.0")); // what no token can hold
	assert_true(sent("CARD_") && sent("EMAIL_") && sent("PHONE_") && sent("IP_") && sent(", mail "));
	assert_false(inner.logprobs);
	const struct tdm_left *left = &a.run.record->left;
	assert_int_equal(left->level, 2);
	assert_string_equal(left->method, "mask");
	assert_int_equal(left->restored, 4);
	assert_int_equal(left->damaged, 0);
	int64_t n = 0;
	for (const struct tdm_count *c = left->entities; c; c = c->next)
		n += c->n;
	assert_int_equal(n, 4);
	unmake();
}

static void json_stays_json(void **state) {
	static const struct tdm_form object = {.kind = TDM_GRAMMAR_JSON};
	make("{level: 2, deny: ['Ann \"Q\" Doe\\Roe']}");
	ask("I am Ann \"Q\" Doe\\Roe.");
	char token[64], answer[128];
	snprintf(token, sizeof token, "%.16s", strstr(inner.seen.data, "PRIVATE_"));
	snprintf(answer, sizeof answer, "{\"name\":\"%s\"}", token);
	inner.answer = answer;
	assert_string_equal(ask("I am Ann \"Q\" Doe\\Roe."), "{\"name\":\"Ann \"Q\" Doe\\Roe\"}"); // no form: as it is
	wanted = &object;
	assert_string_equal(ask("I am Ann \"Q\" Doe\\Roe."), "{\"name\":\"Ann \\\"Q\\\" Doe\\\\Roe\"}");
	wanted = NULL;
	unmake();
}

static void a_schema_is_masked_too(void **state) {
	static const char text[] = "{\"enum\":[\"bob@example.org\",\"nobody\"]}", number[] = "{\"const\":4111111111111111}";
	static const struct tdm_form schema = {.kind = TDM_GRAMMAR_SCHEMA, .text = text, .len = sizeof text - 1};
	static const struct tdm_form bare = {.kind = TDM_GRAMMAR_SCHEMA, .text = number, .len = sizeof number - 1};
	make("{level: 2}");
	wanted = &schema;
	assert_string_equal(ask("mail bob@example.org"), "mail bob@example.org");
	assert_true(sent("{\"enum\":[\"EMAIL_") && sent("\",\"nobody\"]}") && !sent("bob@"));
	int calls = inner.calls;
	wanted = &bare; // a token there would be no JSON
	ask("hello");
	assert_int_equal(a.status, TDM_EPRIVACY);
	assert_int_equal(inner.calls, calls);
	wanted = NULL;
	unmake();
}

struct log {
	struct tdm_sink sink;
	char arguments[500], name[64];
	size_t n;
	int calls;
};

static int keep_arguments(struct tdm_sink *sink, const struct tdm_event *e) {
	struct log *log = (struct log *)sink;
	if (e->piece == TDM_PIECE_CALL)
		snprintf(log->name, sizeof log->name, "%.*s", (int)e->len, e->text);
	log->calls += e->piece == TDM_PIECE_CALL && !strcmp(e->call_id, "c");
	if (e->piece != TDM_PIECE_ARGUMENTS)
		return TDM_OK;
	assert_true(log->n + e->len < sizeof log->arguments);
	memcpy(log->arguments + log->n, e->text, e->len);
	log->n += e->len;
	return TDM_OK;
}

// Arguments of earlier calls, descriptions and parameters of tools leave masked, leaf by leaf, and what comes back in a
// call is restored as JSON spells it, whatever way it is cut.
static void S77_tools_are_masked_and_restored(void **state) {
	static const char arguments[] = "{\"to\":\"bob@example.org\",\"o'brien@example.org\":[4111111111111111,1.5,true],"
	                                "\"who\":\"Ann \\\"Q\\\" Doe\"}";
	static const char restored[] =
	    "{\"to\":\"bob@example.org\",\"o'brien@example.org\":[\"4111111111111111\",1.5,true],"
	    "\"who\":\"Ann \\\"Q\\\" Doe\"}";
	static const char parameters[] = "{\"enum\":[\"eve@example.org\",\"nobody\"]}";
	static const struct tdm_tool_call call = {"c", "mail", arguments, sizeof arguments - 1};
	static const struct tdm_tool tool = {"mail", "writes to eve@example.org", parameters, sizeof parameters - 1, false};
	const struct tdm_message m = {
	    .from = TDM_FROM_ASSISTANT, .text = "calling", .len = 7, .calls = &call, .n_calls = 1};
	struct tdm_request r;
	static const char *const tools[] = {"'*'", "post, mail", "post", ""};
	for (size_t piece = 1; piece < 40; piece += 3) {
		char options[100];
		struct log log = {.sink = {keep_arguments, NULL}};
		bool is_trusted = piece / 3 % 4 < 2;
		snprintf(options, sizeof options, "{level: 2, deny: ['Ann \"Q\" Doe'], tools: [%s]}", tools[piece / 3 % 4]);
		make(options);
		inner.calls_back = true;
		inner.piece = piece;
		inner.model.can |= TDM_CAN_TOOLS;
		a.model->can |= TDM_CAN_TOOLS;
		tdm_request_init(&r);
		r.messages = &m;
		r.n_messages = 1;
		r.tools = (struct tdm_toolbox){.items = &tool, .n = 1};
		assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
		assert_int_equal(tdm_generate(a.model, &a.run, &r, &log.sink, &a.result), TDM_OK);
		assert_false(sent("bob@") || sent("brien") || sent("4111") || sent("Ann") || sent("eve@"));
		assert_true(sent("{\"to\":\"EMAIL_") && sent("\":[\"CARD_") && sent("\",1.5,true]") &&
		            sent("\nmail writes to EMAIL_") && sent("\",\"nobody\"]}"));
		assert_int_equal(log.calls, 1);
		assert_string_equal(log.name, "mail");
		assert_true(is_trusted == !strcmp(log.arguments, restored));
		assert_true(is_trusted == !strstr(log.arguments, "\"EMAIL_")); // S77: the others get tokens
		assert_true(a.run.record->left.restored == 4 * is_trusted && a.run.record->left.damaged == 0);
		unmake();
	}
}

// A tool has another name there, the same wherever it stands; a value that goes on in the next string of a call's
// arguments is hidden in both.
static void S79_names_of_tools_and_split_arguments(void **state) {
	static const char arguments[] = "{\"a\":\"4111 1111\",\"n\":7,\"b\":\"1111 1111\"}";
	static const struct tdm_tool_call call = {"c", "pay_DE89370400440532013000", arguments, sizeof arguments - 1};
	static const struct tdm_tool tool = {"pay_DE89370400440532013000", NULL, NULL, 0, false};
	static const struct tdm_tool bad = {"ghp_16C7e42F292c6912E7710c838347Ae178B4a", NULL, NULL, 0, false};
	const struct tdm_message m = {.from = TDM_FROM_ASSISTANT, .text = "x", .len = 1, .calls = &call, .n_calls = 1};
	struct tdm_request r;
	struct log log = {.sink = {keep_arguments, NULL}};
	make("{level: 2, tools: [pay_DE89370400440532013000]}");
	inner.calls_back = true;
	inner.model.can |= TDM_CAN_TOOLS;
	a.model->can |= TDM_CAN_TOOLS;
	tdm_request_init(&r);
	r.messages = &m;
	r.n_messages = 1;
	r.tools = (struct tdm_toolbox){.items = &tool, .n = 1, .choice = TDM_TOOLS_ONE, .chosen = tool.name};
	assert_int_equal(tdm_run_init(&a.run, &a.arena, 1), TDM_OK);
	assert_int_equal(tdm_generate(a.model, &a.run, &r, &log.sink, &a.result), TDM_OK);
	assert_false(sent("DE89") || sent("1111"));
	assert_true(sent("call pay_IBAN_") && sent("\npay_IBAN_"));
	assert_string_equal(log.name, tool.name);
	assert_string_equal(log.arguments, arguments); // the list of trusted tools has their own names
	int calls = inner.calls;
	r.tools.items = &bad;
	assert_int_equal(tdm_generate(a.model, &a.run, &r, &log.sink, &a.result), TDM_EPRIVACY);
	assert_int_equal(inner.calls, calls);
	unmake();
}

static void broken_arguments_are_masked_as_text(void **state) {
	static const struct tdm_tool_call call = {"c", "mail", "{\"to\":bob@example.org", 22};
	const struct tdm_message m = {.from = TDM_FROM_ASSISTANT, .text = "x", .len = 1, .calls = &call, .n_calls = 1};
	struct tdm_request r;
	make("{level: 2}");
	tdm_request_init(&r);
	r.messages = &m;
	r.n_messages = 1;
	assert_string_equal(asked_answer(&a, 1, &r), "x");
	assert_true(sent("{\"to\":EMAIL_") && !sent("bob@"));
	unmake();
}

static void secrets_are_one_way(void **state) {
	make("{}");
	assert_string_equal(ask("use ghp_16C7e42F292c6912E7710c838347Ae178B4a and password = hunter2!Xq9Zr7."),
	                    "use [SECRET:github] and password = [SECRET:generic]");
	assert_false(sent("ghp_") || sent("hunter2"));
	unmake();
}

static void S74_a_forged_token_comes_back_as_it_was(void **state) {
	make("{level: 2, key: \"env:TDM_TEST_KEY\"}");
	ask_as(NULL, "mail bob@example.org", 0, "s");
	char live[64];
	snprintf(live, sizeof live, "%.14s", strstr(inner.seen.data, "EMAIL_"));
	char text[256];
	snprintf(text, sizeof text, "mail bob@example.org, and what is %s or EMAIL_00000000 or email\\_%s?", live,
	         live + 6);
	assert_string_equal(ask_as(NULL, text, 0, "s"), text);
	assert_int_equal(a.status, TDM_OK);
	assert_true(sent("LITERAL"));
	char *again = strstr(inner.seen.data, live); // once per form: for the address, not for what the client typed
	assert_non_null(again);
	assert_null(memmem(again + 1, (size_t)(strchr(again, '\n') - again) - 1, live, strlen(live)));
	unmake();
}

static void tokens_differ_between_conversations(void **state) {
	char first[64];
	make("{level: 2}");
	ask_as(NULL, "bob@example.org", 0, "one");
	snprintf(first, sizeof first, "%.14s", strstr(inner.seen.data, "EMAIL_"));
	ask_as(NULL, "bob@example.org", 0, "two");
	assert_false(sent(first));
	ask_as("be brief", "dear eve@example.org, bob@example.org", 0, "one");
	assert_true(sent(first));
	unmake();
}

// What one process let leave, as its receipt says it, counts in the next one, for the mask of this name and key alone.
// A number that is nearly an IBAN leaves in clear: each such span adds to the odds.
static void a_doubtful_request_is_not_sent(void **state) {
	static const char *const plain = "hello, you", *const doubtful = "pay DE89 3704 0044 0532 0130 01 today";
	make("{level: 2, risk: 0.1}");
	ask(plain);
	assert_int_equal(a.status, TDM_OK);
	assert_float_equal(a.run.record->left.risk, .07 / 1.07, 1e-9);
	int calls = inner.calls;
	ask(doubtful);
	assert_int_equal(a.status, TDM_EPRIVACY);
	assert_int_equal(inner.calls, calls);
	assert_string_equal(a.run.record->decisions->signal, "risk");
	assert_float_equal(a.run.record->decisions->score, .14 / 1.14, 1e-9);
	unmake();
	make("{level: 2, risk: 1}");
	assert_string_equal(ask(doubtful), doubtful);
	assert_float_equal(a.run.record->left.risk, .14 / 1.14, 1e-9);
	unmake();
	make("{level: 2}");
	ask(doubtful);
	assert_true(isnan(a.run.record->left.risk));
	struct tdm_message m = {.from = TDM_FROM_USER, .text = doubtful, .len = strlen(doubtful)};
	struct tdm_request r;
	tdm_request_init(&r);
	r.messages = &m;
	r.n_messages = 1;
	assert_float_equal(tdm_leak_risk(a.model, &a.run, &r), .14 / 1.14, 1e-9);
	assert_float_equal(tdm_leak_risk(&inner.model, &a.run, &r), 1, 0); // nobody looks
	inner.model.leaves = false;
	assert_float_equal(tdm_leak_risk(&inner.model, &a.run, &r), 0, 0);
	unmake();
}

static void a_limit_goes_on_after_a_restart(void **state) {
	static const char settings[] = "{level: 2, limit: 1, key: \"env:TDM_TEST_KEY\"}";
	struct tdm_arena kept;
	struct tdm_value *left;
	char text[200];
	tdm_arena_init(&kept, 1 << 16);
	make(settings);
	ask_as(NULL, "bob@example.org", 0, "s");
	const struct tdm_left *shown = &a.run.record->left;
	snprintf(text, sizeof text, "{\"conversation\":\"%s\",\"values\":[{\"as\":\"token\",\"hash\":\"%s\"},{\"as\":3}]}",
	         shown->conversation, shown->leaks->hash);
	assert_int_equal(tdm_json_parse(&kept, text, strlen(text), &left, NULL), TDM_OK);
	for (int told = 0; told < 2; told++) {
		unmake();
		make(settings);
		assert_true(a.model->remembers);
		if (told)
			a.model->ops->recall(a.model, left);
		ask_as(NULL, "eve@example.org", 0, "s");
		assert_int_equal(a.status, told ? TDM_EPRIVACY : TDM_OK);
	}
	ask_as(NULL, "bob@example.org", 0, "s"); // was shown before
	assert_int_equal(a.status, TDM_OK);
	ask_as(NULL, "eve@example.org", 0, "another");
	assert_int_equal(a.status, TDM_OK);
	unmake();
	make("{level: 2, limit: 1}"); // without a key nothing is known again
	assert_false(a.model->remembers);
	unmake();
	tdm_arena_release(&kept);
}

static void a_limit_stops_what_would_show_more(void **state) {
	make("{level: 2, limit: 1}");
	ask_as(NULL, "bob@example.org", 0, "s");
	assert_int_equal(a.status, TDM_OK);
	ask_as(NULL, "eve@example.org", 0, "s");
	assert_int_equal(a.status, TDM_EPRIVACY);
	unmake();
	make("{level: 1, limit_clear: 0}");
	ask_as(NULL, "bob@example.org", 0, "s"); // in clear at this level
	assert_int_equal(a.status, TDM_EPRIVACY);
	unmake();
}

static void S71_S72_another_tenant_has_other_tokens_for_the_same_session(void **state) {
	char first[64], forged[96];
	make("{level: 2}");
	tenant = "one";
	ask_as(NULL, "bob@example.org", 0, "s");
	snprintf(first, sizeof first, "%.14s", strstr(inner.seen.data, "EMAIL_"));
	tenant = "two";
	ask_as(NULL, "bob@example.org", 0, "s");
	assert_false(sent(first));
	snprintf(forged, sizeof forged, "who is %s?", first);
	assert_string_equal(ask_as(NULL, forged, 0, "s"), forged); // the other's token comes back as it was
	assert_false(sent(first));
	tenant = NULL;
	unmake();
}

static void stop_strings_and_system_text_are_masked(void **state) {
	make("{level: 2, note: yes}");
	struct tdm_message m[] = {{.from = TDM_FROM_SYSTEM, .text = "I am bob@example.org", .len = 20},
	                          {.from = TDM_FROM_USER, .text = "hi", .len = 2}};
	struct tdm_request r;
	tdm_request_init(&r);
	const char *stop[] = {"bob@example.org"};
	r.messages = m;
	r.n_messages = 2;
	r.stop = stop;
	r.n_stop = 1;
	assert_string_equal(asked_answer(&a, 1, &r), "hi");
	assert_false(sent("bob"));
	assert_true(sent("\n\nWords made of capital letters"));
	assert_int_equal(strncmp(inner.stop, "EMAIL_", 6), 0);
	ask("nothing private");
	assert_false(sent("Words made"));
	ask("bob@example.org");
	assert_true(sent("Words made"));
	unmake();
}

static void level_0_is_the_inner_model_and_a_wish_raises_it(void **state) {
	make("{level: 0}");
	assert_string_equal(ask("bob@example.org 4111111111111111"), "bob@example.org 4111111111111111");
	assert_true(sent("bob@example.org"));
	assert_true(inner.logprobs);
	assert_string_equal(a.run.record->left.method, "none");
	assert_string_equal(ask_as(NULL, "bob@example.org 4111111111111111", 1, NULL), "bob@example.org 4111111111111111");
	assert_true(sent("bob@example.org") && !sent("4111"));
	assert_int_equal(a.run.record->left.level, 1);
	ask_as(NULL, "bob@example.org 4111111111111111", 2, NULL);
	assert_false(sent("bob@example.org"));
	inner.calls = 0;
	ask_as(NULL, "hello", 4, NULL);
	assert_int_equal(a.status, TDM_EPRIVACY);
	assert_int_equal(inner.calls, 0);
	unmake();
}

static void unchanged_pieces_pass_as_they_are(void **state) {
	make("{level: 2}");
	inner.answer = "plain words only, ";
	ask("bob@example.org");
	const struct tdm_kept *kept = a.collect.kept;
	assert_non_null(kept);
	assert_int_equal(a.collect.n, 4);
	assert_int_equal(a.collect.logprobs.n, 4);
	inner.answer = NULL;
	ask("bob@example.org");
	assert_int_equal(a.collect.logprobs.n, 0); // every piece touched the token
	unmake();
}

static void without_restore_the_tokens_stay(void **state) {
	make("{level: 2, restore: no}");
	assert_int_equal(strncmp(ask("bob@example.org"), "EMAIL_", 6), 0);
	unmake();
}

static void the_chain_blocks_what_a_later_stage_puts_back(void **state) {
	make("{level: 1}");
	inner.leak = "{\"messages\":[{\"content\":\"again 536904399\"}]}";
	ask("my ssn is 536904399");
	assert_int_equal(a.status, TDM_EEGRESS);
	assert_non_null(strstr(a.run.error.text, "US_SSN"));
	inner.leak = "{\"messages\":[{\"content\":\"nothing\"}],\"seed\":536904399}";
	ask("my phone is 415-555-2671");
	assert_int_equal(a.status, TDM_OK);
	unmake();
}

static void an_error_of_the_inner_model_stays_an_error(void **state) {
	make("{level: 2}");
	inner.breaks = true;
	ask("bob@example.org");
	assert_int_equal(a.status, TDM_EUPSTREAM);
	unmake();
}

static void damage_is_counted(void **state) {
	make("{level: 2}");
	inner.answer = "Dear EMAIL_00000000!";
	assert_string_equal(ask("bob@example.org"), "Dear EMAIL_00000000!");
	assert_int_equal(a.run.record->left.damaged, 1);
	unmake();
}

// What means something to a search or to a replacement is text like any other, in values and around tokens.
static void values_in_the_form_of_patterns_come_back(void **state) {
	static const char text[] = "a.*b[c]$ and $& \\1 %s {0} (?i)x+, [bob@example.org] ^4111111111111111$";
	make("{level: 2, deny: ['a.*b[c]$', '$& \\1 %s {0}', '(?i)x+']}");
	for (inner.piece = 1; inner.piece < 20; inner.piece++)
		assert_string_equal(ask(text), text);
	assert_false(sent("a.*b") || sent("$&") || sent("(?i)") || sent("bob@") || sent("4111"));
	assert_true(sent("PRIVATE_") && sent(", [EMAIL") && sent("] ^CARD"));
	assert_int_equal(a.run.record->left.restored, 5);
	unmake();
}

// Memory ends at every place of the work in turn: the request fails, and what could not be looked at is not sent.
static void what_could_not_be_searched_is_not_sent(void **state) {
	static const char text[] = "mail bob@example.org, card 4111 1111 1111 1111";
	struct tdm_message m = {.from = TDM_FROM_USER, .text = text, .len = sizeof text - 1};
	struct tdm_request r;
	int n_failed = 0, status = TDM_ENOMEM;
	make("{level: 2}");
	tdm_request_init(&r);
	r.messages = &m;
	r.n_messages = 1;
	for (size_t limit = 256; status != TDM_OK && limit < 1 << 22; limit += limit / 32) {
		struct log log = {.sink = {keep_arguments, NULL}};
		struct tdm_arena arena;
		tdm_arena_init(&arena, limit);
		if (tdm_run_init(&a.run, &arena, 1) == TDM_OK) {
			status = tdm_generate(a.model, &a.run, &r, &log.sink, &a.result);
			n_failed += status != TDM_OK && inner.calls == 0;
			assert_false(sent("bob@") || sent("4111"));
		}
		tdm_arena_release(&arena);
	}
	assert_int_equal(status, TDM_OK);
	assert_true(n_failed > 10 && sent("EMAIL"));
	unmake();
}

static void bad_options_are_refused(void **state) {
	static const char *const bad[] = {
	    "{level: 4}",   "{key: \"secret\"}", "{key: \"env:TDM_NO_SUCH_KEY\"}", "{key: \"file:/nonexistent\"}",
	    "{deny: [ab]}", "{levle: 1}"};
	static const char *const roles[] = {"inner"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct asked b;
		assert_int_not_equal(asked_make(&b, &tdm_kind_mask, bad[i], 1, (struct tdm_model *[]){&inner.model}, roles),
		                     TDM_OK);
		assert_true(strlen(b.error.text) > 10);
		asked_done(&b);
	}
}

// --- generated conversations with planted canaries

static void digits(struct tdm_rng *rng, char *out, int n) {
	for (int i = 0; i < n; i++)
		out[i] = (char)('0' + tdm_rng_below(rng, 10));
	out[n] = 0;
}

static void make_card(struct tdm_rng *rng, char *out) {
	uint8_t last_first[16];
	char d[17];
	digits(rng, d, 16);
	d[0] = '4';
	for (d[15] = '0'; d[15] <= '9'; d[15]++) {
		int sum = 0;
		for (int i = 0; i < 16; i++) {
			last_first[i] = (uint8_t)(d[15 - i] - '0');
			int v = last_first[i] * (i % 2 ? 2 : 1);
			sum += v > 9 ? v - 9 : v;
		}
		if (sum % 10 == 0)
			break;
	}
	if (tdm_rng_below(rng, 2))
		snprintf(out, 64, "%s", d);
	else
		snprintf(out, 64, "%.4s %.4s %.4s %.4s", d, d + 4, d + 8, d + 12);
}

static void make_canary(struct tdm_rng *rng, char out[64]) {
	char d[16];
	digits(rng, d, 9);
	switch (tdm_rng_below(rng, 6)) {
	case 0:
		make_card(rng, out);
		return;
	case 1:
		snprintf(out, 64, "5%.2s-%c%c-%s", d, '1' + d[3] % 9, d[4], "1234");
		return;
	case 2:
		snprintf(out, 64, "%c%s.x@mail%c.example.org", tdm_rng_below(rng, 2) ? 'Q' : 'q', d, d[0]);
		return;
	case 3:
		snprintf(out, 64, "+1 415-555-%.4s", d);
		return;
	case 4:
		snprintf(out, 64, "10.%d.%d.%d", d[0] * 2, d[1] * 3, d[2]);
		return;
	default:
		snprintf(out, 64, "Projekt Blau");
	}
}

static const char *const filler[] = {
    "the",    " and ",           ", ",   "\n",  " \"quoted\" ", " = ",         "ü",    "日本", " EMAIL_7ZK3QX0D ",
    " (x) ",  " card ",          " 42 ", ": ",  " ; ",          " my ssn is ", " IP_", " é ",  "\\",
    " 3.14 ", " CARD_zzzzzzz0 ", "'",    "%5F", " <b>"};

// Up to eight characters from anywhere in Unicode.
static void random_characters(struct tdm_rng *rng, struct tdm_bytes *out) {
	static const uint32_t planes[] = {0x80, 0x800, 0x3100, 0x10000, 0x20000, 0x110000};
	char put[4];
	for (size_t k = 1 + tdm_rng_below(rng, 8); k; k--) {
		uint32_t c = 1 + (uint32_t)tdm_rng_below(rng, planes[tdm_rng_below(rng, 6)] - 1);
		tdm_bytes_add(out, put, tdm_utf8_put(put, c >= 0xD800 && c < 0xE000 ? 'x' : c));
	}
}

static void conversation(struct tdm_rng *rng, struct tdm_bytes *out, char canaries[4][64]) {
	size_t n = 3 + tdm_rng_below(rng, 12);
	tdm_bytes_clear(out);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 1 + tdm_rng_below(rng, 3); k; k--)
			if (tdm_rng_below(rng, 4))
				tdm_bytes_puts(out, filler[tdm_rng_below(rng, sizeof filler / sizeof *filler)]);
			else
				random_characters(rng, out);
		if (tdm_rng_below(rng, 2)) {
			tdm_bytes_putc(out, ' ');
			tdm_bytes_puts(out, canaries[tdm_rng_below(rng, 4)]);
			tdm_bytes_puts(out, tdm_rng_below(rng, 2) ? ", " : "\n");
		}
	}
}

static void no_canary_leaves(char canaries[4][64]) {
	for (int i = 0; i < 4; i++)
		if (sent(canaries[i]))
			fail_msg("the inner model received %s in: %s", canaries[i], inner.seen.data);
}

static void demand_15_generated_conversations_come_back(void **state) {
	struct tdm_rng rng;
	struct tdm_bytes system, user;
	tdm_rng_init(&rng, 2024);
	tdm_bytes_init(&system, 1 << 16);
	tdm_bytes_init(&user, 1 << 16);
	make("{level: 2, deny: [\"Projekt Blau\"]}");
	for (int k = 0; k < (TDM_SANITIZED ? 600 : 3000); k++) {
		char canaries[4][64];
		for (int i = 0; i < 4; i++)
			make_canary(&rng, canaries[i]);
		conversation(&rng, &system, canaries);
		conversation(&rng, &user, canaries);
		inner.piece = 1 + tdm_rng_below(&rng, 9);
		const char *answer = ask_as(system.data, user.data, 0, NULL);
		if (a.status != TDM_OK)
			fail_msg("%s\nin: %s\n---\n%s", a.run.error.text, system.data, user.data);
		assert_string_equal(answer, user.data);
		no_canary_leaves(canaries);
	}
	unmake();
	tdm_bytes_release(&system);
	tdm_bytes_release(&user);
}

// What the operator's own patterns find leaves as little as what recognisers find; what is allowed is left alone by
// both.
static void demand_21_own_patterns_and_lists(void **state) {
	make("{level: 2, patterns: ['\\bK-\\d{5,7}\\b', 'case \\w+/\\d\\d'], allow: ['4111111111111111', K-00000, "
	     "noreply@example.org]}");
	const char *text =
	    "K-12345, k-7654321 and case Blau/24; 4111111111111111, K-00000, NoReply@example.org; bob@example.org, "
	    "AK-99912, 5555555555554444";
	assert_string_equal(ask(text), text);
	assert_int_equal(a.status, TDM_OK);
	assert_true(sent("AK-99912")); // within a longer word it is another one
	assert_false(sent("12345") || sent("7654321") || sent("Blau/24") || sent("bob@") || sent("5555"));
	assert_true(sent("4111111111111111, K-00000, NoReply@example.org"));
	assert_int_equal(a.run.record->left.restored, 5);
	inner.leak = "{\"messages\":[{\"content\":\"K-99999\"}]}"; // the last look knows the patterns too
	ask("hello");
	assert_int_equal(a.status, TDM_EEGRESS);
	inner.leak = "{\"messages\":[{\"content\":\"4111111111111111 K-00000\"}]}";
	ask("hello");
	assert_int_equal(a.status, TDM_OK);
	unmake();
}

static void patterns_that_cannot_be_searched_for_are_refused(void **state) {
	static const char *const bad[] = {"{patterns: ['(']}", "{patterns: ['(a)\\1']}", "{patterns: ['x*']}"};
	static const char *const roles[] = {"inner"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct asked b;
		assert_int_equal(asked_make(&b, &tdm_kind_mask, bad[i], 1, (struct tdm_model *[]){&inner.model}, roles),
		                 TDM_ECONFIG);
		assert_non_null(strstr(b.error.text, "patterns: pattern 1 cannot be searched for: "));
		asked_done(&b);
	}
}

static int set_key(void **state) {
	return setenv("TDM_TEST_KEY", "0123456789abcdef0123456789abcdef", 1);
}

int tdm_test_mask(void) {
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(hides_and_restores),
	    cmocka_unit_test(numbers_of_the_same_shape_come_back),
	    cmocka_unit_test(surrogates_are_people_that_come_back),
	    cmocka_unit_test(names_that_stand_there_are_no_aliases),
	    cmocka_unit_test(what_the_finder_lists_is_hidden_too),
	    cmocka_unit_test(S77_tools_are_masked_and_restored),
	    cmocka_unit_test(S79_names_of_tools_and_split_arguments),
	    cmocka_unit_test(broken_arguments_are_masked_as_text),
	    cmocka_unit_test(secrets_are_one_way),
	    cmocka_unit_test(S74_a_forged_token_comes_back_as_it_was),
	    cmocka_unit_test(tokens_differ_between_conversations),
	    cmocka_unit_test(a_doubtful_request_is_not_sent),
	    cmocka_unit_test(a_limit_stops_what_would_show_more),
	    cmocka_unit_test(a_limit_goes_on_after_a_restart),
	    cmocka_unit_test(S71_S72_another_tenant_has_other_tokens_for_the_same_session),
	    cmocka_unit_test(stop_strings_and_system_text_are_masked),
	    cmocka_unit_test(level_0_is_the_inner_model_and_a_wish_raises_it),
	    cmocka_unit_test(unchanged_pieces_pass_as_they_are),
	    cmocka_unit_test(without_restore_the_tokens_stay),
	    cmocka_unit_test(the_chain_blocks_what_a_later_stage_puts_back),
	    cmocka_unit_test(an_error_of_the_inner_model_stays_an_error),
	    cmocka_unit_test(damage_is_counted),
	    cmocka_unit_test(json_stays_json),
	    cmocka_unit_test(a_schema_is_masked_too),
	    cmocka_unit_test(bad_options_are_refused),
	    cmocka_unit_test(values_in_the_form_of_patterns_come_back),
	    cmocka_unit_test(what_could_not_be_searched_is_not_sent),
	    cmocka_unit_test(demand_21_own_patterns_and_lists),
	    cmocka_unit_test(patterns_that_cannot_be_searched_for_are_refused),
	    cmocka_unit_test(demand_15_generated_conversations_come_back),
	};
	return cmocka_run_group_tests_name("mask", tests, set_key, NULL);
}
