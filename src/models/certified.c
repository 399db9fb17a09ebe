#include "models/certified.h"
#include "assure/labels.h"
#include "assure/monitor.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "models/answer.h"
#include "models/collect.h"
#include "models/gate.h"
#include "models/identity.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_LIMIT_BYTES ((size_t)4 << 20)

struct tdm_certified {
	const struct tdm_certified *next; // of the same model
	struct tdm_certificate c;
	struct tdm_under held, broken;
	double threshold;
	const struct tdm_model *by; // whose answers are audited
	bool is_promised;           // there is a certificate, and not only audits
	const char *suspended;      // path of the file that suspends it
	double share;               // of requests that are audited
	pthread_mutex_t lock;       // guards monitor
	struct tdm_monitor monitor;
	atomic_bool alarmed;
};

static const char *path_of(const struct tdm_build *b, const char *file) {
	return file[0] == '/' || !b->folder ? tdm_arena_string(b->arena, file)
	                                    : tdm_arena_printf(b->arena, "%s/%s", b->folder, file);
}

// What has changed since it was certified; NULL = nothing.
static const char *changed(const struct tdm_certificate *c, const struct tdm_identity *now, const char *name) {
	if (strcmp(c->subject, name) != 0)
		return "name of the model";
	if (strcmp(c->models, now->models) != 0)
		return "models";
	if (strcmp(c->prompts, now->prompts) != 0)
		return "prompts";
	if (strcmp(c->gate, now->gate) != 0)
		return "settings of the gate";
	if (strcmp(c->config, now->config) != 0)
		return "settings";
	return strcmp(c->code, now->code) != 0 ? "program" : NULL;
}

static bool is_over(const struct tdm_certificate *c) {
	char now[TDM_TIME_BYTES];
	tdm_certificate_time(tdm_wall_us(), now);
	return strcmp(now, c->expires) >= 0;
}

// What it was found with is what there is.
static int compare(const struct tdm_build *b, const struct tdm_model *m, const char *file, const char *signer,
                   const struct tdm_certified *c) {
	struct tdm_identity now;
	int status = tdm_identity_of(b->arena, m, b->folder, b->embedded, &now, b->error);
	if (status)
		return status;
	const char *what = changed(&c->c, &now, b->name);
	if (what)
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: the %s changed since the certificate %s was made: certify again, or run without it",
		                b->where, what, file);
	if (signer && strcmp(signer, c->c.key) != 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s is not signed by the signer that is set",
		                b->where, file);
	return TDM_OK;
}

static int check(const struct tdm_build *b, const char *file, struct tdm_certified *c) {
	if (!strcmp(c->c.lambda, "inf"))
		c->threshold = INFINITY;
	else if (!tdm_labels_number(c->c.lambda, strlen(c->c.lambda), &c->threshold))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s has no threshold", b->where, file);
	if (is_over(&c->c))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s was in force until %s: certify again", b->where,
		                file, c->c.expires);
	if (access(c->suspended, F_OK) == 0)
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s is suspended: its promise was broken (%s)",
		                b->where, file, c->suspended);
	return TDM_OK;
}

static int load(const struct tdm_build *b, const char *file, struct tdm_certified *c) {
	struct tdm_bytes text;
	const char *path = path_of(b, file);
	c->suspended = path ? tdm_arena_printf(b->arena, "%s.suspended", path) : NULL;
	if (!c->suspended)
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	int status = tdm_file_read(path, TDM_CERTIFICATE_LIMIT_BYTES, &text, b->error);
	if (status)
		return status;
	status = tdm_certificate_read(b->arena, path, text.data ? text.data : "", text.len, &c->c, b->error);
	tdm_bytes_release(&text);
	return status;
}

int tdm_certified_add(const struct tdm_build *b, struct tdm_model *m, const char *file, const char *signer,
                      struct tdm_certified **out) {
	struct tdm_certified *c = tdm_arena_alloc(b->arena, sizeof *c);
	int status = c ? load(b, file, c) : tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	if (!status)
		status = compare(b, m, file, signer, c);
	if (status)
		return status;
	c->threshold = (double)NAN;
	c->held = c->broken = (struct tdm_under){c->c.id, c->c.epsilon, c->c.delta, true, NULL};
	c->broken.held = false;
	c->is_promised = true;
	c->next = m->certified;
	m->certified = *out = c;
	return TDM_OK;
}

int tdm_certified_open(const struct tdm_build *b, struct tdm_model *m, const char *file, const char *signer,
                       struct tdm_certified **out) {
	*out = NULL;
	if (!file)
		return TDM_OK;
	int status = tdm_certified_add(b, m, file, signer, out);
	return status ? status : check(b, file, *out);
}

const struct tdm_certified *tdm_certified_next(const struct tdm_certified *c) {
	return c->next;
}

void tdm_certified_mark(const struct tdm_certified *c, struct tdm_run *run, bool held) {
	tdm_record_certificate(run->record, held ? &c->held : &c->broken);
}

const struct tdm_certificate *tdm_certified_of(const struct tdm_certified *c) {
	return &c->c;
}

const char *tdm_certified_state(const struct tdm_certified *c) {
	if (is_over(&c->c))
		return "expired";
	return atomic_load(&c->alarmed) || access(c->suspended, F_OK) == 0 ? "suspended" : "valid";
}

double tdm_certified_threshold(const struct tdm_certified *c) {
	return c->threshold;
}

bool tdm_certified_holds(const struct tdm_certified *c, struct tdm_run *run) {
	if (!c || !c->is_promised)
		return true;
	const char *state = tdm_certified_state(c);
	bool over = !strcmp(state, "expired"), held = !strcmp(state, "valid");
	tdm_certified_mark(c, run, held);
	if (!held)
		tdm_record_warn(run->record, over ? "certificate_expired" : "certificate_suspended", NULL,
		                over ? "the certificate is over: nothing stays on the small model"
		                     : "the certificate is suspended: nothing stays on the small model");
	return held;
}

int tdm_certified_watch(const struct tdm_build *b, const struct tdm_model *m, double share,
                        struct tdm_certified **out) {
	struct tdm_certified *c = *out;
	double epsilon, delta;
	if (share <= 0)
		return TDM_OK;
	if (!c && !(c = tdm_arena_alloc(b->arena, sizeof *c)))
		return tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	*out = c;
	c->by = m;
	c->share = share;
	if (!c->is_promised)
		return TDM_OK;
	if (strcmp(c->c.loss, "differs") != 0 || strcmp(c->c.risk, "joint") != 0 ||
	    !tdm_labels_number(c->c.epsilon, strlen(c->c.epsilon), &epsilon) ||
	    !tdm_labels_number(c->c.delta, strlen(c->c.delta), &delta))
		return tdm_fail(b->error, TDM_ECONFIG,
		                "%s: audit compares answers: expected a certificate of the joint risk whose loss is differs",
		                b->where);
	pthread_mutex_init(&c->lock, NULL);
	tdm_monitor_init(&c->monitor, epsilon, delta);
	return TDM_OK;
}

bool tdm_certified_toss(double share) {
	uint64_t bits = 0;
	return share >= 1 || (tdm_system_random(&bits, sizeof bits) == TDM_OK && (double)(bits >> 11) * 0x1p-53 < share);
}

static void suspend(struct tdm_certified *c) {
	char text[200];
	struct tdm_error unused = {0};
	int n = snprintf(text, sizeof text, "%s suspended: anytime-valid p %.3g after %llu audited requests\n", c->c.id,
	                 tdm_monitor_pvalue(&c->monitor), (unsigned long long)c->monitor.n);
	atomic_store(&c->alarmed, true); // in force here also where the file cannot be written
	tdm_file_write(c->suspended, text, (size_t)n, &unused);
}

void tdm_certified_note(struct tdm_certified *c, double loss) {
	if (!c || !c->is_promised || c->share <= 0)
		return;
	pthread_mutex_lock(&c->lock);
	bool before = c->monitor.alarmed;
	if (tdm_monitor_add(&c->monitor, loss) && !before)
		suspend(c);
	pthread_mutex_unlock(&c->lock);
}

void tdm_certified_audit(struct tdm_certified *c, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_model *large, const struct tdm_bytes *text) {
	struct tdm_collect said;
	struct tdm_result result;
	struct tdm_request asked = *request;
	if (!c || !tdm_certified_toss(c->share))
		return;
	if (!text) {
		tdm_certified_note(c, 0);
		return;
	}
	asked.purpose = "judge";
	asked.logprobs = false;
	tdm_collect_init(&said, TEXT_LIMIT_BYTES, NULL, NULL);
	int status = tdm_generate(large, run, &asked, &said.sink, &result);
	if (status == TDM_OK) {
		bool same = tdm_answer_same(text->data ? text->data : "", text->len, said.text.data ? said.text.data : "",
		                            said.text.len, TDM_ANSWER_TEXT);
		tdm_gate_record(run, c->by, same ? "agrees" : "differs", "audit", same, (double)NAN, NULL);
		tdm_certified_note(c, !same);
	} else
		tdm_record_warn(run->record, "audit_failed", NULL, "the large model did not answer the audit");
	tdm_error_clear(&run->error); // the answer was given
	tdm_collect_release(&said);
}

int tdm_certified_generate(struct tdm_certified *c, struct tdm_model *chosen, struct tdm_model *large,
                           struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                           struct tdm_result *result) {
	struct tdm_collect heard;
	if (!c || c->share <= 0)
		return tdm_generate(chosen, run, request, sink, result);
	tdm_collect_init(&heard, TEXT_LIMIT_BYTES, sink, NULL);
	int status = tdm_generate(chosen, run, request, &heard.sink, result);
	if (status == TDM_OK)
		tdm_certified_audit(c, run, request, large, chosen == large ? NULL : &heard.text);
	tdm_collect_release(&heard);
	return status;
}
