// Report as labels: what `tandem certify` finds a threshold from: of each item the score of a policy's first gate, and
// whether the answers that it chooses between, and the baseline's, were right.
#include "eval/report.h"
#include <math.h>

static int find(const struct tdm_eval *e, const struct tdm_model *m, const struct tdm_model *of, size_t *out,
                struct tdm_error *err) {
	for (*out = 0; *out < e->options.n_models; ++*out)
		if (e->options.models[*out] == m)
			return TDM_OK;
	return tdm_fail(err, TDM_EVALUE, "labels of %s need the answers of %s: name it among the models", of->name,
	                m ? m->name : "a baseline");
}

static void put_row(const struct tdm_eval *e, size_t i, double score, const size_t right[3], size_t n,
                    struct tdm_bytes *out) {
	const struct tdm_eval_item *item = &e->items[i];
	tdm_bytes_printf(out, "%s %016llx\t%s\t", e->families[item->family], (unsigned long long)item->key,
	                 e->families[item->family]);
	tdm_bytes_number(out, score);
	for (size_t k = 0; k < n; k++)
		tdm_bytes_puts(out, tdm_eval_outcome(e, i, right[k])->right ? "\t1" : "\t0");
	tdm_bytes_putc(out, '\n');
}

int tdm_report_labels(const struct tdm_eval *e, const struct tdm_model *policy, struct tdm_bytes *out,
                      struct tdm_error *err) {
	size_t by, right[3];
	int status = find(e, policy, policy, &by, err);
	if (!status && policy->n_parts < 2)
		status = tdm_fail(err, TDM_EVALUE, "labels: %s does not choose between models", policy->name);
	if (!status)
		status = find(e, policy->parts[0], policy, &right[0], err);
	if (!status)
		status = find(e, e->options.baseline, policy, &right[1], err);
	if (!status)
		status = find(e, policy->parts[1], policy, &right[2], err);
	if (status)
		return status;
	tdm_bytes_puts(out, right[1] == right[2] ? "item\tgroup\tscore\tsmall\tlarge\n"
	                                         : "item\tgroup\tscore\tsmall\tlarge\tnext\n");
	for (size_t i = 0; i < e->options.n_items; i++) {
		double score = tdm_eval_outcome(e, i, by)->score;
		if (!isfinite(score))
			return tdm_fail(err, TDM_EVALUE, "labels: the first gate of %s gave no score for item %zu", policy->name,
			                i);
		put_row(e, i, score, right, right[1] == right[2] ? 2 : 3, out);
	}
	return TDM_OK;
}
