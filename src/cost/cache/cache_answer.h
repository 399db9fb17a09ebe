// Answer of a cache: a whole answer as bytes, event by event, so that it is shown again exactly as it was made.
#pragma once
#include "base/bytes.h"
#include "models/model.h"

void tdm_cache_write_event(struct tdm_bytes *out, const struct tdm_event *event);
void tdm_cache_write_result(struct tdm_bytes *out, const struct tdm_result *result); // after the last event
// Puts the events into the sink and fills *result. False: the bytes are no answer, and nothing was put. *status: what
// the sink returned, TDM_SINK_ENOUGH as TDM_OK. What is put lives in run->arena.
bool tdm_cache_replay(struct tdm_run *run, const struct tdm_request *request, const char *data, size_t n,
                      struct tdm_sink *sink, struct tdm_result *result, int *status);
