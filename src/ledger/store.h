// Store: the ledger on disk. SQLite in WAL mode with one writer thread; a record is on disk (or refused) before its
// receipt is shown. Tables: requests (one row per request, with the receipt's JSON), calls and decisions (one row each,
// for statistics). Every request row carries the hash of the row before it, so that a removed or changed row is
// noticed.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include "ledger/record.h"

struct tdm_ledger;

// path: a file, made with mode 0600; ":memory:" = gone at the end. Error: TDM_ELEDGER.
int tdm_ledger_open(const char *path, struct tdm_ledger **out, struct tdm_error *err);
void tdm_ledger_close(struct tdm_ledger *l); // writes what is queued first
// Writes the record and its rows in one transaction and returns when it is committed (writers of many threads share one
// commit). Thread-safe.
int tdm_ledger_write(struct tdm_ledger *l, const struct tdm_record *r, struct tdm_error *err);
// The receipt of a tenant (NULL tenant = any) appended to out. Error: TDM_ERECEIPT (also for another tenant's).
int tdm_ledger_receipt(struct tdm_ledger *l, const char *id, const char *tenant, struct tdm_bytes *out,
                       struct tdm_error *err);
// The number of the newest request in the ledger; 0 = none.
int tdm_ledger_newest(struct tdm_ledger *l, int64_t *number, struct tdm_error *err);
// Appends the receipts of at most `most` requests above *number, oldest first, a line each; *number becomes the last.
int tdm_ledger_after(struct tdm_ledger *l, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err);
// Walks the hash chain: TDM_OK, or TDM_ELEDGER naming the first row that does not fit.
int tdm_ledger_verify(struct tdm_ledger *l, struct tdm_error *err);
