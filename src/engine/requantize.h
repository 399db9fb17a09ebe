// A weight file becomes another one with its tensors in other formats; everything else in it is copied.
#pragma once
#include "base/progress.h"
#include "engine/mix.h"

struct tdm_requantize {
	const char *from, *to; // paths; they may be the same
	const struct tdm_mix *mix;
	int threads;                   // 0 = 1
	struct tdm_progress *progress; // started by the caller, counted in MB of `from`; its total is set here. May be NULL
	// results
	uint64_t n_tensors, n_elements, bytes_before, bytes_after; // of tensors
	uint32_t n_wider;                                          // tensors whose rows no block of their format divides
};

// Memory: about a megabyte per thread, whatever the size of the file. `to` appears when it is complete.
// Error: TDM_EFORMAT (a tensor holds what is no finite number, or numbers too large for its new format), TDM_EIO,
// TDM_ENOMEM.
int tdm_requantize_run(struct tdm_requantize *r, struct tdm_error *err);
