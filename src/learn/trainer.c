// Trainer: the data-parallel work of one step (see trainer.h). Each part runs its documents in passes of micro_tokens
// and sums into a gradient of its own; then each part adds up one slice of all gradients, and updates one slice of the
// parameters. The split depends on the documents and the number of threads only, so a run is repeatable bit for bit.
#include "learn/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int worker_init(struct tdm_worker *w, struct tdm_trainer *t, int micro_tokens, struct tdm_error *err) {
	int room = micro_tokens > t->net.shape.context ? micro_tokens : t->net.shape.context;
	int status = tdm_pass_init(&w->pass, &t->net, err);
	if (!status && t->teacher)
		status = tdm_pass_init(&w->teacher, t->teacher, err);
	if (!status)
		status = tdm_batch_init(&w->batch, room, err);
	if (status)
		return status;
	w->gradient = tdm_floats(t->net.n_params);
	w->weights = tdm_floats((size_t)t->net.shape.context + 1);
	w->right = malloc((size_t)room);
	if (!w->gradient || !w->weights || !w->right)
		return tdm_fail(err, TDM_ENOMEM, "no memory for the gradients of %zu parameters", t->net.n_params);
	return TDM_OK;
}

int tdm_trainer_init(struct tdm_trainer *t, int micro_tokens, struct tdm_error *err) {
	t->n_workers = tdm_pool_size(t->pool);
	t->workers = calloc((size_t)t->n_workers, sizeof(*t->workers));
	if (!t->workers)
		return tdm_fail(err, TDM_ENOMEM, "no memory for %d workers", t->n_workers);
	int status = TDM_OK;
	for (int i = 0; i < t->n_workers && !status; i++)
		status = worker_init(&t->workers[i], t, micro_tokens, err);
	return status;
}

void tdm_trainer_release(struct tdm_trainer *t) {
	for (int i = 0; t->workers && i < t->n_workers; i++) {
		struct tdm_worker *w = &t->workers[i];
		tdm_pass_release(&w->pass);
		tdm_pass_release(&w->teacher);
		tdm_batch_release(&w->batch);
		free(w->gradient);
		free(w->weights);
		free(w->right);
		free(w->tally);
	}
	free(t->workers);
	free(t->docs);
	t->workers = NULL;
	t->docs = NULL;
	t->docs_cap = 0;
}

static size_t inputs_of(const struct tdm_dataset *d, size_t doc) {
	return (size_t)d->docs[doc].n - 1;
}

// Consecutive documents to consecutive parts, by tokens.
static void share_out(struct tdm_trainer *t, size_t n_tokens) {
	size_t before = 0, doc = 0;
	for (int i = 0; i < t->n_workers; i++) {
		size_t until = n_tokens * (size_t)(i + 1) / (size_t)t->n_workers;
		t->workers[i].first = doc;
		while (doc < t->n_docs && before + inputs_of(t->data, t->docs[doc]) / 2 < until)
			before += inputs_of(t->data, t->docs[doc++]);
		t->workers[i].last = i == t->n_workers - 1 ? t->n_docs : doc;
	}
}

int tdm_trainer_choose(struct tdm_trainer *t, const struct tdm_dataset *data, struct tdm_order *order, int batch_tokens,
                       struct tdm_error *err) {
	size_t n_tokens = 0;
	double weight = 0;
	t->data = data;
	t->n_docs = 0;
	for (;;) {
		size_t doc = tdm_order_peek(order);
		if (t->n_docs && n_tokens + inputs_of(data, doc) > (size_t)batch_tokens)
			break;
		if (t->n_docs == t->docs_cap) {
			size_t cap = t->docs_cap * 2 + 256;
			uint32_t *more = realloc(t->docs, cap * sizeof(*more));
			if (!more)
				return tdm_fail(err, TDM_ENOMEM, "no memory for the documents of a step");
			t->docs = more;
			t->docs_cap = cap;
		}
		t->docs[t->n_docs++] = (uint32_t)doc;
		n_tokens += inputs_of(data, doc);
		weight += tdm_dataset_weight(data, doc, t->weighting);
		tdm_order_advance(order);
	}
	t->loss.scale = 1 / weight;
	share_out(t, n_tokens);
	return TDM_OK;
}

// Fills the worker's batch from document *doc on, and moves *doc behind the last one that fits.
static void fill(struct tdm_worker *w, const struct tdm_trainer *t, const uint32_t *docs, size_t *doc, size_t last,
                 struct tdm_weighting by) {
	tdm_batch_clear(&w->batch);
	while (*doc < last && tdm_dataset_add(t->data, docs ? docs[*doc] : *doc, by, &w->batch, w->weights))
		++*doc;
}

static void gradient_part(void *arg, int part, int n_parts) {
	struct tdm_trainer *t = arg;
	struct tdm_worker *w = &t->workers[part];
	int n_vocab = t->net.shape.n_vocab;
	w->loss = w->weight = 0;
	w->pass.space.bf16 = w->teacher.space.bf16 = t->bf16;
	memset(w->gradient, 0, t->net.n_params * sizeof(float));
	for (size_t doc = w->first; doc < w->last && !w->status;) {
		fill(w, t, t->docs, &doc, w->last, t->weighting);
		const struct tdm_batch *b = &w->batch;
		w->status = tdm_pass_forward(&w->pass, b, &w->error);
		if (!w->status && t->teacher)
			w->status = tdm_pass_forward(&w->teacher, b, &w->error);
		if (w->status)
			return;
		w->loss += tdm_loss_backward(&t->loss, w->pass.logits, t->teacher ? w->teacher.logits : NULL, b->targets,
		                             b->weights, b->n_rows, n_vocab);
		for (int i = 0; i < b->n_rows; i++)
			w->weight += b->weights[i];
		tdm_pass_backward(&w->pass, b, w->gradient);
	}
}

static void slice_of(const struct tdm_trainer *t, int part, int n_parts, size_t *first, size_t *last) {
	size_t n = t->net.n_params, step = (n / (size_t)n_parts + 15) / 16 * 16;
	*first = step * (size_t)part < n ? step * (size_t)part : n;
	*last = part == n_parts - 1 || *first + step > n ? n : *first + step;
}

static void reduce_part(void *arg, int part, int n_parts) {
	struct tdm_trainer *t = arg;
	size_t first, last;
	slice_of(t, part, n_parts, &first, &last);
	float *sum = t->workers[0].gradient + first;
	for (int i = 1; i < t->n_workers; i++)
		tdm_rows()->add(sum, t->workers[i].gradient + first, last - first);
	t->workers[part].square_sum = tdm_rows()->square_sum(sum, last - first);
}

static int first_failure(struct tdm_trainer *t, struct tdm_error *err) {
	for (int i = 0; i < t->n_workers; i++)
		if (t->workers[i].status)
			return tdm_fail(err, t->workers[i].status, "%s", t->workers[i].error.text);
	return TDM_OK;
}

int tdm_trainer_gradient(struct tdm_trainer *t, double *loss, double *weight, struct tdm_error *err) {
	tdm_pool_run(t->pool, gradient_part, t, t->n_workers);
	int status = first_failure(t, err);
	if (status)
		return status;
	tdm_pool_run(t->pool, reduce_part, t, t->n_workers);
	double square_sum = 0;
	*loss = *weight = 0;
	for (int i = 0; i < t->n_workers; i++) {
		square_sum += t->workers[i].square_sum;
		*loss += t->workers[i].loss;
		*weight += t->workers[i].weight;
	}
	if (t->lora) {
		tdm_lora_gradient(t->lora, &t->net, t->workers[0].gradient);
		square_sum = tdm_rows()->square_sum(t->lora->gradient, t->lora->n);
	}
	t->norm = sqrt(square_sum);
	if (!isfinite(t->norm))
		return tdm_fail(err, TDM_EVALUE, "the gradient is not finite any more; a lower learning rate is needed");
	return TDM_OK;
}

static void update_part(void *arg, int part, int n_parts) {
	struct tdm_trainer *t = arg;
	size_t first, last;
	slice_of(t, part, n_parts, &first, &last);
	tdm_adamw_step(&t->adamw, &t->net.shape, t->net.params, t->m, t->v, t->workers[0].gradient, first, last, t->norm,
	               t->step);
}

static void update_lora(struct tdm_trainer *t) {
	struct tdm_lora *l = t->lora;
	struct tdm_adamw_rates rates = tdm_adamw_rates_at(&t->adamw, t->norm, t->step);
	tdm_rows()->adamw(l->factors, t->m, t->v, l->gradient, l->n, &rates);
	tdm_lora_apply(l, &t->net);
}

void tdm_trainer_update(struct tdm_trainer *t, int64_t step) {
	t->step = step;
	if (t->lora)
		update_lora(t);
	else
		tdm_pool_run(t->pool, update_part, t, t->n_workers);
}

// --- validation

static void tally_document(struct tdm_worker *w, const struct tdm_document *doc, int from, int to) {
	struct tdm_tally *tally = &w->tally[doc->family];
	const struct tdm_batch *b = &w->batch;
	for (int i = from; i < to;) { // rows that follow each other without a gap are one answer
		bool right = true;
		int last = b->rows[i];
		for (; i < to && b->rows[i] - last <= 1; i++) {
			right = right && w->right[i];
			last = b->rows[i];
		}
		tally->total++;
		tally->right += right;
	}
}

static void validate_part(void *arg, int part, int n_parts) {
	struct tdm_trainer *t = arg;
	struct tdm_worker *w = &t->workers[part];
	w->loss = w->weight = 0;
	w->pass.space.bf16 = false;
	for (size_t doc = w->first; doc < w->last && !w->status;) {
		size_t first = doc;
		fill(w, t, NULL, &doc, w->last, (struct tdm_weighting){0, 0});
		const struct tdm_batch *b = &w->batch;
		w->status = tdm_pass_forward(&w->pass, b, &w->error);
		if (w->status)
			return;
		w->loss +=
		    tdm_loss_next_token(w->pass.logits, b->targets, b->weights, b->n_rows, t->net.shape.n_vocab, w->right);
		w->weight += b->n_rows;
		for (int d = 0; d < b->n_docs; d++)
			tally_document(w, &t->data->docs[first + (size_t)d], b->row_starts[d], b->row_starts[d + 1]);
	}
}

int tdm_trainer_validate(struct tdm_trainer *t, const struct tdm_dataset *data, size_t limit, double *loss,
                         struct tdm_tally *tally, struct tdm_error *err) {
	size_t n = limit && limit < data->n_docs ? limit : data->n_docs, n_families = (size_t)data->n_families;
	t->data = data;
	for (int i = 0; i < t->n_workers; i++) {
		struct tdm_worker *w = &t->workers[i];
		w->first = n * (size_t)i / (size_t)t->n_workers;
		w->last = n * (size_t)(i + 1) / (size_t)t->n_workers;
		free(w->tally);
		w->tally = calloc(n_families, sizeof(*w->tally));
		if (!w->tally)
			return tdm_fail(err, TDM_ENOMEM, "no memory for the validation of %zu families", n_families);
	}
	tdm_pool_run(t->pool, validate_part, t, t->n_workers);
	double sum = 0, weight = 0;
	memset(tally, 0, n_families * sizeof(*tally));
	for (int i = 0; i < t->n_workers; i++) {
		sum += t->workers[i].loss;
		weight += t->workers[i].weight;
		for (size_t f = 0; f < n_families; f++) {
			tally[f].right += t->workers[i].tally[f].right;
			tally[f].total += t->workers[i].tally[f].total;
		}
	}
	*loss = weight > 0 ? sum / weight : 0;
	return first_failure(t, err);
}
