// Program: one run of a program that the settings name, on an answer as its input. No shell; words of an answer are
// never words of a command line.
#pragma once
#include "models/model.h"

struct tdm_program {
	const char *const *words; // NULL-terminated; the first is its whole path
	int64_t limit_ms, limit_bytes;
};

// *accepted: it ended with 0 in time. It sees an environment of its own, the root as its folder, no descriptor but the
// input and two that lead nowhere; what it started and left behind ends with it. Error: TDM_EIO when it could not be
// started; TDM_EGONE, TDM_EDEADLINE of the run.
int tdm_program_run(const struct tdm_program *p, struct tdm_run *run, const char *input, size_t n, bool *accepted);
