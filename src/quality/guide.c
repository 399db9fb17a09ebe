// guide: one model answers first, and its answer, with how sure it is, enters the prompt of another that has the last
// word (SuperICL 2305.08848). Either may be the larger one.
//
// The rule it protects: only the last user message changes, by a note whose wording stands in prompts.c; the guide's
// own answer goes out only when `when: gate` finds it sure enough, and then event by event as it was. A guide that
// fails or says nothing leaves the main model alone with the request, unless somebody refused the request.
#include "quality/kinds.h"
#include "models/collect.h"
#include "models/gate.h"
#include "quality/prompts.h"
#include <ctype.h>

#define ANSWER_LIMIT_BYTES ((size_t)1 << 20)
#define SUREST 99 // percent: two digits are what a main model was taught on, and nobody is surer

struct options {
	int with, when;
	double threshold;
};
enum { ALWAYS, GATE };

struct guide {
	struct tdm_model model;
	struct options o;
	const struct tdm_prompt *prompt;
	struct tdm_model *guide, *main;
};

static int ask_guide(const struct guide *g, struct tdm_run *run, const struct tdm_request *request,
                     struct tdm_collect *answer, struct tdm_result *result) {
	struct tdm_request asked = *request;
	asked.logprobs = true;
	asked.purpose = "draft";
	return tdm_generate(g->guide, run, &asked, &answer->sink, result);
}

// Geometric mean of the probabilities of the answer's tokens; NaN when unknown.
static double confidence_of(const struct tdm_collect *answer, const struct tdm_result *result) {
	double mean = isnan(result->mean_logprob) ? tdm_collect_mean(answer) : result->mean_logprob;
	return exp(mean);
}

static const char *trimmed(const struct tdm_bytes *text, size_t *n) {
	const char *at = text->data;
	for (*n = text->len; *n && isspace((unsigned char)at[*n - 1]);)
		--*n;
	for (; *n && isspace((unsigned char)*at); at++)
		--*n;
	return at;
}

static size_t last_user(const struct tdm_request *request) {
	size_t i = request->n_messages;
	while (i > 0 && request->messages[i - 1].from != TDM_FROM_USER)
		i--;
	return i; // its index + 1; 0 = none
}

// The request for the main model: a copy of the messages with the note. TDM_ENOMEM.
static int add_note(const struct guide *g, struct tdm_run *run, struct tdm_request *request,
                    const struct tdm_collect *answer, double confidence) {
	size_t at = last_user(request), n = request->n_messages;
	struct tdm_message *messages = tdm_arena_array(run->arena, n, sizeof *messages);
	struct tdm_prompt_words words = {.percent = isnan(confidence) ? 0 : (int)lrint(fmin(100 * confidence, SUREST))};
	words.answer = trimmed(&answer->text, &words.n_answer);
	if (messages && at > 0) {
		for (size_t i = 0; i < n; i++)
			messages[i] = request->messages[i];
		words.prompt = messages[at - 1].text;
		words.n_prompt = messages[at - 1].len;
		messages[at - 1].text = tdm_prompt_fill(run->arena, g->prompt, &words, &messages[at - 1].len);
	}
	if (!messages || (at > 0 && !messages[at - 1].text))
		return tdm_fail(&run->error, TDM_ENOMEM, "%s: no memory for the guide's note", g->model.name);
	if (at > 0)
		request->messages = messages;
	return TDM_OK;
}

// keep the guide's answer, show it to main, or let main answer alone.
enum choice { KEEP, GUIDED, ALONE };
static const char *const choice_names[] = {"keep", "guided", "alone"};

static enum choice choose(const struct guide *g, const struct tdm_collect *answer, double confidence) {
	size_t n;
	trimmed(&answer->text, &n);
	if (n == 0)
		return ALONE;
	return g->o.when == GATE && tdm_gate_accepts(confidence, g->o.threshold) ? KEEP : GUIDED;
}

static void record(const struct guide *g, struct tdm_run *run, enum choice choice, double confidence, int status) {
	double threshold = g->o.when == GATE ? g->o.threshold : (double)NAN;
	tdm_gate_record(run, &g->model, choice_names[choice], "confidence", confidence, threshold, "%s",
	                status == TDM_OK ? g->prompt->name : tdm_status_info(status)->code);
}

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	const struct guide *g = (const struct guide *)m;
	struct tdm_request asked = *request;
	struct tdm_collect answer;
	tdm_collect_init(&answer, ANSWER_LIMIT_BYTES, NULL, run->arena);
	int status = ask_guide(g, run, request, &answer, result);
	double confidence = status == TDM_OK ? confidence_of(&answer, result) : (double)NAN;
	enum choice choice = status == TDM_OK ? choose(g, &answer, confidence) : ALONE;
	if (status != TDM_OK && !tdm_gate_may_replace(status))
		goto done;
	record(g, run, choice, confidence, status);
	tdm_error_clear(&run->error);
	status = choice == GUIDED ? add_note(g, run, &asked, &answer, confidence) : TDM_OK;
	if (status == TDM_OK)
		status = choice == KEEP ? tdm_collect_replay(&answer, sink) : tdm_generate(g->main, run, &asked, sink, result);
done:
	tdm_collect_release(&answer);
	return status;
}

static const char *const forms[] = {"draft", "label"};

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate};
	struct tdm_model *guide = tdm_build_role(b, "guide"), *mainly = tdm_build_role(b, "main");
	unsigned can = TDM_CAN_TEXT | (guide->can & mainly->can & TDM_CAN_LOGPROBS);
	struct guide *g = tdm_build_model(b, sizeof *g, &ops, can);
	if (!g)
		return TDM_ENOMEM;
	g->o = *(const struct options *)options;
	g->prompt = tdm_prompt_find(forms[g->o.with]);
	g->guide = guide;
	g->main = mainly;
	*out = &g->model;
	return TDM_OK;
}

static const struct tdm_role roles[] = {
    {"guide", TDM_CAN_TEXT | TDM_CAN_LOGPROBS, 1, 1, "answers first, for the other one to read"},
    {"main", TDM_CAN_TEXT, 1, 1, "answers with the guide's words before it"},
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option table[] = {
    {"with", TDM_OPT_CHOICE, AT(with), "draft", 0, 0, "draft|label", "what the guide's words are called in the note"},
    {"when", TDM_OPT_CHOICE, AT(when), "always", 0, 0, "always|gate",
     "gate: a guide that is sure enough answers alone, without main"},
    {"threshold", TDM_OPT_NUMBER, AT(threshold), "0.95", 0, 0, NULL,
     "confidence from which the guide answers alone: geometric mean of its token probabilities (gate)"},
};

const struct tdm_kind tdm_kind_guide = {
    .name = "guide",
    .summary = "one model's answer and confidence enter another's prompt",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_QUALITY,
    .leaf = "A1a",
    .source = "arXiv 2305.08848",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
