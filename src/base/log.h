// Log: one line per event, key=value or JSON, to standard error or a file; never prompt or answer text, nor keys.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stdint.h>

enum tdm_level { TDM_DEBUG, TDM_INFO, TDM_WARN, TDM_ERROR };

void tdm_log_set_level(enum tdm_level level);
// Where lines go from now on. path NULL: standard error. Error: TDM_EIO, and nothing has changed.
int tdm_log_open(const char *path, bool json, struct tdm_error *err);
// The file of the same name again, after somebody has moved it away; lines go on into the old one when that fails.
int tdm_log_reopen(struct tdm_error *err);
int64_t tdm_log_lost(void); // lines that could not be written and no longer fit in memory
// From here on lines below a warning may wait up to 20 ms, so that many leave together; not from two threads at once.
// no_more: what waits is written. Without memory for its thread nothing is gathered.
void tdm_log_gather(void);
void tdm_log_gather_no_more(void);
// event: one word with dots, such as "serve.start"; run: the run id or NULL; format: " key=value key=\"several
// words\"". Thread-safe: no line is ever cut by another. Lines that cannot be written wait in memory for the next
// that can.
void tdm_log(enum tdm_level level, const char *event, const char *run, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
