// `tandem scan`: private values in files, folders and standard input, with their places, types and reasons. Ends with 0
// when there is none, 1 when there is one, 2 when something could not be looked at, so that a pipeline can stop on it.
//
// A long text is looked at in windows that overlap, so that memory and time are linear in it, and no value is cut.
#include "base/file.h"
#include "base/leaves.h"
#include "base/text.h"
#include "cli/findings.h"
#include "cli/texts.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_LIMIT_BYTES ((size_t)256 << 20)
#define STEP_BYTES ((size_t)16 << 10)
#define WINDOW_BYTES ((size_t)25 << 10) // two overlap by 8 KiB, the longest value, a private key
#define LINE_BYTES ((size_t)1 << 10)    // how far the beginning of a line is looked for
#define MAX_DEPTH 64

struct options {
	struct tdm_looking look;
	int format;
	bool values, json;
};

static const struct tdm_option options[] = {
    TDM_LOOKING_OPTIONS(struct options, look),
    {"format", TDM_OPT_CHOICE, offsetof(struct options, format), "text", 0, 0, TDM_FINDINGS_CHOICES, "of the findings"},
    {"values", TDM_OPT_BOOL, offsetof(struct options, values), "no", 0, 0, NULL, "show the values themselves"},
    {"json", TDM_OPT_BOOL, offsetof(struct options, json), "no", 0, 0, NULL,
     "look behind the escapes of JSON, or of JSON lines; always for *.json, *.jsonl and *.ndjson"},
};

struct scan {
	const struct tdm_command_call *call;
	const struct options *options;
	struct tdm_detector detector;
	struct tdm_bytes found; // of struct tdm_finding
	size_t n_files, n_binary;
	// the file that is looked at
	const char *path;
	const char *text;
	size_t n, first;        // first: its first finding
	struct tdm_arena arena; // of a window
};

static void add(struct scan *s, size_t start, size_t end, const struct tdm_find *find) {
	struct tdm_finding f = {
	    .path = s->path, .start = start, .end = end, .entity = find->entity, .score = find->score, .why = find->why};
	tdm_bytes_add(&s->found, &f, sizeof f);
}

static struct tdm_finding *findings(const struct scan *s, size_t *n) {
	*n = s->found.len / sizeof(struct tdm_finding);
	return (struct tdm_finding *)(void *)s->found.data;
}

static int look(struct scan *s, const char *text, size_t n, struct tdm_finds *finds) {
	struct tdm_text item = {.text = text, .n = n};
	struct tdm_dictionary protect = {0};
	*finds = (struct tdm_finds){0};
	return tdm_detect(&s->detector, &s->arena, &item, 1, (int)s->options->look.level, finds, &protect, s->call->error);
}

// Where the window at or after `begin` starts: at a line or a word that starts soon, or at least at a character.
static size_t window_start(const struct scan *s, size_t begin) {
	static const char *const marks[] = {"\n", " \t\r\n"};
	size_t at = begin, end = begin + LINE_BYTES < s->n ? begin + LINE_BYTES : s->n;
	for (size_t i = 0; begin > 0 && i < sizeof marks / sizeof *marks; i++) {
		for (at = begin; at < end && !strchr(marks[i], s->text[at - 1]);)
			at++;
		if (at < end)
			return at;
	}
	for (at = begin; at < s->n && ((unsigned char)s->text[at] & 0xC0) == 0x80;)
		at++;
	return at;
}

static int look_at_windows(struct scan *s) {
	size_t last_end = 0;
	int status = TDM_OK;
	for (size_t begin = 0; begin < s->n && status == TDM_OK; begin += STEP_BYTES) {
		struct tdm_finds finds;
		size_t from = window_start(s, begin), next = window_start(s, begin + STEP_BYTES);
		bool last = s->n - from <= WINDOW_BYTES;
		status = look(s, s->text + from, last ? s->n - from : WINDOW_BYTES, &finds);
		for (size_t i = 0; i < finds.n && status == TDM_OK; i++) {
			size_t start = from + finds.items[i].start, end = from + finds.items[i].end;
			if (start < last_end || (!last && start >= next))
				continue;
			add(s, start, end, &finds.items[i]);
			last_end = end;
		}
		tdm_arena_clear(&s->arena);
		if (last)
			break;
	}
	return status;
}

// --- JSON

static bool overlaps(const struct scan *s, size_t n_plain, size_t start, size_t end) {
	size_t n, low = s->first, high = n_plain;
	const struct tdm_finding *f = findings(s, &n);
	while (low < high) { // the first of the plain ones that ends behind start
		size_t middle = low + (high - low) / 2;
		if (f[middle].end <= start)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n_plain && f[low].start < end;
}

// Strings with escapes: what a reader of JSON would find in them.
static int look_at_leaves(struct scan *s, size_t offset, const struct tdm_leaf *leaves, size_t n_leaves,
                          size_t n_plain) {
	int status = TDM_OK;
	for (size_t i = 0; i < n_leaves && status == TDM_OK; i++) {
		struct tdm_finds finds = {0};
		if (!leaves[i].at)
			continue;
		status = look(s, leaves[i].text, leaves[i].n, &finds);
		for (size_t k = 0; k < finds.n && status == TDM_OK; k++) {
			size_t start = offset + tdm_leaf_origin(&leaves[i], finds.items[k].start);
			size_t end = offset + tdm_leaf_origin(&leaves[i], finds.items[k].end);
			if (!overlaps(s, n_plain, start, end))
				add(s, start, end, &finds.items[k]);
		}
	}
	return status;
}

// One document, or one in every line; what is neither was looked at as text.
static int look_at_json(struct scan *s) {
	struct tdm_leaf *leaves;
	size_t n_leaves, n_plain;
	int status = TDM_OK;
	findings(s, &n_plain);
	for (size_t at = 0, n = s->n; at < s->n && status == TDM_OK; at += n + 1, n = 0) {
		if (at || tdm_leaves_read(&s->arena, s->text, n, &leaves, &n_leaves, NULL) != TDM_OK) {
			const char *end = memchr(s->text + at, '\n', s->n - at);
			n = end ? (size_t)(end - s->text) - at : s->n - at;
			if (tdm_leaves_read(&s->arena, s->text + at, n, &leaves, &n_leaves, NULL) != TDM_OK)
				n_leaves = 0;
		}
		status = look_at_leaves(s, at, leaves, n_leaves, n_plain);
		tdm_arena_clear(&s->arena);
	}
	return status;
}

static int by_start(const void *a, const void *b) {
	const struct tdm_finding *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

// --- places

struct place {
	size_t at, line, column;
};

static void walk_to(const struct scan *s, struct place *p, size_t at) {
	for (; p->at < at; p->at++) {
		if (s->text[p->at] == '\n') {
			p->line++;
			p->column = 1;
		} else if (((unsigned char)s->text[p->at] & 0xC0) != 0x80) {
			p->column++;
		}
	}
}

static int place_findings(struct scan *s) {
	struct place p = {0, 1, 1};
	size_t n;
	struct tdm_finding *f = findings(s, &n);
	if (n > s->first)
		qsort(f + s->first, n - s->first, sizeof *f, by_start);
	for (size_t i = s->first; i < n; i++) {
		walk_to(s, &p, f[i].start);
		f[i].line = p.line;
		f[i].column = p.column;
		struct place end = p;
		walk_to(s, &end, f[i].end);
		f[i].end_line = end.line;
		f[i].end_column = end.column;
		f[i].n_value = f[i].end - f[i].start;
		f[i].value = s->options->values ? tdm_arena_copy(s->call->arena, s->text + f[i].start, f[i].n_value) : NULL;
		if (s->options->values && !f[i].value)
			return tdm_fail(s->call->error, TDM_ENOMEM, "tandem scan: no memory for the values");
	}
	return s->found.failed ? tdm_fail(s->call->error, TDM_ENOMEM, "tandem scan: no memory for the findings") : TDM_OK;
}

static bool ends_with(const char *path, const char *end) {
	size_t n = strlen(path), m = strlen(end);
	return n > m && strcmp(path + n - m, end) == 0;
}

static int look_at_text(struct scan *s, const char *path, const char *text, size_t n) {
	bool json = s->options->json || ends_with(path, ".json") || ends_with(path, ".jsonl") || ends_with(path, ".ndjson");
	s->path = tdm_arena_string(s->call->arena, path);
	s->text = text;
	s->n = n;
	if (!s->path)
		return tdm_fail(s->call->error, TDM_ENOMEM, "tandem scan: no memory for another file");
	s->n_files++;
	findings(s, &s->first);
	int status = look_at_windows(s);
	if (status == TDM_OK && json)
		status = look_at_json(s);
	return status == TDM_OK ? place_findings(s) : status;
}

// --- files and folders

// A byte of 0 near the beginning: no text.
static bool is_binary(const struct tdm_bytes *file) {
	return file->len && memchr(file->data, 0, file->len < 8000 ? file->len : 8000);
}

static int look_at_file(struct scan *s, const char *path) {
	struct tdm_bytes file;
	int status = tdm_file_read(path, FILE_LIMIT_BYTES, &file, s->call->error);
	if (status != TDM_OK)
		return status;
	if (is_binary(&file))
		s->n_binary++;
	else
		status = look_at_text(s, path, file.data ? file.data : "", file.len);
	tdm_bytes_release(&file);
	return status;
}

static int look_at_path(struct scan *s, const char *path, bool named, int depth);

static int visible(const struct dirent *entry) {
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, ".git") != 0;
}

static int look_at_folder(struct scan *s, const char *path, int depth) {
	struct dirent **entries;
	int status = TDM_OK, n = scandir(path, &entries, visible, alphasort);
	if (n < 0)
		return tdm_fail(s->call->error, TDM_EIO, "%s: %s", path, strerror(errno));
	for (int i = 0; i < n; i++) {
		const char *slash = ends_with(path, "/") ? "" : "/";
		char *inner = tdm_arena_printf(s->call->arena, "%s%s%s", path, slash, entries[i]->d_name);
		if (status == TDM_OK)
			status = inner ? look_at_path(s, inner, false, depth + 1)
			               : tdm_fail(s->call->error, TDM_ENOMEM, "tandem scan: no memory for another file");
		free(entries[i]);
	}
	free(entries);
	return status;
}

// In a folder only files and folders are looked at, no links.
static int look_at_path(struct scan *s, const char *path, bool named, int depth) {
	struct stat info;
	if ((named ? stat(path, &info) : lstat(path, &info)) != 0)
		return tdm_fail(s->call->error, TDM_EIO, "%s: %s", path, strerror(errno));
	if (depth > MAX_DEPTH)
		return tdm_fail(s->call->error, TDM_EIO, "%s: folders in folders, more than %d", path, MAX_DEPTH);
	if (S_ISDIR(info.st_mode))
		return look_at_folder(s, path, depth);
	return named || S_ISREG(info.st_mode) ? look_at_file(s, path) : TDM_OK;
}

static int look_at_input(struct scan *s) {
	struct tdm_bytes input;
	int status = tdm_read_input("tandem scan", &input, s->call->error);
	if (status != TDM_OK)
		return status;
	status = look_at_text(s, "-", input.data ? input.data : "", input.len);
	tdm_bytes_release(&input);
	return status;
}

static int look_at_all(struct scan *s) {
	int status = s->call->n_operands ? TDM_OK : look_at_input(s);
	for (size_t i = 0; i < s->call->n_operands && status == TDM_OK; i++)
		status = strcmp(s->call->operands[i], "-") ? look_at_path(s, s->call->operands[i], true, 0) : look_at_input(s);
	return status;
}

static int report(struct scan *s) {
	struct tdm_bytes out;
	size_t n;
	const struct tdm_finding *f = findings(s, &n);
	tdm_bytes_init(&out, (size_t)1 << 30);
	tdm_findings_write(&out, (enum tdm_findings_form)s->options->format, f, n, s->n_files);
	int status = tdm_write_output("tandem scan", &out, s->call->error);
	tdm_bytes_release(&out);
	if (s->n_binary)
		fprintf(stderr, "tandem scan: %zu files are no text and were not looked at\n", s->n_binary);
	return status == TDM_OK && n ? TDM_EPRIVACY : status; // without a sentence: they are the output
}

static int run(const struct tdm_command_call *call) {
	struct scan s = {.call = call, .options = call->options};
	int status = tdm_looking_open(call, "tandem scan", &s.options->look, &s.detector);
	tdm_bytes_init(&s.found, (size_t)1 << 30);
	tdm_arena_init(&s.arena, (size_t)4 << 30);
	if (status == TDM_OK)
		status = look_at_all(&s);
	if (status == TDM_OK)
		status = report(&s);
	tdm_arena_release(&s.arena);
	tdm_bytes_release(&s.found);
	tdm_detector_close(&s.detector);
	return status == TDM_OK || !call->error->text[0] ? status : TDM_EVALUE; // all that failed ends with 2
}

const struct tdm_command tdm_command_scan = {
    .name = "scan",
    .summary = "private values in files, folders or standard input",
    .operands = "[PATH ...]",
    .group = "use",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .options_bytes = sizeof(struct options),
    .run = run,
};
