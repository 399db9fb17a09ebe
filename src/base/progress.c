// Progress of long work, on standard error: a bar that redraws itself on a terminal, plain lines elsewhere.
#include "base/progress.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 24
#define TERMINAL_EVERY_US 200000
#define LINE_EVERY_US 10000000

void tdm_progress_start(struct tdm_progress *p, const char *what, const char *unit, uint64_t total) {
	int64_t now = tdm_now_us();
	*p = (struct tdm_progress){
	    .what = what, .unit = unit, .total = total, .started_us = now, .is_terminal = isatty(STDERR_FILENO)};
	p->shown_us = p->is_terminal ? now - TERMINAL_EVERY_US : now;
}

static void format_left(char out[32], const struct tdm_progress *p, uint64_t done, int64_t now) {
	out[0] = 0;
	if (done == 0 || done >= p->total)
		return;
	double seconds = (double)(now - p->started_us) * 1e-6 * (double)(p->total - done) / (double)done;
	if (seconds < 90)
		snprintf(out, 32, ", %.0f s left", seconds);
	else if (seconds < 5400)
		snprintf(out, 32, ", %.0f min left", seconds / 60);
	else
		snprintf(out, 32, ", %.1f h left", seconds / 3600);
}

static void format_bar(char out[BAR_CELLS + 1], double share) {
	int full = (int)(share * BAR_CELLS);
	memset(out, '.', BAR_CELLS);
	memset(out, '#', full < 0 ? 0 : full > BAR_CELLS ? BAR_CELLS : (size_t)full);
	out[BAR_CELLS] = 0;
}

void tdm_progress_show(struct tdm_progress *p, uint64_t done, const char *note) {
	int64_t now = tdm_now_us();
	int64_t every = p->is_terminal ? TERMINAL_EVERY_US : LINE_EVERY_US;
	if (done != p->total && now - p->shown_us < every)
		return;
	p->shown_us = now;
	char left[32], bar[BAR_CELLS + 1];
	format_left(left, p, done, now);
	format_bar(bar, p->total ? (double)done / (double)p->total : 1);
	const char *gap = note && *note ? ", " : "";
	note = note ? note : "";
	if (p->is_terminal)
		fprintf(stderr, "\r%s [%s] %llu/%llu %s%s%s%s\033[K", p->what, bar, (unsigned long long)done,
		        (unsigned long long)p->total, p->unit, gap, note, left);
	else
		fprintf(stderr, "%s: %llu/%llu %s%s%s%s\n", p->what, (unsigned long long)done, (unsigned long long)p->total,
		        p->unit, gap, note, left);
	fflush(stderr);
}

void tdm_progress_end(struct tdm_progress *p) {
	if (p->is_terminal)
		fputc('\n', stderr);
}
