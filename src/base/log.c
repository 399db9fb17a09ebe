// Log: one line per event to standard error.
//
// The rule kept here: a line is written with one write(2) and holds no line break of its own, so that lines of
// several threads never mix and a value from outside can never look like a second event.
#include "base/log.h"
#include "base/clock.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048

static atomic_int lowest = TDM_INFO;

void tdm_log_set_level(enum tdm_level level) {
	atomic_store(&lowest, (int)level);
}

static size_t clip(int n, size_t room) {
	return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

static size_t put_head(char *line, size_t room, enum tdm_level level, const char *event, const char *run) {
	static const char *const names[] = {"debug", "info", "warn", "error"};
	int64_t wall = tdm_wall_us();
	time_t seconds = (time_t)(wall / 1000000);
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t n = strftime(line, room, "%Y-%m-%dT%H:%M:%S", &utc);
	n += clip(snprintf(line + n, room - n, ".%03dZ %s %s", (int)(wall / 1000 % 1000), names[level], event), room - n);
	if (run)
		n += clip(snprintf(line + n, room - n, " run=%s", run), room - n);
	return n;
}

static void replace_controls(char *text) {
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = ' ';
}

void tdm_log(enum tdm_level level, const char *event, const char *run, const char *format, ...) {
	char line[LINE_BYTES];
	va_list args;
	if ((int)level < atomic_load(&lowest))
		return;
	size_t n = put_head(line, sizeof line, level, event, run);
	if (*format && *format != ' ' && n + 1 < sizeof line) {
		line[n++] = ' ';
		line[n] = 0;
	}
	va_start(args, format);
	n += clip(vsnprintf(line + n, sizeof line - n, format, args), sizeof line - n);
	va_end(args);
	replace_controls(line);
	line[n] = '\n'; // takes the place of the NUL: n is at most LINE_BYTES - 1
	(void)!write(STDERR_FILENO, line, n + 1);
}
