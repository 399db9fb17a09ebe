// Store: the ledger. A record is accepted when it is in the journal, which costs its request one write(2); a thread
// takes it from there to the database, in batches. A receipt can be read from the moment on at which it was accepted.
//
// What is promised: an accepted record survives the end of this process, however it comes, and is in the database soon
// after the next start at the latest. With sync it survives a loss of power too; without it, what the system had not
// yet written back is lost then, at most the records of the last half minute, and the chain still fits. A database that
// is away or full costs nothing until the journal has reached its limit; then records are refused. docs/ledger.md.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include "ledger/record.h"

struct tdm_ledger;

struct tdm_ledger_options {
	const char *path;    // a file, made with mode 0600; ":memory:" = gone at the end; "postgresql://..."
	const char *journal; // where the journal's files are, as path.log.N; NULL: beside the file, or ./tandem
	bool sync;           // every record reaches the disk before it is accepted
	int64_t limit_bytes; // of the journal; 0 = 256 MiB
};

// Error: TDM_ELEDGER, among others when another process uses the path. One path is opened once at a time.
int tdm_ledger_open(const struct tdm_ledger_options *o, struct tdm_ledger **out, struct tdm_error *err);
// For reading alone, also while another process writes to it: nothing is made, locked or changed, and what waits in its
// journal is not seen. Of the functions below only receipt and after may be asked of it, and close.
int tdm_ledger_open_to_read(const char *path, struct tdm_ledger **out, struct tdm_error *err);
void tdm_ledger_close(struct tdm_ledger *l); // brings to the database what is in the journal, if the database is there
// Accepts the record, or TDM_ELEDGER. Thread-safe. receipt: what tdm_receipt_write gave for it, for who needs it too.
int tdm_ledger_write(struct tdm_ledger *l, const struct tdm_record *r, struct tdm_error *err);
int tdm_ledger_write_with(struct tdm_ledger *l, const struct tdm_record *r, const struct tdm_bytes *receipt,
                          struct tdm_error *err);
// Accepts a text that is no request's, such as a certificate: one JSON object without a field "receipt", which is in
// the chain from then on and is found with tdm_ledger_receipt. Kept once: what has this id already stays as it is.
int tdm_ledger_keep(struct tdm_ledger *l, const char *id, const struct tdm_bytes *text, struct tdm_error *err);
// Whether a record would be accepted now: after a failure the journal is tried with an entry that says nothing.
bool tdm_ledger_ready(struct tdm_ledger *l);
// The receipt of a tenant (NULL tenant = any) appended to out. Error: TDM_ERECEIPT (also for another tenant's),
// TDM_ELEDGER when the database is away.
int tdm_ledger_receipt(struct tdm_ledger *l, const char *id, const char *tenant, struct tdm_bytes *out,
                       struct tdm_error *err);
// The number of the newest request in the database, to which everything that was accepted is brought first; 0 = none.
int tdm_ledger_newest(struct tdm_ledger *l, int64_t *number, struct tdm_error *err);
// Appends the receipts of at most `most` requests above *number, oldest first, a line each; *number becomes the last.
int tdm_ledger_after(struct tdm_ledger *l, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err);
// Waits until what was accepted before is in the database. Error: TDM_ELEDGER; the database is away.
int tdm_ledger_flush(struct tdm_ledger *l, struct tdm_error *err);
// Flushes and walks the hash chain: TDM_OK, or TDM_ELEDGER naming the first row that does not fit.
int tdm_ledger_verify(struct tdm_ledger *l, struct tdm_error *err);

struct tdm_ledger_state {
	int64_t accepted, refused; // records, since the start
	int64_t waiting_bytes;     // in the journal
	bool is_away;              // the database did not take the last batch
};
void tdm_ledger_look(struct tdm_ledger *l, struct tdm_ledger_state *out);
