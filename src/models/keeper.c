#include "models/keeper.h"
#include "models/forms.h"
#include <stdlib.h>
#include <string.h>

struct tdm_keeper {
	struct tdm_run *run;
	struct tdm_kept_form form;
	uint64_t *bits;
	float *row;
	int32_t *seen; // the answer that the constraint has read
	int n_seen, cap, n_vocab;
};

static int take_form(struct tdm_keeper *k, const struct tdm_form *form, const struct tdm_token_tree *tree) {
	struct tdm_error err = {0};
	int status = tdm_forms_take(form, tree, &k->form, &err);
	return status ? tdm_fail_param(&k->run->error, status, TDM_FORM_FIELD, "%s: %s", TDM_FORM_FIELD, err.text) : TDM_OK;
}

int tdm_keeper_open(struct tdm_run *run, const struct tdm_request *request, struct tdm_session *session,
                    struct tdm_keeper **out) {
	*out = NULL;
	if (!request->form)
		return TDM_OK;
	const struct tdm_token_tree *tree = session->ops->tokens ? session->ops->tokens(session, run) : NULL;
	if (!tree)
		return tdm_fail_param(&run->error, TDM_ECAPABILITY, TDM_FORM_FIELD, TDM_CANNOT_FORM, session->model->name);
	struct tdm_keeper *k = calloc(1, sizeof *k);
	if (!k)
		return tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the answer's form", session->model->name);
	k->run = run;
	k->n_vocab = session->n_vocab;
	int status = take_form(k, request->form, tree);
	if (!status) {
		k->bits = calloc((size_t)tdm_constraint_words(k->form.constraint), sizeof *k->bits);
		k->row = calloc((size_t)k->n_vocab, sizeof *k->row);
		if (!k->bits || !k->row)
			status =
			    tdm_fail(&run->error, TDM_ENOMEM, "model %s: no memory for the answer's form", session->model->name);
	}
	if (status)
		tdm_keeper_close(k);
	else
		*out = k;
	return status;
}

void tdm_keeper_close(struct tdm_keeper *k) {
	if (!k)
		return;
	tdm_forms_give(&k->form);
	free(k->bits);
	free(k->row);
	free(k->seen);
	free(k);
}

// Brings the constraint to the answer tokens[0..n).
static int follow(struct tdm_keeper *k, const int32_t *tokens, int n) {
	int same = 0;
	while (same < n && same < k->n_seen && tokens[same] == k->seen[same])
		same++;
	if (n > k->cap) {
		int32_t *seen = realloc(k->seen, (size_t)n * 2 * sizeof *seen);
		if (!seen)
			return tdm_fail(&k->run->error, TDM_ENOMEM, "no memory for an answer of %d tokens", n);
		k->seen = seen;
		k->cap = n * 2;
	}
	tdm_constraint_rewind(k->form.constraint, same);
	for (k->n_seen = same; k->n_seen < n; k->n_seen++) {
		if (tdm_constraint_advance(k->form.constraint, tokens[k->n_seen]) != TDM_OK)
			return tdm_fail(&k->run->error, TDM_EINTERNAL, "token %d of the answer is not in its form", k->n_seen);
		k->seen[k->n_seen] = tokens[k->n_seen];
	}
	return TDM_OK;
}

// A rule over several models may have excluded every token that the form allows: then all of those are alike.
static void revive(struct tdm_keeper *k) {
	for (int at = 0; at < k->n_vocab; at += 64)
		for (uint64_t on = k->bits[at / 64]; on; on &= on - 1)
			if (k->row[at + __builtin_ctzll(on)] > -INFINITY)
				return;
	memset(k->row, 0, (size_t)k->n_vocab * sizeof *k->row);
	tdm_constraint_apply(k->bits, k->row, k->n_vocab);
}

const float *tdm_keeper_row(struct tdm_keeper *k, const int32_t *tokens, int n, const float *logits) {
	if (!k)
		return logits;
	if (follow(k, tokens, n) != TDM_OK || tdm_constraint_mask(k->form.constraint, k->bits, &k->run->error) != TDM_OK)
		return NULL;
	memcpy(k->row, logits, (size_t)k->n_vocab * sizeof *k->row);
	tdm_constraint_apply(k->bits, k->row, k->n_vocab);
	revive(k);
	return k->row;
}
