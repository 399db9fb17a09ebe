// Progress of long work: a bar on a terminal, plain lines elsewhere.
#pragma once
#include <stdint.h>

struct tdm_progress {
	const char *what; // "training small"
	const char *unit; // "steps"
	uint64_t total;
	int64_t started_us, shown_us;
	int is_terminal;
};

void tdm_progress_start(struct tdm_progress *p, const char *what, const char *unit, uint64_t total);
// Shows at most 5 times a second on a terminal and once in 10 seconds elsewhere, and always at done == total.
// note: extra figures such as "loss 0.41 5.2k tokens/s"; may be NULL. Adds the time left.
void tdm_progress_show(struct tdm_progress *p, uint64_t done, const char *note);
void tdm_progress_end(struct tdm_progress *p);
