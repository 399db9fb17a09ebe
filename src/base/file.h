// Files: whole-file reading, atomic writing, read-only mapping.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

int tdm_file_read(const char *path, size_t limit, struct tdm_bytes *out, struct tdm_error *err); // inits *out
// Writes to a temporary file beside path, syncs, then renames: readers see the old file or the new one.
int tdm_file_write(const char *path, const void *data, size_t n, struct tdm_error *err);

struct tdm_mapping {
	const void *data;
	size_t n;
};
int tdm_map_open(const char *path, struct tdm_mapping *out, struct tdm_error *err); // read-only
void tdm_map_close(struct tdm_mapping *mapping);
