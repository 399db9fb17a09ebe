// speculate: somebody drafts tokens, the large model verifies all of them in one pass; the answer is the large one's
// own, byte for byte at temperature 0 and in distribution otherwise. This is the kind: its options, and which of the
// three ways an answer takes: drafts of a model (drafted.h), guesses that nobody draws (follow.h), or, where the target
// is elsewhere, text that it verifies there (wire.h).
#include "cost/speculate/bush.h"
#include "cost/speculate/wire.h"
#include "cost/kinds.h"
#include "ledger/metric.h"
#include "models/local/local.h"

enum { FROM_MODEL, FROM_LOOKUP, FROM_LEARNED, FROM_RECYCLE, FROM_ALL, FROM_LAYERS }; // in the order of the option
enum { TENANTS = 16 };                                                               // whose traffic is kept in mind
enum { ALIGN_NONE, ALIGN_INTERSECT, ALIGN_STRING };                                  // likewise

struct options {
	int64_t gamma, opening, most, habit_bytes, layers, nodes, width, depth;
	bool adaptive, ahead;
	double min_prob, min_node, alpha, dearer;
	int from, verify, align, accept;
};

struct speculate {
	struct tdm_model model;
	struct options o;
	struct tdm_drafted_kind drafts;
	struct tdm_wire_kind wire;      // of a target that is elsewhere
	struct tdm_align *map;          // of the draft's vocabulary; NULL: it is the target's
	struct tdm_follow_kind guesses; // of lookup; of drafts the pace
};

static int generate(struct tdm_model *m, struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                    struct tdm_result *result) {
	struct speculate *s = (struct speculate *)m;
	const char *target = s->guesses.target->name;
	int status;
	tdm_metric_add(TDM_METRIC_DRAFTING, 1, TDM_LABELS(target));
	if (s->wire.target)
		status = tdm_wire(&s->wire, run, request, sink, result);
	else if (s->guesses.from == 0)
		status = tdm_drafted(&s->drafts, run, request, sink, result);
	else
		status = tdm_follow(&s->guesses, run, request, sink, result);
	tdm_metric_add(TDM_METRIC_DRAFTING, -1, TDM_LABELS(target));
	return status;
}

static void destroy(struct tdm_model *m) {
	struct speculate *s = (struct speculate *)m;
	tdm_follow_release(&s->guesses);
	if (s->wire.target)
		tdm_wire_release(&s->wire);
	tdm_align_free(s->map);
}

// Trees are for drafts whose rows are there, and of the rules that each has its own.
static int check_trees(const struct tdm_build *b, const struct speculate *s) {
	bool can = s->o.from == FROM_MODEL && s->o.align == ALIGN_NONE && s->o.accept == TDM_ACCEPT_EXACT;
	if (s->o.nodes > 0 && !can)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: nodes is for drafts of a model with the target's vocabulary, with accept: exact",
		                b->where);
	if (s->o.nodes > 0 && s->o.verify == TDM_VERIFY_BLOCK)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: verify: block is for chains; expected token or kseq with nodes",
		                b->where);
	if (s->o.nodes == 0 && s->o.verify == TDM_VERIFY_KSEQ)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: verify: kseq is for trees; expected nodes, from 1 to %d", b->where,
		                TDM_GUESS_MOST);
	return TDM_OK;
}

static int check(const struct tdm_build *b, const struct speculate *s) {
	if (s->o.from == FROM_MODEL && !s->drafts.draft)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: from: model needs a model in the role draft", b->where);
	if (s->o.from != FROM_MODEL && s->drafts.draft)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: a draft was given, which is asked with from: model alone",
		                b->where);
	if (!s->drafts.draft && s->o.align != ALIGN_NONE)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: align is for a model in the role draft", b->where);
	bool is_drawn = s->o.from == FROM_LAYERS || (s->o.from == FROM_MODEL && s->o.align != ALIGN_STRING);
	if (!is_drawn && s->o.accept != TDM_ACCEPT_EXACT)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: accept is for drafts of a model; guesses and texts are always exact", b->where);
	return check_trees(b, s);
}

// How many of the target's layers draft; half of them where the option says nothing.
static int measure(const struct tdm_build *b, struct speculate *s) {
	const struct tdm_engine_info *info = tdm_local_info(s->drafts.target);
	if (s->o.from != FROM_LAYERS)
		return TDM_OK;
	if (!info || info->n_layers < 2)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: from: layers needs a local target of two layers or more", b->where);
	if (s->o.layers >= info->n_layers)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: layers: %lld, but %s has %d; expected fewer", b->where,
		                (long long)s->o.layers, s->drafts.target->name, info->n_layers);
	s->drafts.layers = s->o.layers ? (int)s->o.layers : info->n_layers / 2;
	return TDM_OK;
}

// The draft's tokens must be the target's, or the way in which they meet be named.
static int meet(const struct tdm_build *b, struct speculate *s) {
	struct tdm_model *target = s->drafts.target, *draft = s->drafts.draft;
	struct tdm_error why = {0};
	bool is_same = true;
	if (draft && !(draft->can & TDM_CAN_STEP) && s->o.align != ALIGN_STRING)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: model %s drafts text, no tokens; expected align: string", b->where,
		                draft->name);
	if (!draft || s->o.align == ALIGN_STRING)
		return TDM_OK;
	int status = tdm_align_models(draft, target, &is_same, s->o.align == ALIGN_INTERSECT ? &s->map : NULL, &why);
	s->drafts.map = s->map;
	if (status != TDM_OK)
		return tdm_fail(b->error, status, "%s: %s", b->where, why.text);
	if (is_same || s->o.align != ALIGN_NONE)
		return TDM_OK;
	return tdm_fail(b->error, TDM_ECONFIG,
	                "%s: models %s and %s have different vocabularies; expected align: intersect or align: string",
	                b->where, target->name, draft->name);
}

// A target that gives no tokens is elsewhere, and must be able to judge a text.
static int make_wire(const struct tdm_build *b, struct speculate *s) {
	struct tdm_model *target = s->drafts.target;
	if (target->can & TDM_CAN_STEP)
		return TDM_OK;
	if (!(target->can & TDM_CAN_ECHO))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: role target needs a model that gives its tokens, or a remote one that echoes prompts "
		                "(format: completions, score: yes); %s (kind %s) does neither",
		                b->where, target->name, target->kind->name);
	if (target->kind && target->kind->family != TDM_SOURCE) // what is verified would not pass through it
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: the target %s (kind %s) would not see what its inner model verifies; expected the remote "
		                "model itself, and the policy around this one",
		                b->where, target->name, target->kind->name);
	if (!s->drafts.draft || s->o.align != ALIGN_STRING)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: the target %s is elsewhere and verifies text; expected a draft, and align: string",
		                b->where, target->name);
	s->wire = (struct tdm_wire_kind){.name = s->model.name,
	                                 .target = target,
	                                 .draft = s->drafts.draft,
	                                 .most = s->o.adaptive ? TDM_DRAFT_MOST : (int)s->o.gamma,
	                                 .adaptive = s->o.adaptive,
	                                 .min_prob = s->o.min_prob,
	                                 .dearer = s->o.dearer};
	tdm_wire_init(&s->wire);
	return TDM_OK;
}

static void make_drafts(const struct tdm_build *b, struct speculate *s) {
	s->drafts = (struct tdm_drafted_kind){.name = s->model.name,
	                                      .target = tdm_build_role(b, "target"),
	                                      .draft = tdm_build_role(b, "draft"),
	                                      .gamma = s->o.gamma,
	                                      .opening = s->o.opening,
	                                      .nodes = s->o.nodes,
	                                      .width = s->o.width,
	                                      .depth = s->o.depth,
	                                      .min_node = s->o.min_node,
	                                      .verify = (enum tdm_draft_rule)s->o.verify,
	                                      .accept = (enum tdm_accept)s->o.accept,
	                                      .alpha = s->o.alpha,
	                                      .adaptive = s->o.adaptive,
	                                      .ahead = s->o.ahead && s->o.from != FROM_LAYERS && !s->o.nodes, // one pass
	                                      .min_prob = s->o.min_prob,
	                                      .paces = &s->guesses};
}

static int make_guesses(const struct tdm_build *b, struct speculate *s) {
	static const unsigned sources[] = {[FROM_LOOKUP] = TDM_FROM_LOOKUP,
	                                   [FROM_LEARNED] = TDM_FROM_LEARNED,
	                                   [FROM_RECYCLE] = TDM_FROM_RECYCLE,
	                                   [FROM_ALL] = TDM_FROM_LOOKUP | TDM_FROM_LEARNED | TDM_FROM_RECYCLE,
	                                   [FROM_LAYERS] = 0};
	s->guesses = (struct tdm_follow_kind){.name = s->model.name,
	                                      .target = s->drafts.target,
	                                      .from = sources[s->o.from],
	                                      .most = (int)s->o.most,
	                                      .adaptive = s->o.adaptive};
	if (s->drafts.draft && s->o.align == ALIGN_STRING) {
		s->guesses.from = TDM_FROM_TEXT;
		s->guesses.writer = s->drafts.draft;
		s->guesses.min_prob = s->o.min_prob;
		s->guesses.most = s->o.adaptive ? TDM_GUESS_MOST : (int)s->o.gamma;
	}
	if (s->guesses.from & (TDM_FROM_LEARNED | TDM_FROM_RECYCLE)) {
		s->guesses.habits = tdm_habits_new((size_t)s->o.habit_bytes, TENANTS);
		if (!s->guesses.habits)
			return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	}
	tdm_follow_init(&s->guesses);
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	static const struct tdm_model_ops ops = {.generate = generate, .destroy = destroy};
	struct speculate *s = tdm_build_model(b, sizeof *s, &ops, TDM_CAN_TEXT | TDM_CAN_LOGPROBS);
	if (!s)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	s->o = *(const struct options *)options;
	make_drafts(b, s);
	int status = check(b, s);
	if (status == TDM_OK)
		status = make_wire(b, s);
	if (status == TDM_OK)
		status = measure(b, s);
	if (status == TDM_OK)
		status = meet(b, s);
	if (status == TDM_OK)
		status = make_guesses(b, s);
	if (status != TDM_OK)
		tdm_align_free(s->map);
	else
		*out = &s->model;
	return status;
}

static const struct tdm_role roles[] = {
    {"target", TDM_CAN_TEXT, 1, 1, "the model whose answer it is; one that is elsewhere must echo prompts"},
    {"draft", TDM_CAN_TEXT, 0, 1, "a smaller model, also one that is elsewhere; not for guesses"},
};

static const struct tdm_option table[] = {
    {"from", TDM_OPT_CHOICE, offsetof(struct options, from), "model", 0, 0, "model|lookup|learned|recycle|all|layers",
     "who drafts: a model; what followed the same tokens in the prompt and the answer so far, or in earlier answers to "
     "the tenant; a tree of the successors that the target ranked best; all three; the target's own first layers"},
    {"align", TDM_OPT_CHOICE, offsetof(struct options, align), "none", 0, 0, "none|intersect|string",
     "how a draft of another vocabulary meets the target: not at all; by the tokens whose bytes are in both; by its "
     "text"},
    {"most", TDM_OPT_INT, offsetof(struct options, most), "16", 1, TDM_GUESS_MOST, NULL,
     "tokens of a guess (of lookup at most 16), of which as many are tried as measured time makes worth it"},
    {"gamma", TDM_OPT_INT, offsetof(struct options, gamma), "4", 1, TDM_DRAFT_MOST, NULL,
     "tokens drafted; with adaptive, in sampled answers at first"},
    {"layers", TDM_OPT_INT, offsetof(struct options, layers), "0", 0, 1024, NULL,
     "from: layers: how many of the target's first layers draft; 0 = half of them"},
    {"habit_bytes", TDM_OPT_INT, offsetof(struct options, habit_bytes), "1048576", 4096, 1 << 28, NULL,
     "learned, recycle: memory for the traffic of one tenant; of at most 16 tenants"},
    {"opening", TDM_OPT_INT, offsetof(struct options, opening), "24", 0, TDM_DRAFT_MOST, NULL,
     "tokens drafted while the target reads the prompt"},
    {"adaptive", TDM_OPT_BOOL, offsetof(struct options, adaptive), "yes", 0, 0, NULL,
     "choose the number by measured time, down to none; in sampled answers of drafts, 2 more after a fully accepted "
     "draft, 1 less after a rejection"},
    {"ahead", TDM_OPT_BOOL, offsetof(struct options, ahead), "yes", 0, 0, NULL,
     "draft on while the target verifies, where a core is free"},
    {"verify", TDM_OPT_CHOICE, offsetof(struct options, verify), "token", 0, 0, "token|block|kseq",
     "sampled drafts of a model: kept token by token; all of a chain together, which keeps a few more; or, of trees, "
     "among children drawn independently of each other; the same distribution"},
    {"nodes", TDM_OPT_INT, offsetof(struct options, nodes), "0", 0, TDM_GUESS_MOST, NULL,
     "drafts are trees of so many tokens, in greedy answers with adaptive of as many as measured time makes worth it; "
     "0 = chains"},
    {"width", TDM_OPT_INT, offsetof(struct options, width), "4", 1, TDM_BUSH_WIDTH, NULL,
     "trees: children of a node, and nodes that the draft reads at once"},
    {"depth", TDM_OPT_INT, offsetof(struct options, depth), "7", 1, TDM_DRAFT_MOST, NULL, "trees: tokens of a path"},
    {"min_node", TDM_OPT_NUMBER, offsetof(struct options, min_node), "0.05", 0, 1, NULL,
     "trees: leave out tokens whose path is less likely than this; in greedy answers with adaptive, than their time "
     "is worth"},
    {"accept", TDM_OPT_CHOICE, offsetof(struct options, accept), "exact", 0, 0, TDM_ACCEPT_CHOICES,
     "what stays of a model's draft: exact keeps the target's distribution; greedy and typical its answers at "
     "temperature 0 alone; the cascades mix the two models, by alpha"},
    {"alpha", TDM_OPT_NUMBER, offsetof(struct options, alpha), "0.2", 0, 1, NULL,
     "accept: cascade: how far below the target's best token a drafted one may be, as a share of it; 0 = not at all, 1 "
     "= any"},
    {"dearer", TDM_OPT_NUMBER, offsetof(struct options, dearer), "1", 0, 1000, NULL,
     "a target that is elsewhere: how many times the price of a plain answer its verified one may cost"},
    {"min_prob", TDM_OPT_NUMBER, offsetof(struct options, min_prob), "0.5", 0, 1, NULL,
     "end a draft where all of it together is less likely than this"},
};

const struct tdm_kind tdm_kind_speculate = {
    .name = "speculate",
    .summary = "a small model drafts, a large one verifies; the answer is exactly the large one's, sooner",
    .family = TDM_STRATEGY,
    .goal = TDM_GOAL_COST,
    .leaf = "B3c",
    .source = "arXiv 2211.17192, 2302.01318, 2403.10444, 2305.09781, 2310.15141, 2405.19261",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = table,
    .n_options = TDM_COUNT(table),
    .options_bytes = sizeof(struct options),
    .create = create,
};
