// Status: the rows of TDM_STATUS_TABLE and the one way to report a failure.
//
// The rule kept here: the first failure of a request is the one that is told, because the later ones are
// usually its consequences. To add a failure, add a row to the table in status.h; this file follows.
#include "base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct tdm_status_info rows[TDM_N_STATUS] = {
#define X(name, code, http, type, mtype, retry) {code, http, type, mtype, TDM_RETRY_##retry},
    TDM_STATUS_TABLE(X)
#undef X
};

const struct tdm_status_info *tdm_status_info(int status) {
	if (status >= 0 || status < -TDM_N_STATUS)
		return &rows[TDM_ROW_EINTERNAL];
	return &rows[-1 - status];
}

static int fail(struct tdm_error *err, int status, const char *param, const char *format, va_list args) {
	if (!err)
		return status;
	if (err->status != TDM_OK)
		return err->status;
	err->status = status;
	snprintf(err->param, sizeof err->param, "%s", param);
	vsnprintf(err->text, sizeof err->text, format, args);
	return status;
}

int tdm_fail(struct tdm_error *err, int status, const char *format, ...) {
	va_list args;
	va_start(args, format);
	status = fail(err, status, "", format, args);
	va_end(args);
	return status;
}

int tdm_fail_param(struct tdm_error *err, int status, const char *param, const char *format, ...) {
	va_list args;
	va_start(args, format);
	status = fail(err, status, param ? param : "", format, args);
	va_end(args);
	return status;
}

void tdm_error_clear(struct tdm_error *err) {
	memset(err, 0, sizeof *err);
}
