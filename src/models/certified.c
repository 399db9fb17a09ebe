#include "models/certified.h"
#include "assure/certificate.h"
#include "assure/labels.h"
#include "base/clock.h"
#include "base/file.h"
#include "models/identity.h"
#include <string.h>
#include <unistd.h>

struct tdm_certified {
	struct tdm_certificate c;
	struct tdm_under held, broken;
	double threshold;
	const char *suspended; // path of the file that suspends it
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

static int check(const struct tdm_build *b, const struct tdm_model *m, const char *file, const char *signer,
                 struct tdm_certified *c) {
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
	if (status)
		return status;
	if (!strcmp(c->c.lambda, "inf"))
		c->threshold = INFINITY;
	else if (!tdm_labels_number(c->c.lambda, strlen(c->c.lambda), &c->threshold))
		return tdm_fail(b->error, TDM_ECONFIG, "%s: the certificate %s has no threshold", b->where, file);
	return TDM_OK;
}

int tdm_certified_open(const struct tdm_build *b, const struct tdm_model *m, const char *file, const char *signer,
                       struct tdm_certified **out) {
	*out = NULL;
	if (!file)
		return TDM_OK;
	struct tdm_certified *c = tdm_arena_alloc(b->arena, sizeof *c);
	int status = c ? load(b, file, c) : tdm_fail(b->error, TDM_ENOMEM, "%s: out of memory", b->where);
	if (!status)
		status = check(b, m, file, signer, c);
	if (status)
		return status;
	c->held = c->broken = (struct tdm_under){c->c.id, c->c.epsilon, c->c.delta, true, NULL};
	c->broken.held = false;
	*out = c;
	return TDM_OK;
}

double tdm_certified_threshold(const struct tdm_certified *c) {
	return c->threshold;
}

bool tdm_certified_holds(const struct tdm_certified *c, struct tdm_run *run) {
	if (!c)
		return true;
	bool over = is_over(&c->c), held = !over && access(c->suspended, F_OK) != 0;
	tdm_record_certificate(run->record, held ? &c->held : &c->broken);
	if (!held)
		tdm_record_warn(run->record, over ? "certificate_expired" : "certificate_suspended", NULL,
		                over ? "the certificate is over: nothing stays on the small model"
		                     : "the certificate is suspended: nothing stays on the small model");
	return held;
}
