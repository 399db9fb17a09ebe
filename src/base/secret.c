// Secret: from the environment or a file, wiped where it is dropped.
#include "base/secret.h"
#include "base/crypto.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tdm_secret_wipe(struct tdm_bytes *secret) {
	if (secret->data)
		tdm_wipe(secret->data, secret->len);
	tdm_bytes_release(secret);
}

static int from_file(const char *where, const char *folder, const char *name, size_t limit, struct tdm_bytes *out,
                     struct tdm_error *err) {
	char path[4096];
	struct tdm_error why = {0};
	bool is_inside = folder && *name != '/';
	int n = snprintf(path, sizeof path, "%s%s%s", is_inside ? folder : "", is_inside ? "/" : "", name);
	if (n >= (int)sizeof path)
		return tdm_fail(err, TDM_ECONFIG, "%s: file: expected a path of fewer than %zu characters", where, sizeof path);
	if (tdm_file_read(path, limit, out, &why))
		return tdm_fail(err, TDM_ECONFIG, "%s: cannot be read: %s", where, why.text);
	return out->len ? TDM_OK : tdm_fail(err, TDM_ECONFIG, "%s: %s is empty", where, path);
}

static int from_environment(const char *where, const char *name, size_t limit, struct tdm_bytes *out,
                            struct tdm_error *err) {
	const char *value = getenv(name);
	if (!value || !*value)
		return tdm_fail(err, TDM_ECONFIG, "%s: the environment has no variable %s, or it is empty", where, name);
	if (strlen(value) > limit)
		return tdm_fail(err, TDM_ECONFIG, "%s: %s is longer than %zu bytes", where, name, limit);
	tdm_bytes_puts(out, value);
	return out->failed ? tdm_fail(err, TDM_ENOMEM, "%s: out of memory", where) : TDM_OK;
}

int tdm_secret_read(const char *where, const char *folder, const char *spec, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *err) {
	int status;
	tdm_bytes_init(out, limit);
	if (!strncmp(spec, "env:", 4))
		status = from_environment(where, spec + 4, limit, out, err);
	else if (!strncmp(spec, "file:", 5))
		status = from_file(where, folder, spec + 5, limit, out, err);
	else
		status = tdm_fail(err, TDM_ECONFIG, "%s: expected \"env:NAME\" or \"file:PATH\", not the secret itself", where);
	if (status)
		tdm_secret_wipe(out);
	return status;
}

int tdm_secret_line(const char *where, const char *folder, const char *spec, size_t limit, struct tdm_bytes *out,
                    struct tdm_error *err) {
	int status = tdm_secret_read(where, folder, spec, limit, out, err);
	if (status)
		return status;
	size_t n = strcspn(out->data, "\r\n");
	out->data[n] = 0;
	out->len = n;
	if (n)
		return TDM_OK;
	tdm_secret_wipe(out);
	return tdm_fail(err, TDM_ECONFIG, "%s: its first line is empty", where);
}
