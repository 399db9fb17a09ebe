// Files: whole-file reading, atomic writing, read-only mapping.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include <stdbool.h>

struct stat;
// What open() gave for path: its stat. Error: it is none (errno says why), or a folder; it is closed then.
int tdm_file_opened(int fd, const char *path, struct stat *info, struct tdm_error *err);
int tdm_file_read(const char *path, size_t limit, struct tdm_bytes *out, struct tdm_error *err); // inits *out
// Writes to a temporary file beside path, syncs, then renames: readers see the old file or the new one. What is there
// and no regular file stays: TDM_EIO.
int tdm_file_write(const char *path, const void *data, size_t n, struct tdm_error *err);
// The same for content that comes in parts: it has its name when tdm_output_commit succeeded.
struct tdm_output {
	const char *path; // the caller's
	char *name;       // of the temporary file; NULL after the end
	int fd;
};
int tdm_output_open(struct tdm_output *o, const char *path, struct tdm_error *err);
int tdm_output_write(struct tdm_output *o, const void *data, size_t n, struct tdm_error *err);
int tdm_output_commit(struct tdm_output *o, struct tdm_error *err); // ends it, also when it fails
void tdm_output_drop(struct tdm_output *o); // removes what was written; does nothing after the end

struct tdm_mapping {
	const void *data;
	size_t n;
	int place; // in the table of mappings
};
int tdm_map_open(const char *path, struct tdm_mapping *out, struct tdm_error *err); // read-only; regular files only
// The file was cut off while it was read: what was missing has read as zeros.
bool tdm_map_changed(const struct tdm_mapping *mapping);
void tdm_map_close(struct tdm_mapping *mapping);
