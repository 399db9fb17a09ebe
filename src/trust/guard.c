// Guard: a small guardian around a generator. It looks at what goes in and at what comes out, with phrases (patterns.h)
// and, when there is one, a judge.
//
// The rule it protects: of a phrase no byte goes out, however long it is and wherever it starts: a piece of an answer
// is held back as long as it may still become a part of one, and no longer. What a judge reads waits until it has
// looked at everything up to `window` pieces after it (or the answer has ended). A judge that fails closes the guard.
// New phrases are rows in patterns.c.
#include "models/collect.h"
#include "base/clock.h"
#include "trust/judge.h"
#include "trust/kinds.h"
#include "trust/patterns.h"
#include <string.h>

// The questions a judge is asked. The embedded pair is trained on exactly this wording of the first one.
#define INPUT_QUESTION "%s\nIs this request harmful? Answer yes or no."
#define OUTPUT_QUESTION "%s\nIs this answer harmful? Answer yes or no."

enum then { THEN_REFUSE, THEN_FLAG, THEN_FAIL };
enum judge_on { JUDGE_INPUT, JUDGE_OUTPUT, JUDGE_BOTH, JUDGE_OFF };

struct options {
	struct tdm_strings scan;
	bool patterns;
	double threshold;
	int judge_on, then;
	int64_t window, every;
	const char *message;
};

struct guard {
	struct tdm_model model; // first
	struct options options;
	struct tdm_model *inner, *judge;
	bool input, output;
	struct tdm_matcher in, out;
};

struct finding {      // what a look found
	const char *rule; // NULL = nothing
	double score;
	int64_t us; // of all looks for it
};

static void record(const struct guard *g, struct tdm_run *run, const char *stage, const char *verdict,
                   const struct finding *f) {
	struct tdm_verdict row = {
	    .by = g->model.name, .stage = stage, .verdict = verdict, .rule = f->rule, .score = f->score, .us = f->us};
	tdm_record_verdict(run->record, &row);
}

static const char *action(const struct guard *g) {
	return g->options.then == THEN_FLAG ? "flag" : "block";
}

// --- input

static void look_for_phrases(const struct guard *g, const struct tdm_request *request, struct finding *f) {
	int64_t start_us = tdm_now_us();
	for (size_t i = 0; i < request->n_messages && !f->rule; i++) {
		struct tdm_match_stream stream;
		const struct tdm_message *m = &request->messages[i];
		if (m->from != TDM_FROM_USER && m->from != TDM_FROM_TOOL) // the others are the operator's and our own words
			continue;
		tdm_match_init(&stream, &g->in);
		const struct tdm_pattern *hit = tdm_match_put(&stream, m->text, m->len);
		if (!hit)
			hit = tdm_match_end(&stream);
		if (hit) {
			f->rule = hit->category;
			f->score = 1;
		}
	}
	f->us += tdm_now_us() - start_us;
}

static const struct tdm_message *last_user(const struct tdm_request *request) {
	for (size_t i = request->n_messages; i-- > 0;)
		if (request->messages[i].from == TDM_FROM_USER)
			return &request->messages[i];
	return NULL;
}

static bool judges(const struct guard *g, enum judge_on side) {
	return g->judge && (g->options.judge_on == (int)side || g->options.judge_on == JUDGE_BOTH);
}

static int judge(const struct guard *g, struct tdm_run *run, const char *stage, const char *text, size_t n,
                 struct finding *f) {
	bool input = strcmp(stage, "input") == 0;
	int64_t start_us = tdm_now_us();
	int status = tdm_judge_ask(g->judge, run, input ? INPUT_QUESTION : OUTPUT_QUESTION, text, n, &f->score);
	f->us += tdm_now_us() - start_us;
	if (status != TDM_OK)
		record(g, run, stage, "error", f);
	else if (f->score >= g->options.threshold)
		f->rule = "judge";
	return status;
}

static int refuse(const struct guard *g, struct tdm_run *run, const struct finding *f, const char *param) {
	record(g, run, "input", f->rule ? action(g) : "pass", f);
	if (!f->rule || g->options.then == THEN_FLAG)
		return TDM_OK;
	return tdm_fail_param(&run->error, TDM_EFILTERED, param, "%s: the request was refused (%s)", g->model.name,
	                      f->rule);
}

static int look_at_input(const struct guard *g, struct tdm_run *run, const struct tdm_request *request) {
	struct finding f = {0};
	const struct tdm_message *user = last_user(request);
	int status = TDM_OK;
	if (g->options.patterns)
		look_for_phrases(g, request, &f);
	if (!f.rule && user && judges(g, JUDGE_INPUT))
		status = judge(g, run, "input", user->text, user->len, &f);
	return status != TDM_OK ? status : refuse(g, run, &f, request->raw ? "prompt" : "messages");
}

// --- texts alone

static int look_at_text(const struct guard *g, struct tdm_run *run, const char *text, size_t len, bool asks_judge,
                        struct finding *f) {
	const struct tdm_message message = {.from = TDM_FROM_USER, .text = text, .len = len};
	struct tdm_request request;
	tdm_request_init(&request);
	request.messages = &message;
	request.n_messages = 1;
	if (g->options.patterns)
		look_for_phrases(g, &request, f);
	return !f->rule && asks_judge ? judge(g, run, "input", text, len, f) : TDM_OK;
}

// The names of all categories, each once, and the judge's.
static int name_categories(const struct guard *g, struct tdm_run *run, struct tdm_look *out) {
	const char **names = tdm_arena_array(run->arena, tdm_n_patterns + 1, sizeof *names);
	size_t n = 0;
	if (!names)
		return tdm_fail(&run->error, TDM_ENOMEM, "guard: no memory for the names of its categories");
	for (size_t i = 0; i < tdm_n_patterns; i++) {
		size_t k = 0;
		while (k < n && strcmp(names[k], tdm_patterns[i].category) != 0)
			k++;
		if (k == n)
			names[n++] = tdm_patterns[i].category;
	}
	if (g->judge)
		names[n++] = "judge";
	out->categories = names;
	out->n_categories = n;
	return TDM_OK;
}

// Looks with all it has, wherever its settings make it look otherwise.
static int look(struct tdm_model *m, struct tdm_run *run, const char *text, size_t len, struct tdm_look *out) {
	const struct guard *g = (const struct guard *)m;
	struct finding f = {0};
	*out = (struct tdm_look){0};
	int status = name_categories(g, run, out);
	if (status == TDM_OK)
		status = look_at_text(g, run, text, len, g->judge != NULL, &f);
	if (status != TDM_OK)
		return status;
	record(g, run, "input", f.rule ? "flag" : "pass", &f);
	out->flagged = f.rule != NULL;
	out->rule = f.rule;
	out->score = f.score;
	return TDM_OK;
}

// Every text is looked at before the first one goes on.
static int embed(struct tdm_model *m, struct tdm_run *run, const struct tdm_words *texts, size_t n, const float **out,
                 int *width) {
	const struct guard *g = (const struct guard *)m;
	bool looks = g->input || run->objective.trust > 0;
	int status = TDM_OK;
	for (size_t i = 0; looks && i < n && !status; i++) {
		struct finding f = {0};
		status = look_at_text(g, run, texts[i].text, texts[i].len, judges(g, JUDGE_INPUT), &f);
		if (status == TDM_OK)
			status = refuse(g, run, &f, "input");
	}
	return status == TDM_OK ? tdm_embed_all(g->inner, run, texts, n, out, width) : status;
}

// --- output

struct held { // a piece that waits
	struct tdm_event event;
	size_t end; // in what the stream of phrases has read
	struct held *next;
};

struct watch {            // one answer on its way out
	struct tdm_sink base; // first
	const struct guard *guard;
	struct tdm_run *run;
	struct tdm_match_stream stream;
	struct held *first, **last;
	struct tdm_bytes text;          // the answer so far, for the judge
	size_t decided;                 // bytes that can become no part of a phrase any more
	int64_t seen, judged, released; // pieces: received, covered by the judge, let out
	struct finding found;
	bool flagged, ended;  // ended: the caller wants no more
	enum tdm_piece piece; // the sort of the last one
};

static int keep(struct watch *w, const struct tdm_event *event) {
	struct held *h = tdm_arena_alloc(w->run->arena, sizeof *h);
	if (!h || !tdm_event_copy(w->run->arena, event, &h->event))
		return tdm_fail(&w->run->error, TDM_ENOMEM, "guard: no memory to hold an answer back");
	h->end = w->stream.at;
	*w->last = h;
	w->last = &h->next;
	return TDM_OK;
}

static int let_out(struct watch *w, const struct tdm_event *event) {
	w->released++;
	int status = w->base.next->put(w->base.next, event);
	w->ended = w->ended || status != TDM_OK;
	return status;
}

// Lets out what is decided, of the first `most` pieces.
static int release(struct watch *w, int64_t most) {
	int status = TDM_OK;
	while (w->first && w->released < most && w->first->end <= w->decided && status == TDM_OK) {
		struct held *h = w->first;
		w->first = h->next;
		if (!w->first)
			w->last = &w->first;
		status = let_out(w, &h->event);
	}
	return status;
}

// An unsafe finding: TDM_SINK_ENOUGH ends the answer, TDM_OK goes on with a flag in the record.
static int unsafe(struct watch *w) {
	if (w->guard->options.then != THEN_FLAG)
		return TDM_SINK_ENOUGH;
	if (!w->flagged)
		record(w->guard, w->run, "output", "flag", &w->found);
	w->flagged = true;
	w->found.rule = NULL;
	return TDM_OK;
}

static int match(struct watch *w, const char *text, size_t n, bool end) {
	const struct tdm_pattern *hit = NULL;
	int64_t start_us = tdm_now_us();
	if (w->guard->options.patterns)
		hit = end ? tdm_match_end(&w->stream) : tdm_match_put(&w->stream, text, n);
	w->found.us += tdm_now_us() - start_us;
	if (hit) {
		w->found.rule = hit->category;
		w->found.score = 1;
		return unsafe(w);
	}
	w->decided = w->guard->options.patterns && !end ? tdm_match_pending(&w->stream) : SIZE_MAX;
	return TDM_OK;
}

static int ask_judge(struct watch *w) {
	size_t from = w->text.len > TDM_JUDGE_BYTES ? w->text.len - TDM_JUDGE_BYTES : 0;
	while (from < w->text.len && ((unsigned char)w->text.data[from] & 0xC0) == 0x80)
		from++;
	int status = w->text.len == 0
	                 ? TDM_OK
	                 : judge(w->guard, w->run, "output", w->text.data + from, w->text.len - from, &w->found);
	if (status != TDM_OK)
		return status;
	w->judged = w->seen;
	return w->found.rule ? unsafe(w) : TDM_OK;
}

static int look_at_piece(struct watch *w, const struct tdm_event *event) {
	const struct guard *g = w->guard;
	bool judged = judges(g, JUDGE_OUTPUT);
	bool is_other = event->piece != w->piece; // a word does not go on in a piece of another sort
	int status = is_other ? match(w, " ", 1, false) : TDM_OK;
	w->piece = event->piece;
	if (status == TDM_OK)
		status = match(w, event->text, event->len, false);
	if (judged && is_other)
		tdm_bytes_putc(&w->text, '\n');
	if (judged)
		tdm_bytes_add(&w->text, event->text, event->len);
	if (w->text.failed)
		return tdm_fail(&w->run->error, TDM_ENOMEM, "guard: no memory for an answer of %zu bytes", w->text.len);
	if (status == TDM_OK && judged && w->seen - w->judged >= g->options.every)
		status = ask_judge(w);
	return status;
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct watch *w = (struct watch *)sink;
	const struct options *o = &w->guard->options;
	if (w->found.rule) // the answer is over; a model that goes on is not heard
		return TDM_SINK_ENOUGH;
	w->seen++;
	int status = look_at_piece(w, event);
	if (status != TDM_OK)
		return status;
	bool flags = o->then == THEN_FLAG;
	int64_t most = judges(w->guard, JUDGE_OUTPUT) && !flags ? w->judged - o->window : w->seen;
	w->decided = flags ? SIZE_MAX : w->decided;
	if (!w->first && most == w->seen && w->stream.at <= w->decided) // nothing waits
		return let_out(w, event);
	status = keep(w, event);
	return status == TDM_OK ? release(w, most) : status;
}

// The answer has ended: the last word, the last question to the judge, then everything may go.
static int finish(struct watch *w) {
	int status = match(w, NULL, 0, true);
	if (status == TDM_OK && judges(w->guard, JUDGE_OUTPUT) && w->judged < w->seen)
		status = ask_judge(w);
	return status == TDM_OK ? release(w, w->seen) : status;
}

static int stop(struct watch *w, struct tdm_result *result) {
	const struct guard *g = w->guard;
	record(g, w->run, "output", "block", &w->found);
	result->finish = TDM_FINISH_FILTER;
	if (g->options.then == THEN_FAIL)
		return tdm_fail(&w->run->error, TDM_EFILTERED, "%s: the answer was refused (%s)", g->model.name, w->found.rule);
	if (w->released > 0)
		return TDM_OK;
	result->served = g->model.name;
	result->mean_logprob = NAN;
	int status = tdm_put_text(w->base.next, g->model.name, g->options.message, strlen(g->options.message));
	return status < 0 ? status : TDM_OK;
}

static int watch_output(const struct guard *g, struct tdm_run *run, const struct tdm_request *request,
                        struct tdm_sink *sink, struct tdm_result *result) {
	struct watch w = {.base = {put, sink}, .guard = g, .run = run};
	w.last = &w.first;
	tdm_match_init(&w.stream, &g->out);
	tdm_bytes_init(&w.text, 64u << 20);
	int status = tdm_generate(g->inner, run, request, &w.base, result);
	if (status == TDM_OK && !w.found.rule && !w.ended)
		status = finish(&w);
	if (status >= 0 && w.found.rule)
		status = stop(&w, result);
	else if (status >= 0 && !w.flagged)
		record(g, run, "output", "pass", &w.found);
	tdm_bytes_release(&w.text);
	return status < 0 ? status : TDM_OK;
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct guard *g = (const struct guard *)m;
	bool trusted = run->objective.trust > 0; // the wish of a request can only add looks
	int status = g->input || trusted ? look_at_input(g, run, request) : TDM_OK;
	if (status != TDM_OK)
		return status;
	if (g->output || trusted)
		return watch_output(g, run, request, sink, result);
	return tdm_generate(g->inner, run, request, sink, result);
}

static int read_scan(const struct tdm_build *b, struct guard *g) {
	const struct tdm_strings *scan = &g->options.scan;
	for (size_t i = 0; i < scan->n; i++) {
		if (strcmp(scan->items[i], "input") == 0)
			g->input = true;
		else if (strcmp(scan->items[i], "output") == 0)
			g->output = true;
		else
			return tdm_fail(b->error, TDM_ECONFIG, "%s: scan: \"%s\" is neither \"input\" nor \"output\"", b->where,
			                scan->items[i]);
	}
	return TDM_OK;
}

static const struct tdm_model_ops ops = {.generate = generate, .embed_all = embed, .look = look};

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	struct guard *g = tdm_build_model(b, sizeof *g, &ops, 0);
	if (!g)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	memcpy(&g->options, options, sizeof g->options);
	g->inner = tdm_build_role(b, "inner");
	g->judge = tdm_build_role(b, "judge");
	g->model.can = g->inner->can & (TDM_CAN_TEXT | TDM_CAN_LOGPROBS | TDM_CAN_TOOLS | TDM_CAN_EMBED | TDM_CAN_ECHO);
	if (!(g->model.can & (TDM_CAN_TEXT | TDM_CAN_EMBED)))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: inner: %s needs TEXT or EMBED", b->where, g->inner->name);
	if (tdm_matcher_init(&g->in, b->arena, TDM_PATTERN_INPUT) != TDM_OK ||
	    tdm_matcher_init(&g->out, b->arena, TDM_PATTERN_OUTPUT) != TDM_OK)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: no memory for the phrases", b->where);
	int status = read_scan(b, g);
	if (status == TDM_OK)
		*out = &g->model;
	return status;
}

static const struct tdm_role roles[] = {
    {"inner", 0, 1, 1, "the model that is guarded"},
    {"judge", TDM_CAN_SCORE, 0, 1, "answers whether a text is harmful"},
};

static const struct tdm_option rows[] = {
    {.name = "scan",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, scan),
     .standard = "input,output",
     .help = "where to look: input, output; an empty list: nowhere"},
    {.name = "patterns",
     .type = TDM_OPT_BOOL,
     .offset = offsetof(struct options, patterns),
     .standard = "yes",
     .help = "look for phrases of clearly disallowed requests"},
    {.name = "judge_on",
     .type = TDM_OPT_CHOICE,
     .offset = offsetof(struct options, judge_on),
     .standard = "input",
     .choices = "input|output|both|off",
     .help = "what the judge reads"},
    {.name = "threshold",
     .type = TDM_OPT_NUMBER,
     .offset = offsetof(struct options, threshold),
     .standard = "0.5",
     .min = 0,
     .max = 1,
     .help = "the judge's probability of harm from which a text is unsafe"},
    {.name = "window",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, window),
     .standard = "24",
     .min = 0,
     .max = 4096,
     .help =
         "pieces of the answer held back behind what the judge looked at, where it reads answers; phrases hold back "
         "what may still become one"},
    {.name = "every",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, every),
     .standard = "32",
     .min = 1,
     .max = 4096,
     .help = "pieces between two questions to the judge about an answer"},
    {.name = "then",
     .type = TDM_OPT_CHOICE,
     .offset = offsetof(struct options, then),
     .standard = "refuse",
     .choices = "refuse|flag|fail",
     .help = "refuse: nothing unsafe passes; flag: it passes and the receipt says so; fail: as refuse, but a refused "
             "answer is the error content_filter, which a fallback can name in `on`"},
    {.name = "message",
     .type = TDM_OPT_STRING,
     .offset = offsetof(struct options, message),
     .standard = "I can't help with that.",
     .help = "what stands in the place of a refused answer"},
};

const struct tdm_kind tdm_kind_guard = {
    .name = "guard",
    .summary = "look at what goes in and what comes out, and refuse what must not pass",
    .family = TDM_POLICY,
    .goal = TDM_GOAL_TRUST,
    .leaf = "D2",
    .source = "Llama Guard (2312.06674), WildGuard (2406.18495)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = rows,
    .n_options = TDM_COUNT(rows),
    .options_bytes = sizeof(struct options),
    .create = create,
};
