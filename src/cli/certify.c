// `tandem certify`: a labelled table made into a signed certificate; the same found again from one; how many items a
// promise needs; whether audited answers still keep it.
#include "assure/issue.h"
#include "assure/monitor.h"
#include "assure/plan.h"
#include "base/clock.h"
#include "base/decimal.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/signing.h"
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TABLE_LIMIT_BYTES ((size_t)1 << 30)

struct options {
	const char *config, *model, *epsilon, *delta, *loss, *loss_source, *key, *out, *verify, *monitor;
	int risk, bound, procedure, groups;
	int64_t starts, steps, seed, days, issued;
	double from, to, share, power;
	bool plan;
};

#define AT(field) offsetof(struct options, field)
static const struct tdm_option options[] = {
    {"config", TDM_OPT_STRING, AT(config), NULL, 0, 0, NULL, "settings file of the model"},
    {"model", TDM_OPT_STRING, AT(model), NULL, 0, 0, NULL,
     "the model that the threshold is for; without it no model can run under the certificate"},
    {"epsilon", TDM_OPT_STRING, AT(epsilon), "0.05", 0, 0, NULL, "the risk that is promised"},
    {"delta", TDM_OPT_STRING, AT(delta), "0.05", 0, 0, NULL, "how often such a promise may be wrong"},
    {"risk", TDM_OPT_CHOICE, AT(risk), "joint", 0, 0, TDM_RISK_CHOICES,
     "of all requests, among the kept ones, of the bad ones, or of all with gains as negative losses"},
    {"bound", TDM_OPT_CHOICE, AT(bound), "auto", 0, 0, TDM_BOUND_CHOICES "|auto",
     "auto: binomial for losses of 0 and 1, betting for graded ones"},
    {"procedure", TDM_OPT_CHOICE, AT(procedure), "fixed_sequence", 0, 0, TDM_PROCEDURE_CHOICES,
     "which thresholds are tested"},
    {"groups", TDM_OPT_CHOICE, AT(groups), "marginal", 0, 0, "marginal|each",
     "for all requests together, or for each group of the column group"},
    {"starts", TDM_OPT_INT, AT(starts), "1", 1, 1000, NULL, "sequences of multi_start"},
    {"from", TDM_OPT_NUMBER, AT(from), "1", 0, 0, NULL, "strictest threshold; chosen before labels are seen"},
    {"to", TDM_OPT_NUMBER, AT(to), "0", 0, 0, NULL, "most permissive threshold"},
    {"steps", TDM_OPT_INT, AT(steps), "100", 1, 100000, NULL, "equal steps between them"},
    {"seed", TDM_OPT_INT, AT(seed), "1", 0, 9e15, NULL, "of the order of the items"},
    {"days", TDM_OPT_INT, AT(days), "30", 1, 36500, NULL, "how long it is in force"},
    {"issued", TDM_OPT_INT, AT(issued), "0", 0, 9e11, NULL, "seconds since 1970 to write as its time; 0 = now"},
    {"loss", TDM_OPT_STRING, AT(loss), "small_bad_and_large_good", 0, 0, NULL, "what a loss is, for readers"},
    {"loss_source", TDM_OPT_STRING, AT(loss_source), "exact_match", 0, 0, NULL, "exact_match, human, or judge:HASH"},
    {"key", TDM_OPT_STRING, AT(key), NULL, 0, 0, NULL, "file of the signing key; made when it is not there"},
    {"out", TDM_OPT_STRING, AT(out), NULL, 0, 0, NULL, "file to write; standard output if none"},
    {"verify", TDM_OPT_STRING, AT(verify), NULL, 0, 0, NULL, "certificate to check, and to find again from the table"},
    {"monitor", TDM_OPT_STRING, AT(monitor), NULL, 0, 0, NULL,
     "certificate whose promise the table's audited losses (column loss, in order) are held against"},
    {"plan", TDM_OPT_BOOL, AT(plan), "no", 0, 0, NULL, "only how many items the promise needs; no table"},
    {"share", TDM_OPT_NUMBER, AT(share), "0.5", 0.001, 0.999, NULL, "the true risk, as a share of epsilon (plan)"},
    {"power", TDM_OPT_NUMBER, AT(power), "0.9", 0.01, 0.999, NULL, "probability of success (plan)"},
};

static int read_operand(const struct tdm_command_call *call, struct tdm_bytes *text) {
	if (call->n_operands != 1)
		return tdm_fail(call->error, TDM_EVALUE, "tandem certify: expected one table, a file");
	return tdm_file_read(call->operands[0], TABLE_LIMIT_BYTES, text, call->error);
}

// --- making one

static int identify(const struct tdm_command_call *call, struct tdm_issue *issue) {
	const struct options *o = call->options;
	struct tdm_identity of;
	struct tdm_app app;
	struct tdm_model *model = NULL;
	if (!o->model) {
		issue->subject = issue->prompts = issue->gate = issue->config = issue->code = "";
		issue->models = "{}";
		return TDM_OK;
	}
	int status = tdm_app_open(call->arena, o->config, &app, call->error);
	if (status)
		return status;
	status = tdm_app_model(&app, o->model, &model, call->error);
	if (!status)
		status = tdm_signing_identity(call->arena, &app, model, &of, call->error);
	if (!status) {
		issue->subject = o->model;
		issue->models = of.models;
		issue->prompts = of.prompts;
		issue->gate = of.gate;
		issue->config = of.config;
		issue->code = of.code;
	}
	tdm_app_close(&app);
	return status;
}

static void tell(const struct tdm_certificate *c) {
	fprintf(stderr, "%s\n%" PRId64 " items (%" PRId64 " left out: they occur again), bound %s, %s\n", c->claim, c->n,
	        c->duplicates, c->bound, c->procedure);
	if (!strcmp(c->lambda, "inf"))
		fprintf(stderr, "no threshold is shown to keep it: everything goes to the large model\n");
	else
		fprintf(stderr,
		        "threshold %s: %s of the items stay local, %" PRId64 " of them with a loss; p %s, risk at most %s\n",
		        c->lambda, c->share_local, c->k, c->p_value, c->upper);
}

static int write_out(const struct tdm_command_call *call, const struct tdm_bytes *file) {
	const struct options *o = call->options;
	if (o->out)
		return tdm_file_write(o->out, file->data, file->len, call->error);
	return fwrite(file->data, 1, file->len, stdout) == file->len && !fflush(stdout)
	           ? TDM_OK
	           : tdm_fail(call->error, TDM_EIO, "tandem certify: cannot write: %s", strerror(errno));
}

static int sign(const struct tdm_command_call *call, struct tdm_certificate *c) {
	const struct options *o = call->options;
	uint8_t key[TDM_ED25519_KEY_BYTES];
	struct tdm_bytes file;
	tdm_bytes_init(&file, TDM_CERTIFICATE_LIMIT_BYTES);
	int status = tdm_signing_key("certify", o->key, key, call->error);
	if (!status)
		status = tdm_certificate_seal(call->arena, c, key, &file, call->error);
	if (!status)
		status = write_out(call, &file);
	if (!status)
		fprintf(stderr, "%s, signed by %s\n", c->id, c->key);
	tdm_wipe(key, sizeof key);
	tdm_bytes_release(&file);
	return status;
}

static int issue(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	struct tdm_issue issue = {.epsilon = o->epsilon, .delta = o->delta, .from = o->from, .to = o->to};
	struct tdm_labels table;
	struct tdm_bytes text;
	struct tdm_certificate c;
	issue.risk = (enum tdm_risk)o->risk;
	issue.bound = (enum tdm_bound)o->bound;
	issue.procedure = (enum tdm_procedure)o->procedure;
	issue.each_group = o->groups == 1;
	issue.starts = o->starts;
	issue.steps = o->steps;
	issue.seed = (uint64_t)o->seed;
	issue.days = o->days;
	issue.loss = o->loss;
	issue.loss_source = o->loss_source;
	issue.issued_us = o->issued ? o->issued * 1000000 : tdm_wall_us();
	int status = read_operand(call, &text);
	if (status)
		return status;
	status = tdm_labels_read(call->arena, call->operands[0], text.data ? text.data : "", text.len, issue.seed, &table,
	                         call->error);
	tdm_bytes_release(&text);
	if (!status)
		status = identify(call, &issue);
	if (!status)
		status = tdm_issue_certificate(call->arena, &issue, &table, &c, call->error);
	if (status)
		return status;
	tell(&c);
	return sign(call, &c);
}

// --- checking one

static int read_certificate(const struct tdm_command_call *call, const char *path, struct tdm_certificate *c) {
	struct tdm_bytes text;
	int status = tdm_file_read(path, TDM_CERTIFICATE_LIMIT_BYTES, &text, call->error);
	if (status)
		return status;
	status = tdm_certificate_read(call->arena, path, text.data ? text.data : "", text.len, c, call->error);
	tdm_bytes_release(&text);
	return status;
}

// What the table gives is what the certificate says, field by field.
static int compare(const struct tdm_certificate *says, const struct tdm_certificate *is, const char *path,
                   struct tdm_error *err) {
	const char *const pairs[][3] = {
	    {"data_hash", says->data_hash, is->data_hash},
	    {"order_hash", says->order_hash, is->order_hash},
	    {"grid_hash", says->grid_hash, is->grid_hash},
	    {"lambda", says->lambda, is->lambda},
	    {"p_value", says->p_value, is->p_value},
	    {"upper", says->upper, is->upper},
	    {"share_local", says->share_local, is->share_local},
	    {"reliability", says->reliability, is->reliability},
	};
	for (size_t i = 0; i < TDM_COUNT(pairs); i++)
		if (strcmp(pairs[i][1], pairs[i][2]) != 0)
			return tdm_fail(err, TDM_EVALUE, "%s: %s is %.80s in the certificate and %.80s from the table", path,
			                pairs[i][0], pairs[i][1], pairs[i][2]);
	if (says->n != is->n || says->k != is->k || says->duplicates != is->duplicates)
		return tdm_fail(err, TDM_EVALUE, "%s: the counts of the certificate are not those of the table", path);
	return TDM_OK;
}

static int find_again(const struct tdm_command_call *call, const char *path, const struct tdm_certificate *says) {
	struct tdm_issue issue;
	struct tdm_labels table;
	struct tdm_bytes text;
	struct tdm_certificate is;
	int status = tdm_issue_again(says, &issue, call->error);
	if (!status)
		status = read_operand(call, &text);
	if (status)
		return status;
	status = tdm_labels_read(call->arena, call->operands[0], text.data ? text.data : "", text.len, issue.seed, &table,
	                         call->error);
	tdm_bytes_release(&text);
	if (!status)
		status = tdm_issue_certificate(call->arena, &issue, &table, &is, call->error);
	return status ? status : compare(says, &is, path, call->error);
}

static int verify(const struct tdm_command_call *call, const char *path) {
	struct tdm_certificate c;
	char now[TDM_TIME_BYTES];
	int status = read_certificate(call, path, &c);
	if (!status && call->n_operands)
		status = find_again(call, path, &c);
	if (status)
		return status;
	tdm_certificate_time(tdm_wall_us(), now);
	const char *suspended = tdm_arena_printf(call->arena, "%s.suspended", path);
	const char *state = suspended && access(suspended, F_OK) == 0 ? "suspended"
	                    : strcmp(now, c.expires) >= 0             ? "expired"
	                                                              : "valid";
	printf("%s is as it was signed by %s\n", c.id, c.key);
	if (call->n_operands)
		printf("p %s, threshold %s: found again from %s\n", c.p_value, c.lambda, call->operands[0]);
	printf("%s, in force from %s to %s\n", state, c.issued, c.expires);
	return TDM_OK;
}

// --- watching one

static int suspend(const struct tdm_command_call *call, const char *path, const char *id, const struct tdm_monitor *m) {
	char text[200];
	const char *name = tdm_arena_printf(call->arena, "%s.suspended", path);
	int n = snprintf(text, sizeof text, "%s suspended: anytime-valid p %.3g after %" PRIu64 " audited items\n", id,
	                 tdm_monitor_pvalue(m), m->n);
	int status = name ? tdm_file_write(name, text, (size_t)n, call->error) : TDM_ENOMEM;
	return tdm_fail(call->error, status ? status : TDM_EVALUE, "%s: the promise is broken: %.*s", path, n - 1, text);
}

static int watch(const struct tdm_command_call *call, const char *path) {
	struct tdm_certificate c;
	struct tdm_bytes text;
	struct tdm_monitor m;
	const double *loss = NULL;
	size_t n = 0;
	double epsilon, delta;
	int status = read_certificate(call, path, &c);
	if (!status && strcmp(c.risk, "joint") != 0)
		status = tdm_fail(call->error, TDM_EVALUE,
		                  "%s: audited answers show the joint risk, and it promises the %s one", path, c.risk);
	if (!status)
		status = read_operand(call, &text);
	if (status)
		return status;
	status =
	    tdm_labels_losses(call->arena, call->operands[0], text.data ? text.data : "", text.len, &loss, &n, call->error);
	tdm_bytes_release(&text);
	if (status)
		return status;
	if (!tdm_labels_number(c.epsilon, strlen(c.epsilon), &epsilon) ||
	    !tdm_labels_number(c.delta, strlen(c.delta), &delta))
		return tdm_fail(call->error, TDM_ECONFIG, "%s: epsilon or delta is no number", path);
	tdm_monitor_init(&m, epsilon, delta);
	for (size_t i = 0; i < n && !m.alarmed; i++)
		tdm_monitor_add(&m, loss[i]);
	if (m.alarmed)
		return suspend(call, path, c.id, &m);
	printf("%zu audited items: no sign that %s is broken (anytime-valid p %.3g, alarm at %s)\n", n, c.id,
	       tdm_monitor_pvalue(&m), c.delta);
	return TDM_OK;
}

// --- planning one

static int number_of(const char *text, const char *name, double *out, struct tdm_error *err) {
	if (tdm_labels_number(text, strlen(text), out))
		return TDM_OK;
	return tdm_fail(err, TDM_EVALUE, "tandem certify: %s is \"%.40s\", expected a number such as 0.05", name, text);
}

static int plan(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	static const enum tdm_bound bounds[] = {TDM_BOUND_BINOMIAL, TDM_BOUND_HB};
	double epsilon, delta;
	int status = number_of(o->epsilon, "epsilon", &epsilon, call->error);
	if (!status)
		status = number_of(o->delta, "delta", &delta, call->error);
	for (size_t i = 0; i < TDM_COUNT(bounds) && !status; i++) {
		struct tdm_plan plan;
		status = tdm_plan_items(bounds[i], epsilon, delta, o->share, o->power, &plan, call->error);
		if (!status)
			printf("%-9s epsilon %s, delta %s, true risk %g of epsilon: power %g from %" PRId64
			       " items, for good from %" PRId64 "\n",
			       tdm_bound_names[bounds[i]], o->epsilon, o->delta, o->share, o->power, plan.first, plan.safe);
	}
	return status;
}

static int run(const struct tdm_command_call *call) {
	const struct options *o = call->options;
	if (o->plan)
		return plan(call);
	if (o->verify)
		return verify(call, o->verify);
	return o->monitor ? watch(call, o->monitor) : issue(call);
}

const struct tdm_command tdm_command_certify = {
    .name = "certify",
    .summary = "a threshold with a signed promise, from a labelled table",
    .operands = "[TABLE]",
    .group = "measure",
    .options = options,
    .n_options = TDM_COUNT(options),
    .options_bytes = sizeof(struct options),
    .run = run,
};
