// Mask: hide, ask, restore. Private values of the conversation become tokens before the inner model sees it, and tokens
// in its answer become the values again while it streams.
//
// The rule it protects: a value of the configured level, a secret, or a string of the deny list is in no byte that the
// inner model receives. The masked messages are scanned by the egress monitor before the inner model is called, and the
// same monitor waits on run->egress for the final bytes of every request sent upstream. Any failure sends nothing.
// A new type of value is a row in entities.c, not a change here.
#include "base/crypto.h"
#include "base/random.h"
#include "base/secret.h"
#include "privacy/egress.h"
#include "privacy/fields.h"
#include "privacy/kinds.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 32
#define SECRET_LIMIT_BYTES ((size_t)64 << 10)

struct options {
	int64_t level;
	bool note, restore;
	struct tdm_strings deny, patterns, allow;
	const char *key;
	int64_t bits;
};

struct mask {
	struct tdm_model model; // first
	struct options options;
	struct tdm_model *inner;
	struct tdm_detector detector;
	uint8_t key[KEY_BYTES];
};

struct job { // one request
	struct mask *mask;
	struct tdm_run *run;
	const struct tdm_request *request;
	int level;
	struct tdm_fields fields;
	struct tdm_finds *finds; // of each of its texts
	struct tdm_text *masked; // what becomes of it
	struct tdm_dictionary protect;
	struct tdm_vault *vault;
	struct tdm_restorer restorer;
	struct tdm_guarded_egress egress;
	long n_tokens;
};

static int out_of_memory(struct tdm_run *run) {
	return tdm_fail(&run->error, TDM_ENOMEM, "mask: no memory left in this request; nothing was sent");
}

static void put_length_prefixed(struct tdm_bytes *b, const void *data, size_t n) {
	uint64_t size = n;
	tdm_bytes_add(b, &size, sizeof size);
	tdm_bytes_add(b, data, n);
}

// K_session: another key for every conversation of every tenant, so that nobody outside can link the same value across
// conversations. Without a session name the first user message is the conversation.
static int session_key(const struct job *j, uint8_t out[KEY_BYTES]) {
	struct tdm_bytes info;
	uint8_t digest[TDM_SHA256_BYTES];
	const char *session = j->run->objective.session, *tenant = j->run->tenant ? j->run->tenant : "";
	const struct tdm_request *r = j->request;
	tdm_bytes_init(&info, 1 << 20);
	put_length_prefixed(&info, tenant, strlen(tenant));
	if (session) {
		put_length_prefixed(&info, session, strlen(session));
	} else {
		size_t i = 0;
		while (i < r->n_messages && r->messages[i].from != TDM_FROM_USER)
			i++;
		tdm_sha256(i < r->n_messages ? r->messages[i].text : "", i < r->n_messages ? r->messages[i].len : 0, digest);
		put_length_prefixed(&info, digest, sizeof digest);
	}
	int status =
	    info.failed ? TDM_ENOMEM : tdm_hkdf_sha256(j->mask->key, KEY_BYTES, info.data, info.len, out, KEY_BYTES);
	tdm_bytes_release(&info);
	return status == TDM_OK ? TDM_OK : tdm_fail(&j->run->error, status, "mask: the key of this conversation failed");
}

static int collect(struct job *j) {
	struct tdm_arena *arena = j->run->arena;
	int status = tdm_fields_collect(&j->fields, arena, j->request);
	j->masked = status ? NULL : tdm_arena_array(arena, j->fields.n + 1, sizeof *j->masked);
	j->finds = status ? NULL : tdm_arena_array(arena, j->fields.n + 1, sizeof *j->finds);
	return j->masked && j->finds ? TDM_OK : out_of_memory(j->run);
}

static int replace(struct job *j, const struct tdm_text *text, const struct tdm_find *find, struct tdm_bytes *out) {
	const struct tdm_spelling *spelling;
	tdm_record_count(j->run->record, &j->run->record->left.entities, find->entity->label, 1);
	if (find->entity->flags & TDM_ENTITY_ONE_WAY) {
		tdm_bytes_printf(out, "[SECRET:%s]", find->entity->id);
		return TDM_OK;
	}
	int status = tdm_vault_token(j->vault, find->entity, text->text + find->start, find->end - find->start,
	                             find->folded, find->n_folded, &spelling, &j->run->error);
	if (status != TDM_OK)
		return status;
	j->n_tokens++;
	tdm_bytes_add(out, spelling->token, spelling->n_token);
	return TDM_OK;
}

static int rewrite(struct job *j, size_t i) {
	const struct tdm_text *text = &j->fields.texts[i];
	const struct tdm_finds *finds = &j->finds[i];
	struct tdm_bytes out;
	size_t at = 0;
	int status = TDM_OK;
	j->masked[i] = *text;
	if (finds->n == 0)
		return TDM_OK;
	tdm_bytes_init(&out, text->n + finds->n * 64 + 64);
	for (size_t k = 0; k < finds->n && status == TDM_OK; k++) {
		tdm_bytes_add(&out, text->text + at, finds->items[k].start - at);
		status = replace(j, text, &finds->items[k], &out);
		at = finds->items[k].end;
	}
	tdm_bytes_add(&out, text->text + at, text->n - at);
	j->masked[i] = (struct tdm_text){tdm_arena_copy(j->run->arena, out.data ? out.data : "", out.len), out.len};
	if (status == TDM_OK && (out.failed || !j->masked[i].text))
		status = out_of_memory(j->run);
	tdm_bytes_release(&out);
	return status;
}

// What was just written must restore to what stood there: a live token anywhere else in the text would come back as
// somebody's value.
static int verify_tokens(struct job *j) {
	long restored = 0;
	struct tdm_bytes out;
	tdm_bytes_init(&out, 256u << 20);
	for (size_t i = 0; i < j->fields.n; i++) {
		struct tdm_restore stream;
		tdm_restore_init(&stream, &j->restorer, false);
		tdm_bytes_clear(&out);
		tdm_restore_put(&stream, j->masked[i].text, j->masked[i].n, &out);
		tdm_restore_end(&stream, &out);
		restored += stream.restored;
	}
	tdm_bytes_release(&out);
	if (restored == j->n_tokens)
		return TDM_OK;
	return tdm_fail(&j->run->error, TDM_EGUARD,
	                "mask: the text already holds a token of this conversation; nothing was sent");
}

static int hide(struct job *j) {
	uint8_t key[KEY_BYTES];
	struct tdm_arena *arena = j->run->arena;
	int status = collect(j);
	if (status == TDM_OK)
		status = session_key(j, key);
	if (status != TDM_OK)
		return status;
	j->vault = tdm_vault_new(arena, key, (int)j->mask->options.bits);
	tdm_wipe(key, sizeof key);
	if (!j->vault)
		return out_of_memory(j->run);
	status = tdm_detect(&j->mask->detector, arena, j->fields.texts, j->fields.n, j->level, j->finds, &j->protect,
	                    &j->run->error);
	for (size_t i = 0; i < j->fields.n && status == TDM_OK; i++)
		status = rewrite(j, i);
	tdm_vault_forget_key(j->vault);
	if (status == TDM_OK && (tdm_restorer_init(&j->restorer, arena, j->vault) != TDM_OK ||
	                         tdm_dictionary_build(&j->protect, arena) != TDM_OK))
		status = out_of_memory(j->run);
	return status == TDM_OK ? verify_tokens(j) : status;
}

static int look_before_leaving(struct job *j) {
	int status = TDM_OK;
	j->egress = (struct tdm_guarded_egress){
	    {tdm_egress_scan, j->run->egress}, &j->mask->detector, &j->protect, &j->restorer, j->level};
	for (size_t i = 0; i < j->fields.n && status == TDM_OK; i++)
		status = tdm_egress_scan_text(&j->egress, j->masked[i].text, j->masked[i].n, &j->run->error);
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
	int status = tdm_fields_build(&j->fields, j->run->arena, j->masked, out, &j->run->error);
	if (status == TDM_ENOMEM)
		return out_of_memory(j->run);
	static const struct tdm_raw raw; // tokens of the clear text go nowhere
	if (out->raw)
		out->raw = &raw;
	out->logprobs = false; // probabilities of masked text would show where the values were
	out->top_logprobs = 0;
	return status == TDM_OK && j->mask->options.note && j->n_tokens > 0 && !out->raw ? add_note(j, out) : status;
}

struct mask_sink {
	struct tdm_sink base; // first
	struct job *job;
	struct tdm_restore stream; // of the pieces of one sort that follow one another
	enum tdm_piece piece;      // their sort
	struct tdm_bytes out;
	bool ended; // the caller wants no more
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
	tdm_restore_init(&s->stream, &s->job->restorer, is_json);
}

// What the stream still holds back goes out; a token does not go on in another sort of piece.
static int end_stream(struct mask_sink *s) {
	struct tdm_left *left = &s->job->run->record->left;
	tdm_bytes_clear(&s->out);
	tdm_restore_end(&s->stream, &s->out);
	left->restored += s->stream.restored;
	left->damaged += s->stream.damaged;
	return s->ended ? TDM_OK : send_restored(s);
}

static int put(struct tdm_sink *sink, const struct tdm_event *event) {
	struct mask_sink *s = (struct mask_sink *)sink;
	int status = TDM_OK;
	if (event->piece != s->piece) {
		status = end_stream(s);
		begin_stream(s, event->piece);
	}
	s->author = event->author;
	if (status != TDM_OK || event->piece == TDM_PIECE_CALL)
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
	int status = hide(j);
	if (status == TDM_OK)
		status = look_before_leaving(j);
	if (status == TDM_OK)
		status = tdm_fields_build(&j->fields, run->arena, j->masked, &masked, &run->error);
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
	status = hide(&j);
	if (status == TDM_OK)
		status = look_before_leaving(&j);
	return status == TDM_OK ? ask(&j, sink, result) : status;
}

static void destroy(struct tdm_model *model) {
	struct mask *m = (struct mask *)model;
	tdm_scanner_free(m->detector.scanner);
	tdm_wipe(m->key, sizeof m->key);
}

static int read_key(const struct tdm_build *b, const char *from, uint8_t key[KEY_BYTES]) {
	if (!from || !*from) {
		if (tdm_system_random(key, KEY_BYTES) == TDM_OK)
			return TDM_OK;
		return tdm_fail(b->error, TDM_EIO, "%s: the system gave no random key", b->where);
	}
	char where[256];
	struct tdm_bytes data;
	snprintf(where, sizeof where, "%s: key", b->where);
	int status = tdm_secret_read(where, b->folder, from, SECRET_LIMIT_BYTES, &data, b->error);
	if (status == TDM_OK && data.len < 16)
		status = tdm_fail(b->error, TDM_ECONFIG, "%s: expected at least 16 bytes", where);
	if (status == TDM_OK)
		tdm_sha256(data.data, data.len, key);
	tdm_secret_wipe(&data);
	return status;
}

static int read_deny(const struct tdm_build *b, const struct tdm_strings *deny, struct tdm_dictionary *out) {
	struct tdm_view view;
	int status = TDM_OK;
	for (size_t i = 0; i < deny->n && status == TDM_OK; i++) {
		status = tdm_view_make(b->arena, deny->items[i], strlen(deny->items[i]), true, &view, b->error);
		if (status == TDM_OK && view.n < 3)
			status = tdm_fail(b->error, TDM_ECONFIG, "%s: deny: item %zu has fewer than 3 characters", b->where, i + 1);
		if (status == TDM_OK)
			status = tdm_dictionary_add(out, b->arena, tdm_entity_deny, view.text, view.n);
	}
	if (status == TDM_OK)
		status = tdm_dictionary_build(out, b->arena);
	return status == TDM_OK ? TDM_OK : tdm_fail(b->error, status, "%s: no memory for the deny list", b->where);
}

static int make_scanner(const struct tdm_build *b, const struct tdm_strings *own, struct tdm_scanner **out) {
	struct tdm_error why = {0};
	int status = tdm_scanner_new(own->items, own->n, out, &why);
	return status == TDM_OK ? TDM_OK : tdm_fail(b->error, status, "%s: patterns: %s", b->where, why.text);
}

static const struct tdm_model_ops ops = {.generate = generate, .embed_all = embed, .destroy = destroy};

static int create(const struct tdm_build *b, const void *options, struct tdm_model **out) {
	struct mask *m = tdm_build_model(b, sizeof *m, &ops, 0);
	if (!m)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	memcpy(&m->options, options, sizeof m->options);
	m->inner = tdm_build_role(b, "inner");
	m->model.can = m->inner->can & (TDM_CAN_TEXT | TDM_CAN_TOOLS | TDM_CAN_EMBED);
	if (!m->model.can)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: inner: %s needs TEXT or EMBED", b->where, m->inner->name);
	int status = read_key(b, m->options.key, m->key);
	if (status == TDM_OK)
		status = read_deny(b, &m->options.deny, &m->detector.deny);
	m->detector.allow = m->options.allow;
	if (status == TDM_OK)
		status = make_scanner(b, &m->options.patterns, &m->detector.scanner);
	if (status == TDM_OK)
		*out = &m->model;
	return status;
}

static const struct tdm_role roles[] = {
    {"inner", 0, 1, 1, "the model that sees tokens instead of private values"},
};

static const struct tdm_option rows[] = {
    {.name = "level",
     .type = TDM_OPT_INT,
     .offset = offsetof(struct options, level),
     .standard = "1",
     .min = 0,
     .max = 3,
     .help = "what is hidden: 0 nothing, 1 secrets and hard identifiers (numbers of cards, accounts, people and "
             "firms), 2 also contacts (e-mail, phone, IP); 3 as 2: "
             "names and places are not recognised"},
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
    {.name = "deny",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, deny),
     .help = "exact strings that never leave (project names, customers)"},
    {.name = "patterns",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, patterns),
     .help = "regular expressions of what never leaves (numbers of customers), in any letter case"},
    {.name = "allow",
     .type = TDM_OPT_LIST,
     .offset = offsetof(struct options, allow),
     .help = "exact strings that recognisers and patterns leave alone (test numbers, an address of your own)"},
    {.name = "key",
     .type = TDM_OPT_STRING,
     .offset = offsetof(struct options, key),
     .help = "\"env:NAME\" or \"file:PATH\" of the key tokens are made with; default: a random one per process"},
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
