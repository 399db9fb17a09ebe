// Stats: what the receipts of the last hour and day add up to: over time, per model, per key. The ledger's rows are
// read once each, by whoever asks for a window, so that nobody pays who does not look. Thread-safe.
#pragma once
#include "ledger/store.h"

enum tdm_window { TDM_LAST_HOUR, TDM_LAST_DAY, TDM_N_WINDOWS };
struct tdm_stats;

struct tdm_stats *tdm_stats_new(void); // NULL: out of memory
void tdm_stats_free(struct tdm_stats *s);
// Reads what the ledger has gained, then appends the members of a JSON object, without its braces: times, totals,
// models, requested, keys, entities, recent. now_s: seconds since 1970. TDM_OK, TDM_ENOMEM, or the ledger's error.
int tdm_ledger_stats(struct tdm_ledger *l, struct tdm_stats *s, enum tdm_window window, int64_t now_s,
                     struct tdm_bytes *out, struct tdm_error *err);
