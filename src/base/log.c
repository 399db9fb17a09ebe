// Log: one line per event.
//
// The rules kept here: a line is written with one write(2) and holds no line break of its own, so that lines of several
// threads never mix and a value from outside can never look like a second event; a quotation mark inside a value does
// not end it, so that a value can never look like another field; a file that cannot be written (full, moved, out of
// descriptors) delays nothing: its lines wait in a ring in memory.
//
// A server with thousands of requests in a second gathers: lines below a warning wait in the same ring for up to 20 ms,
// and many leave with one write(2). A warning or an error takes what waits with it at once.
#include "base/log.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/format.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define TIME_BYTES 25
#define GATHER_NS 20000000
#define RING_BYTES ((size_t)64 * 1024)

static atomic_int lowest = TDM_INFO;
static atomic_int file = STDERR_FILENO;     // never closed, only replaced: a writer may be using it
static atomic_bool as_json, waits, gathers; // waits: there is something in the ring

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards what follows
static char *file_path;
static char ring[RING_BYTES]; // whole lines, oldest first
static size_t ring_bytes;
static int64_t n_lost;
static bool is_stopping;
static pthread_t gatherer;
static pthread_cond_t has_lines = PTHREAD_COND_INITIALIZER;

void tdm_log_set_level(enum tdm_level level) {
	atomic_store(&lowest, (int)level);
}

// --- where lines go

static int open_file(const char *path, struct tdm_error *err) {
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (fd < 0)
		return tdm_fail(err, TDM_EIO, "log: cannot open %s: %s", path, strerror(errno));
	int now = atomic_load(&file);
	if (now == STDERR_FILENO) {
		atomic_store(&file, fd);
		return TDM_OK;
	}
	bool failed = dup3(fd, now, O_CLOEXEC) < 0; // the same number: who writes at this moment writes into one of them
	close(fd);
	return failed ? tdm_fail(err, TDM_EIO, "log: cannot replace the file: %s", strerror(errno)) : TDM_OK;
}

int tdm_log_open(const char *path, bool json, struct tdm_error *err) {
	int status = TDM_OK;
	char *copy = path ? strdup(path) : NULL;
	pthread_mutex_lock(&lock);
	if (path)
		status = copy ? open_file(path, err) : tdm_fail(err, TDM_ENOMEM, "log: out of memory");
	if (status) {
		free(copy);
	} else {
		free(file_path);
		file_path = copy;
		atomic_store(&as_json, json);
	}
	pthread_mutex_unlock(&lock);
	return status;
}

int64_t tdm_log_lost(void) {
	pthread_mutex_lock(&lock);
	int64_t n = n_lost;
	pthread_mutex_unlock(&lock);
	return n;
}

static bool write_all(const char *text, size_t n) {
	ssize_t done = write(atomic_load(&file), text, n);
	return done == (ssize_t)n;
}

static void drop_oldest(void) {
	const char *end = memchr(ring, '\n', ring_bytes);
	size_t n = end ? (size_t)(end - ring) + 1 : ring_bytes;
	memmove(ring, ring + n, ring_bytes - n);
	ring_bytes -= n;
	n_lost++;
}

// With the lock held: what waits goes.
static void empty_ring(void) {
	if (ring_bytes && write_all(ring, ring_bytes))
		ring_bytes = 0;
	atomic_store(&waits, ring_bytes > 0);
}

int tdm_log_reopen(struct tdm_error *err) {
	pthread_mutex_lock(&lock);
	empty_ring(); // what was said before the file was moved belongs to it
	int status = file_path ? open_file(file_path, err) : TDM_OK;
	pthread_mutex_unlock(&lock);
	return status;
}

static void put_into_ring(const char *line, size_t n) {
	while (ring_bytes + n > sizeof ring)
		drop_oldest();
	memcpy(ring + ring_bytes, line, n);
	ring_bytes += n;
	atomic_store(&waits, true);
}

// What waits goes first, so that the order stays.
static void write_behind_ring(const char *line, size_t n) {
	pthread_mutex_lock(&lock);
	empty_ring();
	if (ring_bytes || !write_all(line, n))
		put_into_ring(line, n);
	pthread_mutex_unlock(&lock);
}

static void gather(const char *line, size_t n) {
	pthread_mutex_lock(&lock);
	if (ring_bytes + n > sizeof ring / 2)
		empty_ring();
	if (!ring_bytes)
		pthread_cond_signal(&has_lines);
	put_into_ring(line, n);
	pthread_mutex_unlock(&lock);
}

static void write_line(enum tdm_level level, const char *line, size_t n) {
	if (atomic_load(&gathers) && level < TDM_WARN)
		gather(line, n);
	else if (atomic_load(&waits) || !write_all(line, n))
		write_behind_ring(line, n);
}

static void *write_gathered(void *arg) {
	const struct timespec pause = {.tv_nsec = GATHER_NS};
	pthread_mutex_lock(&lock);
	while (!is_stopping) {
		while (!ring_bytes && !is_stopping)
			pthread_cond_wait(&has_lines, &lock);
		pthread_mutex_unlock(&lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&lock);
		empty_ring();
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

void tdm_log_gather(void) {
	is_stopping = false;
	atomic_store(&gathers, pthread_create(&gatherer, NULL, write_gathered, NULL) == 0);
}

void tdm_log_gather_no_more(void) {
	if (!atomic_exchange(&gathers, false))
		return;
	pthread_mutex_lock(&lock);
	is_stopping = true;
	pthread_cond_signal(&has_lines);
	pthread_mutex_unlock(&lock);
	pthread_join(gatherer, NULL);
	pthread_mutex_lock(&lock);
	empty_ring();
	pthread_mutex_unlock(&lock);
}

// --- one line

static size_t clip(int n, size_t room) {
	return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}

// "2026-01-31T12:00:00.123Z"; the part up to the seconds is made once in a second.
static void put_time(char out[TIME_BYTES]) {
	static _Thread_local char made[TIME_BYTES];
	static _Thread_local time_t of;
	int64_t wall = tdm_wall_us();
	time_t seconds = (time_t)(wall / 1000000);
	int ms = (int)(wall / 1000 % 1000);
	struct tm utc;
	if (seconds != of)
		strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&seconds, &utc));
	of = seconds;
	memcpy(out, made, TIME_BYTES);
	out[20] = (char)('0' + ms / 100);
	out[21] = (char)('0' + ms / 10 % 10);
	out[22] = (char)('0' + ms % 10);
}

static bool begins_field(const char *text) {
	size_t n = 0;
	while (islower((unsigned char)text[n]) || isdigit((unsigned char)text[n]) || text[n] == '_')
		n++;
	return n && text[n] == '=';
}

// A quotation mark ends a value where the line ends or another field begins; any other becomes an apostrophe.
static void repair(char *fields) {
	bool inside = false;
	for (char *p = fields; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
		if (*p != '"')
			continue;
		if (!inside && p > fields && p[-1] == '=')
			inside = true;
		else if (inside && (!p[1] || (p[1] == ' ' && begins_field(p + 2))))
			inside = false;
		else
			*p = '\'';
	}
}

// " a=1 b=\"two words\"" becomes ,"a":"1","b":"two words".
static void put_json_fields(struct tdm_bytes *out, const char *fields) {
	const char *p = fields;
	while (*p == ' ')
		p++;
	while (begins_field(p)) {
		size_t key = strcspn(p, "=");
		const char *value = p + key + 1;
		bool quoted = *value == '"';
		value += quoted;
		size_t n = strcspn(value, quoted ? "\"" : " ");
		tdm_bytes_printf(out, ",\"%.*s\":", (int)key, p);
		tdm_bytes_json(out, value, n);
		p = value + n + (quoted && value[n]);
		while (*p == ' ')
			p++;
	}
}

static void put_json(struct tdm_bytes *out, const char *when, const char *level, const char *event, const char *run,
                     const char *fields) {
	tdm_bytes_printf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", when, level, event);
	if (run) {
		tdm_bytes_puts(out, ",\"run\":");
		tdm_bytes_json(out, run, strlen(run));
	}
	put_json_fields(out, fields);
	tdm_bytes_puts(out, "}\n");
}

__attribute__((format(printf, 3, 4))) static int put_text(char *out, size_t room, const char *format, ...) {
	va_list args;
	va_start(args, format);
	int n = tdm_format(out, room, format, args);
	va_end(args);
	return n;
}

void tdm_log(enum tdm_level level, const char *event, const char *run, const char *format, ...) {
	static const char *const names[] = {"debug", "info", "warn", "error"};
	char when[TIME_BYTES], fields[LINE_BYTES], line[LINE_BYTES + 1];
	va_list args;
	if ((int)level < atomic_load(&lowest))
		return;
	put_time(when);
	va_start(args, format);
	tdm_format(fields, sizeof fields, format, args);
	va_end(args);
	repair(fields);
	if (atomic_load(&as_json)) {
		struct tdm_bytes out;
		tdm_bytes_init(&out, 8 * LINE_BYTES);
		put_json(&out, when, names[level], event, run, fields);
		if (!out.failed)
			write_line(level, out.data, out.len);
		tdm_bytes_release(&out);
		return;
	}
	const char *space = *fields && *fields != ' ' ? " " : "";
	size_t n = clip(put_text(line, sizeof line, "%s %s %s%s%s%s%s\n", when, names[level], event, run ? " run=" : "",
	                         run ? run : "", space, fields),
	                sizeof line);
	line[n - 1] = '\n';
	write_line(level, line, n);
}
