// Checkpoint: everything that training needs to go on as if it had never stopped, in one file.
//
// The rule it protects: a run that was stopped and resumed ends in the same bits as one that was not (same machine,
// same number of threads). Whatever the loop carries from step to step is a field here. Little-endian, not for
// exchange.
#pragma once
#include "base/bytes.h"
#include "learn/net.h"

struct tdm_progress_of_training {
	uint64_t seed, step, epoch, at, n_docs; // at: place in the epoch; n_docs: to notice other data
	uint64_t n_tokens;                      // seen so far
	double loss_sum, loss_weight;           // since the last line of the curve
};

struct tdm_checkpoint {
	struct tdm_progress_of_training at;
	size_t n_params;
	float *params, *m, *v;   // [n_params], the caller's
	struct tdm_bytes *curve; // the curve file's text so far
};

int tdm_checkpoint_write(const struct tdm_checkpoint *c, const struct tdm_shape *shape, const char *path,
                         struct tdm_error *err); // atomic
// Fills the caller's blocks. Error: TDM_EIO; TDM_EFORMAT when the file is another shape's, cut or no checkpoint: then
// nothing was changed.
int tdm_checkpoint_read(struct tdm_checkpoint *c, const struct tdm_shape *shape, const char *path,
                        struct tdm_error *err);
