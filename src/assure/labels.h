// Labels: labelled items as tab-separated lines with a header, on their way to a certificate.
//
//   score   of the gate, larger = rather kept                                    required
//   loss    of keeping the item, 0 to 1                                          or, instead of it,
//   small, large   how good each model's answer was, 0 to 1: the loss is what the large one's was better by
//   next    with these: how good the answer is when the item is passed on; absent: it is the large model's
//   item    a name or the text itself: an item that occurs again is left out; without this column every line counts
//   group   a name: the promise can be made for every one of them (groups in items and net are NULL until then)
// Other columns are not looked at. The rule it protects: nothing is taken for a number that is none.
#pragma once
#include "assure/control.h"
#include "base/arena.h"

struct tdm_labels {
	struct tdm_losses items; // in an order that only the seed decides
	struct tdm_losses net;   // the same, with gains as negative losses; n = 0 without small and large
	const uint32_t *group;   // of each item, likewise; NULL: without this column
	size_t n_groups;
	size_t n_duplicates;
	bool is_graded;                     // some loss is neither 0 nor 1
	bool has_models, has_next;          // small and large were there; next was
	double least, most;                 // scores
	char data_hash[72], order_hash[72]; // "sha256:..."
};
// name is for sentences. Error: TDM_EVALUE with the line, TDM_ENOMEM.
int tdm_labels_read(struct tdm_arena *arena, const char *name, const char *text, size_t n, uint64_t seed,
                    struct tdm_labels *out, struct tdm_error *err);
// Only the losses, in the order of the lines: of answers that were audited one after the other. No score is needed, and
// nothing is left out.
int tdm_labels_losses(struct tdm_arena *arena, const char *name, const char *text, size_t n, const double **loss,
                      size_t *n_losses, struct tdm_error *err);
// "sha256:" and hexadecimal digits.
void tdm_labels_hash(const void *data, size_t n, char out[72]);
// A number written with a point, whatever the locale; false: it is none, or more stands there.
bool tdm_labels_number(const char *text, size_t n, double *out);
