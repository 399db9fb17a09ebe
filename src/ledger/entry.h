// Entry: a record as it travels to the database: what the tables hold of it, and its receipt. A record is gone when its
// request has been answered; its entry is in the journal then.
#pragma once
#include "base/bytes.h"
#include "ledger/record.h"
#include <stddef.h>

struct tdm_entry { // strings are borrowed from the bytes that it was read from; NULL = none
	const char *id, *tenant, *state, *requested, *served, *error, *receipt;
	size_t receipt_bytes;
	int64_t created_s, total_us;
	double cost;
	uint32_t n_calls, n_decisions;
	const char *rows, *end; // of calls, then of decisions
};

struct tdm_entry_call {
	const char *model, *purpose, *status;
	int64_t prompt_tokens, completion_tokens, us;
	double cost;
};

struct tdm_entry_decision {
	const char *by, *kind, *choice;
	double score, threshold;
};

// Appended; out->failed: no room. receipt: what tdm_receipt_write gave for it, NULL: it is made here.
void tdm_entry_write(struct tdm_bytes *out, const struct tdm_record *r, const struct tdm_bytes *receipt);
bool tdm_entry_read(const char *data, size_t n, struct tdm_entry *out);       // false: not what was written
bool tdm_entry_call(struct tdm_entry *e, struct tdm_entry_call *out);         // n_calls times, first
bool tdm_entry_decision(struct tdm_entry *e, struct tdm_entry_decision *out); // then n_decisions times
// The payload of the entry that stands for entries which a disk lost.
void tdm_entry_write_gap(struct tdm_bytes *out);
// A text that is no request's, under an id of its own: its state is TDM_DOCUMENT, and it has no field "receipt".
#define TDM_DOCUMENT "document"
void tdm_entry_write_document(struct tdm_bytes *out, const char *id, const struct tdm_bytes *text);
