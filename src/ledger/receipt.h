// Receipt: a record as the JSON that clients see (wire form: version 1). Numbers, names from the configuration, types
// and codes only.
#pragma once
#include "base/bytes.h"
#include "ledger/record.h"

void tdm_receipt_write(struct tdm_bytes *out, const struct tdm_record *r);
// At most limit bytes: leaves out values, then calls, then decisions, and says "truncated": true.
void tdm_receipt_write_inline(struct tdm_bytes *out, const struct tdm_record *r, size_t limit);
