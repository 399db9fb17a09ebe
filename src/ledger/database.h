// Database: where the ledger's entries come to rest. One interface, one file per database; the tables are the same:
// requests (one row per request, with the receipt's JSON), calls and decisions (one row each, for statistics). Every
// request row carries the hash of the row before it, so that a removed or changed row is noticed.
//
// Used by several threads: each database locks itself.
#pragma once
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/status.h"
#include "ledger/entry.h"

#define TDM_CHAIN_BYTES (2 * TDM_SHA256_BYTES + 1) // in hexadecimal, with its NUL

struct tdm_database;
struct tdm_database_ops {
	// All entries in one transaction, or none of them. known: some may be there already and are left out then. An entry
	// that the database will never take is logged and left out. Error: TDM_ELEDGER; asking again may help.
	int (*write)(struct tdm_database *db, const struct tdm_entry *entries, size_t n, bool known, struct tdm_error *err);
	// The receipt of a tenant (NULL = any) appended to out. Error: TDM_ERECEIPT, TDM_ELEDGER.
	int (*receipt)(struct tdm_database *db, const char *id, const char *tenant, struct tdm_bytes *out,
	               struct tdm_error *err);
	int (*newest)(struct tdm_database *db, int64_t *number, struct tdm_error *err); // of all rows; 0 = none
	// Receipts of at most `most` rows above *number, oldest first, a line each; *number becomes the last.
	int (*after)(struct tdm_database *db, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err);
	int (*verify)(struct tdm_database *db, struct tdm_error *err);
	void (*close)(struct tdm_database *db);
};
struct tdm_database { // first member of each
	const struct tdm_database_ops *ops;
};

// only_read: what is there is read; nothing is made or changed, and write() fails.
int tdm_sqlite_open(const char *path, bool only_read, struct tdm_database **out, struct tdm_error *err);
// url: postgresql://... ; a server that does not answer is asked again when something is to be written or read.
int tdm_postgres_open(const char *url, bool only_read, struct tdm_database **out, struct tdm_error *err);

// chain = SHA-256(previous chain, receipt), in hexadecimal; chain begins as "".
void tdm_chain_extend(char chain[TDM_CHAIN_BYTES], const char *receipt, size_t n);
// Whether a row with this receipt and chain fits the rows before it, whose chain is in `chain`, which goes on.
int tdm_chain_check(char chain[TDM_CHAIN_BYTES], long long number, const char *receipt, size_t n, const char *stored,
                    struct tdm_error *err);
