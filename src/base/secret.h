// Secret: a key or password, which stands in the environment or in a file of its own, never in settings.
#pragma once
#include "base/bytes.h"
#include "base/status.h"

// spec: "env:NAME", or "file:PATH" with a relative path in folder (NULL: where the process is). Inits *out and puts
// there what the variable or the file holds, at most limit bytes and a zero after them. TDM_ECONFIG, with a sentence
// that begins with `where` and quotes nothing of the secret: no such variable, it is empty or too long, the file cannot
// be read, spec is neither; *out is empty then.
int tdm_secret_read(const char *where, const char *folder, const char *spec, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *err);
// The same for text: what stands before the first line break.
int tdm_secret_line(const char *where, const char *folder, const char *spec, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *err);
void tdm_secret_wipe(struct tdm_bytes *secret); // and releases it
