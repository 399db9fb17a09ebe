// Texts: see texts.h.
#include "cli/texts.h"
#include "base/file.h"
#include "cli/embedded.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIST_LIMIT_BYTES ((size_t)64 << 20)
#define INPUT_LIMIT_BYTES ((size_t)256 << 20)

// The lines that hold something.
static int read_list(const struct tdm_command_call *call, const char *path, struct tdm_strings *out) {
	struct tdm_bytes file;
	size_t n = 1;
	if (!path)
		return TDM_OK;
	int status = tdm_file_read(path, LIST_LIMIT_BYTES, &file, call->error);
	if (status != TDM_OK)
		return status;
	for (size_t i = 0; i < file.len; i++)
		n += file.data[i] == '\n';
	char *text = tdm_arena_copy(call->arena, file.data ? file.data : "", file.len);
	tdm_bytes_release(&file);
	out->items = tdm_arena_array(call->arena, n, sizeof *out->items);
	if (!text || !out->items)
		return tdm_fail(call->error, TDM_ENOMEM, "%s: no memory for %zu lines", path, n);
	for (char *line; (line = strsep(&text, "\n"));) {
		size_t length = strlen(line);
		if (length && line[length - 1] == '\r')
			line[length - 1] = 0;
		if (*line)
			out->items[out->n++] = line;
	}
	return TDM_OK;
}

int tdm_looking_open(const struct tdm_command_call *call, const char *who, const struct tdm_looking *o,
                     struct tdm_detector *out) {
	struct tdm_detector_lists lists = {
	    .detect = o->detect, .packs = o->packs, .bias = o->bias, .weights = o->weights, .embedded = tdm_embedded};
	int status = read_list(call, o->deny, &lists.deny);
	if (status == TDM_OK)
		status = read_list(call, o->allow, &lists.allow);
	if (status == TDM_OK)
		status = read_list(call, o->patterns, &lists.patterns);
	return status == TDM_OK ? tdm_detector_open(out, call->arena, who, &lists, call->error) : status;
}

int tdm_read_input(const char *who, struct tdm_bytes *out, struct tdm_error *err) {
	char part[65536];
	ssize_t n;
	tdm_bytes_init(out, INPUT_LIMIT_BYTES);
	do {
		n = read(STDIN_FILENO, part, sizeof part);
		if (n > 0)
			tdm_bytes_add(out, part, (size_t)n);
	} while ((n > 0 && !out->failed) || (n < 0 && errno == EINTR));
	int status = TDM_OK;
	if (n < 0)
		status = tdm_fail(err, TDM_EIO, "%s: standard input: %s", who, strerror(errno));
	else if (out->failed)
		status = tdm_fail(err, TDM_ETOOLARGE, "%s: standard input is longer than 256 MiB", who);
	if (status != TDM_OK)
		tdm_bytes_release(out);
	return status;
}

int tdm_write_output(const char *who, const struct tdm_bytes *b, struct tdm_error *err) {
	if (b->failed)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for the output", who);
	if (fwrite(b->data ? b->data : "", 1, b->len, stdout) != b->len || fflush(stdout))
		return tdm_fail(err, TDM_EIO, "%s: cannot write: %s", who, strerror(errno));
	return TDM_OK;
}
