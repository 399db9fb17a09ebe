// Plain: the life of a request that answers with one object. The rule it protects: these endpoints pass by the same
// objective, masks, guards, record and ledger as those that write text.
#include "serve/formats/plain.h"
#include "models/promise.h"
#include <string.h>

#define ANSWER_LIMIT_BYTES ((size_t)512 << 20)

static int read_request(struct tdm_plain *p, const struct tdm_plain_kind *kind) {
	struct tdm_value *body;
	int status = tdm_read_body(p->c, &body, &p->run.error);
	if (status)
		return status;
	tdm_objective_init(&p->objective);
	if (body->type != TDM_MAP)
		return tdm_fail(&p->run.error, TDM_EVALUE, "the body: expected a JSON object, got %s",
		                tdm_type_name(body->type));
	p->body = body;
	p->reader = (struct tdm_reader){p->c->arena, p->run.record, &p->run.error};
	const struct tdm_value *model = tdm_get(body, "model");
	if (model && model->type != TDM_STRING)
		return tdm_reader_wrong(&p->reader, "model", "a string", model);
	p->name = model && model->len ? model->text : NULL;
	status = kind->read(p);
	if (!status)
		status = tdm_objective_read(tdm_get(body, "tandem"), &p->objective, &p->run.error);
	return status ? status : tdm_entry_wishes(p->c, &p->objective, &p->run.error);
}

// Whether the model may be asked for these texts. Nothing is written, so the longest answer is one token.
static int check_objective(struct tdm_plain *p) {
	struct tdm_request request;
	struct tdm_message *messages = tdm_arena_array(p->c->arena, (size_t)p->texts.n + 1, sizeof *messages);
	if (!messages)
		return tdm_fail(&p->run.error, TDM_ENOMEM, "the request does not fit its memory limit");
	tdm_request_init(&request);
	for (int i = 0; i < p->texts.n; i++)
		messages[i] = p->texts.items[i].message;
	request.messages = messages;
	request.n_messages = (size_t)p->texts.n;
	request.max_tokens = 1;
	return tdm_check_objective(p->model, &request, &p->run);
}

static int64_t tokens_of(const struct tdm_record *r) {
	int64_t n = 0;
	for (const struct tdm_call *call = r->calls; call; call = call->next)
		n += strcmp(call->status, "ok") == 0 ? call->prompt_tokens : 0;
	return n;
}

static void reply(struct tdm_plain *p, const char *receipt) {
	struct tdm_record *r = p->run.record;
	long long tokens = (long long)tokens_of(r);
	if (p->has_usage)
		tdm_bytes_printf(&p->answer, ",\"usage\":{\"prompt_tokens\":%lld,\"total_tokens\":%lld}", tokens, tokens);
	tdm_put_receipt(&p->answer, receipt);
	tdm_bytes_putc(&p->answer, '}');
	tdm_entry_commit(p->c, r, r->served);
	tdm_entry_figures(p->c, r);
	tdm_reply_json(p->c, &p->answer);
}

void tdm_plain_handle(struct tdm_call_context *c, const struct tdm_plain_kind *kind) {
	struct tdm_plain p = {.c = c};
	if (tdm_entry_begin(c, &p.run, kind->endpoint))
		return;
	tdm_bytes_init(&p.answer, ANSWER_LIMIT_BYTES);
	int status = read_request(&p, kind);
	if (!status)
		status = tdm_entry_aim(c, &p.run, p.name, &p.objective, &p.model);
	if (!status)
		status = check_objective(&p);
	if (!status)
		status = kind->work(&p);
	if (!status && p.answer.failed)
		status = tdm_fail(&p.run.error, TDM_ENOMEM, "the answer does not fit its memory limit");
	struct tdm_run_end end = {.status = status, .finish = TDM_FINISH_STOP, .prompt_tokens = tokens_of(p.run.record)};
	status = tdm_entry_close(c, &p.run, end, p.answer.data, status ? 0 : p.answer.len);
	const char *receipt = tdm_entry_receipt(c, p.run.record);
	if (status) {
		c->error = p.run.error;
		c->error.status = status;
		tdm_reply_error(c, receipt);
	} else {
		reply(&p, receipt);
	}
	tdm_bytes_release(&p.answer);
}
