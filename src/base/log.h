// Log: one line per event to standard error, key=value, never prompt or answer text.
#pragma once

enum tdm_level { TDM_DEBUG, TDM_INFO, TDM_WARN, TDM_ERROR };

void tdm_log_set_level(enum tdm_level level);
// event: one word with dots, such as "serve.start"; run: the run id or NULL; format: " key=value key=value".
// Thread-safe: a line is written with one write(2).
void tdm_log(enum tdm_level level, const char *event, const char *run, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
