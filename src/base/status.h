// Status: how a failure is reported. The codes, and what a caller sees of a failure, are public: tandem_status.h.
#pragma once
#include "tandem_status.h"
#include <stddef.h>

// Sets *err (may be NULL) and returns status, so that `return tdm_fail(err, TDM_EFORMAT, ...)` reads well.
// The first failure wins: an err that is already set keeps its sentence, and its status is returned.
int tdm_fail(struct tdm_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
int tdm_fail_param(struct tdm_error *err, int status, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
