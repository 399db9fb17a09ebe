// Vote: answers are brought to one form when they come in and compared byte by byte.
#include "cost/cascade/vote.h"
#include <math.h>

#define FORM_LIMIT_BYTES ((size_t)1 << 20)

void tdm_ballot_init(struct tdm_ballot *b, enum tdm_answer_type type) {
	b->type = type;
	b->n = 0;
	b->total = 0;
}

void tdm_ballot_release(struct tdm_ballot *b) {
	while (b->n > 0)
		tdm_bytes_release(&b->votes[--b->n].form);
}

static bool same(const struct tdm_bytes *a, const struct tdm_bytes *b) {
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

bool tdm_ballot_add(struct tdm_ballot *b, const char *reply, size_t n, double weight) {
	if (b->n == TDM_MOST_VOTES)
		return false;
	struct tdm_vote *v = &b->votes[b->n];
	v->weight = weight;
	v->group = -1;
	tdm_bytes_init(&v->form, FORM_LIMIT_BYTES);
	if (tdm_answer_read(&v->form, reply, n, b->type)) {
		v->group = 0;
		while (v->group < b->n && (b->votes[v->group].group < 0 || !same(&b->votes[v->group].form, &v->form)))
			v->group++;
	}
	b->n++;
	b->total += weight;
	return true;
}

double tdm_ballot_weight(const struct tdm_ballot *b, int group) {
	double sum = 0;
	for (int i = 0; i < b->n && group >= 0; i++)
		sum += b->votes[i].group == group ? b->votes[i].weight : 0;
	return sum;
}

int tdm_ballot_majority(const struct tdm_ballot *b, double *share) {
	int best = -1;
	double most = 0;
	for (int i = 0; i < b->n; i++) {
		double weight = b->votes[i].group == i ? tdm_ballot_weight(b, i) : 0;
		if (weight > most) {
			most = weight;
			best = i;
		}
	}
	*share = b->total > 0 ? most / b->total : 0;
	return best;
}

double tdm_ballot_support(const struct tdm_ballot *b, int *agree) {
	double sum = 0, others = b->n ? b->total - b->votes[0].weight : 0;
	*agree = 0;
	for (int i = 1; i < b->n; i++)
		if (b->votes[i].group == 0) {
			sum += b->votes[i].weight;
			(*agree)++;
		}
	return others > 0 ? sum / others : (double)NAN;
}
