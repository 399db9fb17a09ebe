// Mask: hide, ask, restore. Private values of the conversation become tokens before the inner model sees it, and tokens
// in its answer become the values again while it streams.
//
// The rule it protects: a value of the configured level, a secret, or a string of the deny list is in no byte that the
// inner model receives. The masked messages are scanned by the egress monitor before the inner model is called, and the
// same monitor waits on run->egress for the final bytes of every request sent upstream. Any failure sends nothing.
// A new type of value is a row in entities.c, not a change here.
#include "base/crypto.h"
#include "privacy/egress.h"
#include "privacy/mask/fields.h"
#include "privacy/mask/finder.h"
#include "privacy/mask/hide.h"
#include "privacy/kinds.h"
#include "privacy/leaks.h"
#include "privacy/mask/mask.h"
#include "privacy/mask/risk.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	int64_t level;
	bool note, restore;
	struct tdm_detector_lists lists;
	struct tdm_strings tools;      // that are given the values
	struct tdm_strings links;      // origins that are given them
	struct tdm_strings surrogates; // labels
	const char *key;
	int64_t bits, limit, limit_clear;
	double risk;
	bool watch;
};

struct mask {
	struct tdm_model model; // first
	struct options options;
	struct tdm_model *inner, *local; // local: answers what the limit keeps here; NULL = refused
	struct tdm_model *finder;        // lists what is private; NULL = nobody does
	struct tdm_detector detector;
	struct tdm_leaks *leaks;
	uint8_t key[TDM_SESSION_KEY_BYTES];
};

struct job { // one request
	struct mask *mask;
	struct tdm_run *run;
	const struct tdm_request *request;
	int level;
	struct tdm_fields fields;
	struct tdm_detector detector; // the mask's, with what the finder listed
	struct tdm_hiding hiding;
	struct tdm_showing showing;
	struct tdm_guarded_egress egress;
};

static int out_of_memory(struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_ENOMEM, "mask: no memory left in this request; nothing was sent");
}

static struct tdm_text first_words(const struct tdm_request *r) {
	for (size_t i = 0; i < r->n_messages; i++)
		if (r->messages[i].from == TDM_FROM_USER)
			return (struct tdm_text){.text = r->messages[i].text, .n = r->messages[i].len};
	return (struct tdm_text){.text = "", .n = 0};
}

static void count_find(void *arg, const struct tdm_find *find, const struct tdm_spelling *token) {
	struct job *j = arg;
	tdm_record_count(j->run->record, &j->run->record->left.entities, find->entity->label, 1);
	tdm_showing_add(&j->showing, find, token ? "token" : "mark");
}

static int hide(struct job *j) {
	uint8_t key[TDM_SESSION_KEY_BYTES];
	struct tdm_run *run = j->run;
	if (tdm_fields_collect(&j->fields, run->arena, j->request) != TDM_OK)
		return out_of_memory(run);
	int status = tdm_session_key(j->mask->key, run->tenant, run->objective.session, first_words(j->request), key);
	if (status != TDM_OK)
		return tdm_fail(&run->error, status, "mask: the key of this conversation failed");
	j->detector = j->mask->detector;
	if (j->mask->finder)
		status = tdm_finder_ask(j->mask->finder, run, j->fields.texts, j->fields.n, &j->mask->detector, &j->detector);
	if (status != TDM_OK) {
		tdm_wipe(key, sizeof key);
		return status;
	}
	j->hiding = (struct tdm_hiding){.arena = run->arena,
	                                .detector = &j->detector,
	                                .texts = j->fields.texts,
	                                .n = j->fields.n,
	                                .links = &j->mask->options.links,
	                                .surrogates = &j->mask->options.surrogates,
	                                .level = j->level,
	                                .bits = (int)j->mask->options.bits,
	                                .seen = count_find,
	                                .arg = j};
	tdm_showing_init(&j->showing, run->arena, key, j->mask->model.name);
	status = tdm_hide(&j->hiding, key, &run->error);
	tdm_wipe(key, sizeof key);
	if (status == TDM_OK && j->mask->options.watch && j->level < 3)
		status = tdm_showing_look(&j->showing, &j->mask->detector, j->hiding.masked, j->fields.n, &j->hiding.restorer,
		                          &run->error);
	return status;
}

// *home: the model in the role `local` answers instead. false: there is none.
static bool stay_home(struct job *j, const char *signal, double score, double threshold, bool *home) {
	const struct mask *m = j->mask;
	*home = m->local != NULL;
	tdm_record_decision(j->run->record, &(struct tdm_decision){.by = m->model.name,
	                                                           .kind = "mask",
	                                                           .choice = *home ? "local" : "refuse",
	                                                           .signal = signal,
	                                                           .score = score,
	                                                           .threshold = threshold});
	return *home;
}

static int within_risk(struct job *j, bool *home) {
	const struct mask *m = j->mask;
	struct tdm_run *run = j->run;
	double risk;
	if (m->options.risk < 0)
		return TDM_OK;
	int status = tdm_risk_estimate(&m->detector, run->arena, j->fields.texts, j->fields.n, j->level, j->hiding.finds,
	                               &risk, &run->error);
	if (status != TDM_OK)
		return status;
	if (risk <= m->options.risk) {
		run->record->left.risk = fmax(run->record->left.risk, risk);
		return TDM_OK;
	}
	return stay_home(j, "risk", risk, m->options.risk, home)
	           ? TDM_OK
	           : tdm_fail(&run->error, TDM_EPRIVACY,
	                      "%s: this request holds a private value that was not found with a probability of %.2f, by "
	                      "estimate, and %.2f is allowed (risk); nothing was sent",
	                      m->model.name, risk, m->options.risk);
}

// Many harmless values of one person are not harmless together.
static int within_limit(struct job *j, bool *home) {
	const struct mask *m = j->mask;
	const struct tdm_leak_limit limit = {m->options.limit, m->options.limit_clear};
	struct tdm_run *run = j->run;
	struct tdm_leak_count over = {0, -1, NULL};
	if (j->showing.failed)
		return out_of_memory(run);
	if ((limit.all < 0 && limit.clear < 0) || tdm_leaks_allow(m->leaks, &j->showing, limit, &over)) {
		tdm_showing_record(&j->showing, run->record);
		return TDM_OK;
	}
	if (over.limit < 0)
		return out_of_memory(run);
	return stay_home(j, over.what, (double)over.n, (double)over.limit, home)
	           ? TDM_OK
	           : tdm_fail(&run->error, TDM_EPRIVACY,
	                      "%s: with this request the conversation would have shown %lld different private values, "
	                      "%lld are allowed (%s); nothing was sent",
	                      m->model.name, (long long)over.n, (long long)over.limit,
	                      strcmp(over.what, "values") ? "limit_clear" : "limit");
}

static int look_before_leaving(struct job *j) {
	int status = TDM_OK;
	j->egress = (struct tdm_guarded_egress){
	    {tdm_egress_scan, j->run->egress}, &j->detector, &j->hiding.protect, &j->hiding.restorer, j->level};
	for (size_t i = 0; i < j->fields.n && status == TDM_OK; i++)
		status = tdm_egress_scan_text(&j->egress, j->hiding.masked[i].text, j->hiding.masked[i].n, &j->run->error);
	return status;
}

static const char note[] = "Words made of capital letters, an underscore and eight letters or digits stand for private "
                           "values. Copy them exactly where you need them; do not change, translate, split or explain "
                           "them.";

// The note, at the end of the system text.
static int add_note(struct job *j, struct tdm_request *r) {
	bool has_system = r->n_messages > 0 && r->messages[0].from == TDM_FROM_SYSTEM;
	size_t extra = !has_system;
	struct tdm_message *m = tdm_arena_array(j->run->arena, r->n_messages + extra, sizeof *m);
	char *text = has_system
	                 ? tdm_arena_printf(j->run->arena, "%.*s\n\n%s", (int)r->messages[0].len, r->messages[0].text, note)
	                 : tdm_arena_string(j->run->arena, note);
	if (!m || !text)
		return out_of_memory(j->run);
	memcpy(m + extra, r->messages, r->n_messages * sizeof *m);
	m[0] = (struct tdm_message){.from = TDM_FROM_SYSTEM, .text = text, .len = strlen(text)};
	r->messages = m;
	r->n_messages += extra;
	return TDM_OK;
}

static int build_request(struct job *j, struct tdm_request *out) {
	int status = tdm_fields_build(&j->fields, j->run->arena, j->hiding.masked, out, &j->run->error);
	if (status == TDM_ENOMEM)
		return out_of_memory(j->run);
	static const struct tdm_raw raw; // tokens of the clear text go nowhere
	if (out->raw)
		out->raw = &raw;
	out->logprobs = false; // probabilities of masked text would show where the values were
	out->top_logprobs = 0;
	return status == TDM_OK && j->mask->options.note && j->hiding.n_tokens > 0 && !out->raw ? add_note(j, out) : status;
}

struct mask_sink {
	struct tdm_sink base; // first
	struct job *job;
	struct tdm_restore stream;                      // of the pieces of one sort that follow one another
	enum tdm_piece piece;                           // their sort
	struct tdm_link links[TDM_PIECE_ARGUMENTS + 1]; // of each sort, which goes on behind another
	struct tdm_bytes out;
	bool ended;   // the caller wants no more
	bool trusted; // the tool whose call goes on
	const char *author;
};

static int send_event(struct mask_sink *s, const struct tdm_event *event) {
	int status = s->base.next->put(s->base.next, event);
	s->ended = status != TDM_OK;
	return status;
}

static int send_restored(struct mask_sink *s) {
	if (s->out.failed)
		return out_of_memory(s->job->run);
	if (s->out.len == 0)
		return TDM_OK;
	struct tdm_event event = {.piece = s->piece, .text = s->out.data, .len = s->out.len, .author = s->author};
	event.token = -1;
	event.logprob = NAN;
	return send_event(s, &event);
}

// Arguments of a call are JSON, and so is an answer of a JSON form: there a restored value is escaped.
static void begin_stream(struct mask_sink *s, enum tdm_piece piece) {
	bool is_json = piece == TDM_PIECE_ARGUMENTS || (piece == TDM_PIECE_TEXT && tdm_form_is_json(s->job->request->form));
	s->piece = piece;
	tdm_restore_init(&s->stream, &s->job->hiding.restorer, &s->links[piece], is_json);
}

// What the stream still holds back goes out; a token does not go on in another sort of piece.
static int end_stream(struct mask_sink *s) {
	struct tdm_left *left = &s->job->run->record->left;
	tdm_bytes_clear(&s->out);
	tdm_restore_end(&s->stream, &s->out);
	left->restored += s->stream.restored;
	left->damaged += s->stream.damaged;
	left->missed_restores += s->stream.missed;
	return s->ended ? TDM_OK : send_restored(s);
}

static bool trusts(const struct tdm_strings *tools, const char *name, size_t n) {
	for (size_t i = 0; i < tools->n; i++)
		if (!strcmp(tools->items[i], "*") || (strlen(tools->items[i]) == n && !memcmp(tools->items[i], name, n)))
			return true;
	return false;
}

// A tool has its own name for whoever runs it.
static int begin_call(struct mask_sink *s, const struct tdm_event *event) {
	struct tdm_restore name;
	struct tdm_event own = *event;
	tdm_bytes_clear(&s->out);
	tdm_restore_init(&name, &s->job->hiding.restorer, NULL, false);
	tdm_restore_put(&name, event->text, event->len, &s->out);
	tdm_restore_end(&name, &s->out);
	s->job->run->record->left.restored += name.restored;
	if (s->out.failed)
		return out_of_memory(s->job->run);
	own.text = s->out.data;
	own.len = s->out.len;
	s->trusted = trusts(&s->job->mask->options.tools, own.text, own.len);
	s->links[TDM_PIECE_ARGUMENTS] = (struct tdm_link){0};
	return send_event(s, &own);
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct mask_sink *s = (struct mask_sink *)sink;
	int status = TDM_OK;
	if (event->piece != s->piece) {
		status = end_stream(s);
		begin_stream(s, event->piece);
	}
	s->author = event->author;
	if (status == TDM_OK && event->piece == TDM_PIECE_CALL)
		return begin_call(s, event);
	if (status != TDM_OK || (event->piece == TDM_PIECE_ARGUMENTS && !s->trusted))
		return status == TDM_OK ? send_event(s, event) : status;
	tdm_bytes_clear(&s->out);
	tdm_restore_put(&s->stream, event->text, event->len, &s->out);
	if (s->out.len == event->len && s->stream.n_held == 0 && memcmp(s->out.data, event->text, event->len) == 0)
		return send_event(s, event);
	return send_restored(s);
}

// The inner model was given masked stop strings: the client's own has the same place.
static const char *own_stop(const struct job *j, const struct tdm_request *asked, const char *stop) {
	for (size_t i = 0; stop && i < asked->n_stop; i++)
		if (!strcmp(asked->stop[i], stop))
			return j->request->stop[i];
	return NULL;
}

static int ask(struct job *j, struct tdm_sink *sink, struct tdm_result *result) {
	struct mask_sink s = {.base = {put, sink}, .job = j, .author = j->mask->inner->name};
	struct tdm_request request;
	int status = build_request(j, &request);
	if (status != TDM_OK)
		return status;
	begin_stream(&s, TDM_PIECE_TEXT);
	tdm_bytes_init(&s.out, 64u << 20);
	bool restoring = j->mask->options.restore;
	j->run->egress = &j->egress.base;
	status = tdm_generate(j->mask->inner, j->run, &request, restoring ? &s.base : sink, result);
	j->run->egress = j->egress.base.next;
	result->stop = own_stop(j, &request, result->stop);
	s.ended = s.ended || status != TDM_OK || !restoring;
	int last = end_stream(&s);
	tdm_bytes_release(&s.out);
	return status == TDM_OK && last < 0 ? last : status;
}

// A request can only raise the level that the tree says.
static int level_of(const struct mask *m, const struct tdm_run *run) {
	int wish = run->objective.privacy > 3 ? 3 : run->objective.privacy;
	return wish > m->options.level ? wish : (int)m->options.level;
}

// Two masks on one way out: the weaker one counts.
static void note_level(struct tdm_run *run, int level) {
	struct tdm_left *left = &run->record->left;
	bool masked = left->method && strcmp(left->method, "mask") == 0;
	if (level == 0)
		return;
	left->level = masked && left->level < level ? left->level : level;
	left->method = "mask";
}

static int may_leave(const struct mask *m, struct tdm_run *run) {
	if (run->objective.privacy <= 3 || !m->inner->leaves)
		return TDM_OK;
	return tdm_fail(&run->error, TDM_EPRIVACY,
	                "%s: nothing of this request may leave the machine, and %s would send it", m->model.name,
	                m->inner->name);
}

static int embed_masked(struct job *j, struct tdm_words *texts, size_t n, const float **out, int *width) {
	struct tdm_run *run = j->run;
	struct tdm_request masked;
	bool home = false;
	int status = hide(j);
	if (status == TDM_OK)
		status = within_risk(j, &home);
	if (status == TDM_OK && !home)
		status = within_limit(j, &home);
	if (status == TDM_OK && home) // what gives vectors at home is another model with other vectors
		status = tdm_fail(&run->error, TDM_EPRIVACY, "%s: the conversation has shown what it may; nothing was sent",
		                  j->mask->model.name);
	if (status == TDM_OK)
		status = look_before_leaving(j);
	if (status == TDM_OK)
		status = tdm_fields_build(&j->fields, run->arena, j->hiding.masked, &masked, &run->error);
	if (status != TDM_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		texts[i] = (struct tdm_words){masked.messages[i].text, masked.messages[i].len};
	run->egress = &j->egress.base;
	status = tdm_embed_all(j->mask->inner, run, texts, n, out, width);
	run->egress = j->egress.base.next;
	return status;
}

// The vectors of the masked texts, which are hidden together: as messages of one request.
static int embed(struct tdm_model *model, struct tdm_run *run, const struct tdm_words *texts, size_t n,
                 const float **out, int *width) {
	struct mask *m = (struct mask *)model;
	struct tdm_message *messages = tdm_arena_array(run->arena, n, sizeof *messages);
	struct tdm_words *masked = tdm_arena_array(run->arena, n, sizeof *masked);
	struct tdm_request request;
	struct job j = {.mask = m, .run = run, .request = &request, .level = level_of(m, run)};
	int status = may_leave(m, run);
	if (status == TDM_OK && (!messages || !masked))
		status = out_of_memory(run);
	if (status != TDM_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		messages[i] = (struct tdm_message){.from = TDM_FROM_USER, .text = texts[i].text, .len = texts[i].len};
	tdm_request_init(&request);
	request.messages = messages;
	request.n_messages = n;
	note_level(run, j.level);
	return j.level == 0 ? tdm_embed_all(m->inner, run, texts, n, out, width) : embed_masked(&j, masked, n, out, width);
}

static int generate(struct tdm_model *model, struct tdm_run *run, const struct tdm_request *request,
                    struct tdm_sink *sink, struct tdm_result *result) {
	struct mask *m = (struct mask *)model;
	struct job j = {.mask = m, .run = run, .request = request, .level = level_of(m, run)};
	int status = may_leave(m, run);
	if (status != TDM_OK)
		return status;
	note_level(run, j.level);
	if (j.level == 0)
		return tdm_generate(m->inner, run, request, sink, result);
	bool home = false;
	status = hide(&j);
	if (status == TDM_OK)
		status = within_risk(&j, &home);
	if (status == TDM_OK && !home)
		status = within_limit(&j, &home);
	if (status == TDM_OK && home)
		return tdm_generate(m->local, run, request, sink, result);
	if (status == TDM_OK)
		status = look_before_leaving(&j);
	return status == TDM_OK ? ask(&j, sink, result) : status;
}

// Looks as generate() would, and sends nothing.
static int risk(struct tdm_model *model, struct tdm_run *run, const struct tdm_request *request, double *out) {
	struct mask *m = (struct mask *)model;
	struct tdm_fields f;
	struct tdm_dictionary protect = {0};
	int level = level_of(m, run);
	*out = 1;
	if (level == 0)
		return TDM_OK;
	if (tdm_fields_collect(&f, run->arena, request) != TDM_OK)
		return out_of_memory(run);
	struct tdm_finds *finds = tdm_arena_array(run->arena, f.n + 1, sizeof *finds);
	if (!finds)
		return out_of_memory(run);
	for (size_t i = 0; i < f.n; i++)
		finds[i] = (struct tdm_finds){0};
	int status = tdm_detect(&m->detector, run->arena, f.texts, f.n, level, finds, &protect, &run->error);
	return status == TDM_OK ? tdm_risk_estimate(&m->detector, run->arena, f.texts, f.n, level, finds, out, &run->error)
	                        : status;
}

static void recall(struct tdm_model *model, const struct tdm_value *left) {
	tdm_leaks_recall(((struct mask *)model)->leaks, left);
}

static void destroy(struct tdm_model *model) {
	struct mask *m = (struct mask *)model;
	tdm_detector_close(&m->detector);
	tdm_leaks_free(m->leaks);
	tdm_wipe(m->key, sizeof m->key);
}

static const struct tdm_model_ops ops = {
    .generate = generate, .embed_all = embed, .risk = risk, .recall = recall, .destroy = destroy};

const struct tdm_detector *tdm_mask_detector(const struct tdm_model *m, int *level) {
	const struct mask *mask = (const struct mask *)m;
	if (m->ops != &ops)
		return NULL;
	*level = (int)mask->options.level;
	return &mask->detector;
}

static int open_limit(const struct tdm_build *b, struct mask *m) {
	m->local = tdm_build_role(b, "local");
	if (m->local && m->local->leaves)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: local: %s sends bytes off this machine", b->where, m->local->name);
	if (m->options.limit_clear >= 0 && !m->options.watch)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: limit_clear needs watch: yes", b->where);
	if (m->local)
		m->model.can &= m->local->can;
	// Without a key of its own the mask gives every conversation other names than the process before.
	m->model.remembers = m->options.key && *m->options.key && (m->options.limit >= 0 || m->options.limit_clear >= 0);
	m->leaks = tdm_leaks_new();
	return m->leaks ? TDM_OK : tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
}

// Labels of values that are restored and have digits of their own to change.
static int check_labels(const struct tdm_strings *labels, const char *where, struct tdm_error *err) {
	for (size_t i = 0; i < labels->n; i++) {
		bool known = false;
		for (size_t k = 0; k < tdm_n_entities; k++)
			known = known ||
			        (!strcmp(tdm_entities[k].label, labels->items[i]) && !(tdm_entities[k].flags & TDM_ENTITY_ONE_WAY));
		if (!known)
			return tdm_fail(err, TDM_ECONFIG,
			                "%s: surrogates: \"%s\" is no label of a value that comes back, such as PHONE", where,
			                labels->items[i]);
	}
	return TDM_OK;
}

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	struct mask *m = tdm_build_model(b, sizeof *m, &ops, 0);
	if (!m)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	memcpy(&m->options, options, sizeof m->options);
	m->inner = tdm_build_role(b, "inner");
	m->finder = tdm_build_role(b, "finder");
	if (m->finder && m->finder->leaves)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: finder: %s sends bytes off this machine", b->where,
		                m->finder->name);
	m->model.can = m->inner->can & (TDM_CAN_TEXT | TDM_CAN_TOOLS | TDM_CAN_EMBED);
	if (!m->model.can)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: inner: %s needs TEXT or EMBED", b->where, m->inner->name);
	int status = tdm_links_check(&m->options.links, b->where, b->error);
	if (status == TDM_OK)
		status = check_labels(&m->options.surrogates, b->where, b->error);
	if (status == TDM_OK)
		status = tdm_master_key(b->where, b->folder, m->options.key, m->key, b->error);
	if (status == TDM_OK)
		status = open_limit(b, m);
	m->options.lists.folder = b->folder;
	m->options.lists.embedded = b->embedded;
	if (status == TDM_OK)
		status = tdm_detector_open(&m->detector, b->arena, b->where, &m->options.lists, b->error);
	m->model.hides = m->detector.tagger.weights ? 3 : 1; // a request raises the level up to it
	if (status == TDM_OK)
		*out = &m->model;
	else
		tdm_leaks_free(m->leaks);
	return status;
}

static const struct tdm_role roles[] = {
    {"inner", 0, 1, 1, "the model that sees tokens instead of private values"},
    {"finder", TDM_CAN_TEXT, 0, 1,
     "a model at home that lists what is private in each text before it leaves; that is hidden too"},
    {"local", TDM_CAN_TEXT, 0, 1, "a model at home that answers when the limit is reached; without one: refused"},
};

static const struct tdm_option rows[] = {
    {.name = "level",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, level),
     .standard = "1",
     .min = 0,
     .max = 3,
     .help =
         "what is hidden: 0 nothing, 1 secrets and hard identifiers (numbers of cards, accounts, people and "
         "firms), 2 also persons, addresses, contacts (e-mail, phone, IP, users), dates of birth and positions; 3 also "
         "organisations, places, dates, ages and links"},
    {.name = "detect",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, lists.detect),
     .standard = "rules,tagger",
     .help = "how private values are found: rules (patterns and check digits), tagger (names and addresses, from level "
             "2 on)"},
    {.name = "bias",
     .type = TDM_OPT_NUMBER,
     .offset = offsetof(struct options, lists.bias),
     .standard = "-80",
     .min = -1000,
     .max = 1000,
     .help = "of the tagger: lower hides more and lets less through"},
    {.name = "weights",
     .type = TDM_OPT_STRING,
     .offset = offsetof(struct options, lists.weights),
     .standard = "embedded:tagger",
     .help = "of the tagger: a file that tandem fit-tagger made, or embedded:NAME"},
    {.name = "note",
     .type = TDM_OPT_BOOL,
     .offset = offsetof(struct options, note),
     .standard = "no",
     .help = "tell the inner model to copy tokens exactly"},
    {.name = "restore",
     .type = TDM_OPT_BOOL,
     .offset = offsetof(struct options, restore),
     .standard = "yes",
     .help = "put the values back into the answer"},
    {.name = "tools",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, tools),
     .standard = "*",
     .help = "tools that are given the values in the arguments of their calls; the others get tokens; *: all of them"},
    {.name = "risk",
     .type = TDM_OPT_NUMBER,
     .offset = offsetof(struct options, risk),
     .standard = "-1",
     .min = -1,
     .max = 1,
     .help = "how likely a request may be, by estimate, to hold a private value that is not found: above it `local` "
             "answers, or nobody; 1: it is only estimated; -1: not even that"},
    {.name = "links",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, links),
     .help =
         "origins (\"https://host\") whose links are given the values; in links elsewhere tokens stay, unless the same "
         "link stood in the request; *: all of them"},
    {.name = "surrogates",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, surrogates),
     .help = "labels (PERSON, PLACE, ORG, PHONE, CARD ...) whose values are shown as made-up ones of the same kind "
             "instead of "
             "tokens; they may be somebody's"},
    {.name = "deny",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, lists.deny),
     .help = "exact strings that never leave (project names, customers)"},
    {.name = "packs",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, lists.packs),
     .help = "countries whose numbers are looked for, by their codes (us, uk, de ...); default: all"},
    {.name = "patterns",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, lists.patterns),
     .help = "regular expressions of what never leaves (numbers of customers), in any letter case"},
    {.name = "allow",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, lists.allow),
     .help = "exact strings that recognisers and patterns leave alone (test numbers, an address of your own)"},
    {.name = "key",
     .type = TDM_OPT_STRING,
     .offset = offsetof(struct options, key),
     .help = "\"env:NAME\" or \"file:PATH\" of the key tokens are made with; default: a random one per process"},
    {.name = "watch",
     .type = TDM_OPT_BOOL,
     .offset = offsetof(struct options, watch),
     .standard = "yes",
     .help = "look also for what leaves in clear at this level, for the receipt and tandem leaks"},
    {.name = "limit",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, limit),
     .standard = "-1",
     .min = -1,
     .max = TDM_MAX_VALUES,
     .help = "most private values that one conversation may show, as tokens or in clear; -1: any number"},
    {.name = "limit_clear",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, limit_clear),
     .standard = "-1",
     .min = -1,
     .max = TDM_MAX_VALUES,
     .help = "most of them in clear; -1: any number"},
    {.name = "bits",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, bits),
     .standard = "35",
     .min = 4,
     .max = 35,
     .help = "width of the tokens' hash in bits; fewer only to test collisions"},
};

const struct tdm_kind tdm_kind_mask = {
    .name = "mask",
    .summary = "hide private values, ask, put them back into the answer",
    .family = TDM_POLICY,
    .goal = TDM_GOAL_PRIVACY,
    .leaf = "C1a",
    .source = "HaS (2309.03057), LLM-Anonymizer, Casper (2408.07004)",
    .roles = roles,
    .n_roles = TDM_COUNT(roles),
    .options = rows,
    .n_options = TDM_COUNT(rows),
    .options_bytes = sizeof(struct options),
    .create = create,
};
