// Journal: entries on their way to the database, in files that are only appended to. One write(2) per entry, so that an
// entry which was accepted outlives this process, however it ends; with sync it is on the disk before that, and then it
// outlives the machine's power too.
//
// The rule it protects: an accepted entry is read again until the one who takes entries away has said that it no longer
// needs it; one that was refused is never read. Positions count bytes from the first entry on, and go on over files and
// over restarts. All functions are thread-safe, but one thread alone forgets.
#pragma once
#include "base/bytes.h"
#include "base/status.h"
#include <stdint.h>

struct tdm_journal;

// What an entry begins with: the caller leaves room for it and its payload follows.
#define TDM_JOURNAL_HEAD_BYTES 16

struct tdm_journal_options {
	const char *path; // files are path.log.POSITION, the lock is path.lock; NULL: in memory, gone at the end
	bool sync;        // fdatasync before an entry is accepted; many threads share one
	int64_t limit_bytes, file_bytes;  // of all files together; of one; 0: 256 MiB, a 32nd part of the limit
	void (*gap)(struct tdm_bytes *b); // appends the payload of the entry that stands for entries that a disk lost
};

// Error: TDM_ELEDGER, among others when another process uses the path.
int tdm_journal_open(const struct tdm_journal_options *o, struct tdm_journal **out, struct tdm_error *err);
void tdm_journal_close(struct tdm_journal *j); // files that hold nothing any more go away
// entry: n bytes with room for the head at its start, which is filled in. Error: TDM_ELEDGER; nothing was kept.
int tdm_journal_append(struct tdm_journal *j, void *entry, size_t n, struct tdm_error *err);

int64_t tdm_journal_begin(struct tdm_journal *j); // the first that is not forgotten
int64_t tdm_journal_end(struct tdm_journal *j);   // behind the last that may be read
// Whole entries from position `from` on replace what is in out: about a MiB, or one. Returns the position behind them
// (`from` at the end), or -1: the file cannot be read, errno says why.
int64_t tdm_journal_read(struct tdm_journal *j, int64_t from, struct tdm_bytes *out);
// The next payload in what was read; *at begins as 0. NULL at the end.
const char *tdm_journal_next(const struct tdm_bytes *read, size_t *at, size_t *n);
void tdm_journal_forget(struct tdm_journal *j, int64_t before);
// Between these two nothing is forgotten, so that a reader finds what it began to read.
void tdm_journal_hold(struct tdm_journal *j);
void tdm_journal_release(struct tdm_journal *j);
