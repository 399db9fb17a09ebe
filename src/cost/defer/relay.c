#include "cost/defer/relay.h"
#include "base/clock.h"
#include "models/gate.h"
#include "models/local/joint.h"
#include "models/keeper.h"
#include "models/local/writer.h"
#include <string.h>

static struct tdm_relay_side *other(struct tdm_relay *r, const struct tdm_relay_side *side) {
	return &r->sides[side == &r->sides[TDM_RELAY_SMALL] ? TDM_RELAY_LARGE : TDM_RELAY_SMALL];
}

// --- a side that fails

// The side is out with the error of the run. The other one goes on, unless the run itself is over or it is out too.
// Where the small one's context ends, so does the answer, as it would with that model alone.
static void put_out(struct tdm_relay *r, struct tdm_relay_side *side, int status) {
	const struct tdm_relay_side *rest = other(r, side);
	side->status = status;
	if (side->is_full && (side == &r->sides[TDM_RELAY_SMALL] || rest->status != TDM_OK)) {
		tdm_error_clear(&r->run->error); // no fault: the answer is as long as it can be
		r->fatal = TDM_SINK_ENOUGH;
		return;
	}
	if (!tdm_gate_may_replace(status) || rest->status != TDM_OK) {
		r->fatal = status;
		return;
	}
	const char *code = tdm_status_info(status)->code;
	char *text = tdm_arena_printf(r->run->record->arena, "model %s is out (%s): model %s writes the rest",
	                              side->model->name, code, rest->model->name);
	tdm_record_warn(r->run->record, "model_out", side->model->name, text ? text : code);
	tdm_error_clear(&r->run->error);
}

bool tdm_relay_is_in(const struct tdm_relay *r, enum tdm_relay_who who) {
	return r->sides[who].status == TDM_OK;
}

// --- reading

static int read_prompt(struct tdm_relay *r, struct tdm_relay_side *side) {
	int64_t start_us = tdm_now_us();
	int status = side->session->ops->prompt(side->session, r->run, r->asked, NULL);
	side->us += tdm_now_us() - start_us;
	side->passes++;
	side->is_prompted = status == TDM_OK;
	return status;
}

static int64_t count_by(const struct tdm_relay *r, int from, int to, int large) {
	int64_t n = 0;
	for (int i = from; i < to; i++)
		n += r->by_large[i] == large;
	return n;
}

static int read_tokens(struct tdm_relay *r, struct tdm_relay_side *side, int n) {
	struct tdm_session *s = side->session;
	int64_t start_us = tdm_now_us();
	side->is_full = s->prompt_tokens + n > s->context;
	if (side->is_full)
		return tdm_fail(&r->run->error, TDM_ECONTEXT, "model %s: its context holds %d tokens, the answer needs more",
		                side->model->name, s->context);
	int status = s->ops->eval(s, r->run, r->tokens + side->seen, NULL, n - side->seen);
	side->us += tdm_now_us() - start_us;
	side->passes++;
	if (status != TDM_OK)
		return status;
	int64_t strange = count_by(r, side->seen, n, side == &r->sides[TDM_RELAY_SMALL]);
	side->filled += strange;
	side->fills += strange > 0;
	side->row = n - side->seen - 1;
	side->seen = n;
	return TDM_OK;
}

bool tdm_relay_read(struct tdm_relay *r, enum tdm_relay_who who, int n) {
	struct tdm_relay_side *side = &r->sides[who];
	if (side->status != TDM_OK)
		return false;
	int status = side->is_prompted ? TDM_OK : read_prompt(r, side);
	if (status == TDM_OK && n > side->seen)
		status = read_tokens(r, side, n);
	if (status != TDM_OK)
		put_out(r, side, status);
	return status == TDM_OK;
}

const float *tdm_relay_row(struct tdm_relay *r, enum tdm_relay_who who) {
	const struct tdm_relay_side *side = &r->sides[who];
	return tdm_relay_read(r, who, r->n) ? side->session->ops->logits(side->session, side->row) : NULL;
}

int tdm_relay_rewind(struct tdm_relay *r, int n) {
	int status = TDM_OK;
	r->n = n;
	for (int i = 0; i < 2 && status == TDM_OK; i++) {
		struct tdm_relay_side *side = &r->sides[i];
		if (side->seen <= n || side->status != TDM_OK)
			continue;
		status = side->session->ops->rewind(side->session, side->session->prompt_tokens + n);
		side->seen = n;
		side->row = -1;
	}
	return status;
}

// --- writing

const float *tdm_relay_keep_form(struct tdm_relay *r, const float *row) {
	const float *kept = tdm_keeper_row(r->keeper, r->tokens, r->n, row);
	if (!kept)
		r->fatal = r->run->error.status;
	return kept;
}

int32_t tdm_relay_choose(struct tdm_relay *r, enum tdm_relay_who who, const float *row) {
	struct tdm_relay_side *side = &r->sides[who];
	const float *kept = tdm_relay_keep_form(r, row);
	if (!kept)
		return -1;
	int32_t token = tdm_joint_choose(&side->sampling, kept, r->n_vocab, r->tokens, r->n, r->probs, &side->rng);
	r->by_large[r->n] = who == TDM_RELAY_LARGE;
	r->tokens[r->n++] = token;
	return token;
}

int tdm_relay_send(struct tdm_relay *r, const float *row) {
	int at = r->n_written++;
	struct tdm_relay_side *side = &r->sides[r->by_large[at]];
	if (at > 0)
		r->switches += r->by_large[at] != r->by_large[at - 1];
	side->wrote += !side->session->ops->is_end(side->session, r->tokens[at]);
	int status = tdm_writer_token(r->writer, r->tokens[at], row, side->model->name);
	if (status == TDM_OK)
		status = tdm_run_check(r->run);
	return status == TDM_OK && r->n_written >= r->cap ? TDM_SINK_ENOUGH : status;
}

// --- the two sessions

static void open_side(struct tdm_relay *r, struct tdm_relay_side *side) {
	int status = side->model->ops->open(side->model, r->run, &side->session);
	if (status != TDM_OK) {
		side->session = NULL;
		put_out(r, side, status);
		return;
	}
	side->sampling = tdm_joint_sampling(r->asked, side->session);
	tdm_rng_stream(&side->rng, r->run->seed, side->model->name, r->asked->draw);
}

static int allocate(struct tdm_relay *r, struct tdm_session *leader, struct tdm_sink *sink) {
	struct tdm_arena *arena = r->run->arena;
	for (int i = 0; i < 2; i++) {
		const struct tdm_session *s = r->sides[i].session;
		if (s && s->context + 1 > r->cap)
			r->cap = s->context + 1; // the last token need not be read
	}
	r->n_vocab = leader->n_vocab;
	r->request = tdm_joint_request(r->asked, leader);
	r->tokens = tdm_arena_array(arena, (size_t)r->cap, sizeof *r->tokens);
	r->by_large = tdm_arena_alloc(arena, (size_t)r->cap);
	r->probs = tdm_arena_array(arena, (size_t)r->n_vocab, sizeof *r->probs);
	r->writer = tdm_writer_new(r->run, &r->request, leader, sink, r->by->name);
	if (r->tokens && r->by_large && r->probs && r->writer)
		return TDM_OK;
	return tdm_fail(&r->run->error, TDM_ENOMEM, "%s: no memory for an answer", r->by->name);
}

int tdm_relay_open(struct tdm_relay *r, struct tdm_run *run, const struct tdm_model *by, struct tdm_model *small,
                   struct tdm_model *large, const struct tdm_request *request, struct tdm_sink *sink) {
	*r = (struct tdm_relay){.run = run, .by = by, .asked = request};
	r->sides[TDM_RELAY_SMALL].model = small;
	r->sides[TDM_RELAY_LARGE].model = large;
	for (int i = 0; i < 2 && r->fatal == TDM_OK; i++)
		open_side(r, &r->sides[i]);
	if (r->fatal != TDM_OK)
		return r->fatal;
	struct tdm_session *a = r->sides[TDM_RELAY_SMALL].session, *b = r->sides[TDM_RELAY_LARGE].session;
	int status = a && b ? tdm_joint_check(run, by->name, a, b) : TDM_OK;
	if (status == TDM_OK)
		status = allocate(r, a ? a : b, sink);
	return status == TDM_OK ? tdm_keeper_open(run, request, a ? a : b, &r->keeper) : status;
}

void tdm_relay_close(struct tdm_relay *r) {
	tdm_keeper_close(r->keeper);
	for (int i = 0; i < 2; i++)
		if (r->sides[i].session)
			r->sides[i].session->ops->close(r->sides[i].session);
}

// What a side has read and not written, the prompt and the other's tokens, is its input.
void tdm_relay_record(struct tdm_relay *r, int status) {
	for (int i = 0; i < 2; i++) {
		const struct tdm_relay_side *side = &r->sides[i];
		if (!side->session || !side->passes)
			continue;
		struct tdm_session shown = *side->session;
		shown.prompt_tokens += (int)side->filled;
		struct tdm_call *c =
		    tdm_joint_record(r->run, &shown, r->asked->purpose ? r->asked->purpose : "answer",
		                     side->status != TDM_OK && !side->is_full ? side->status : status, side->wrote, side->us);
		if (c)
			c->passes = side->passes;
	}
}
