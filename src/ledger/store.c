// Store: the journal, the database, and the thread that carries entries from one to the other.
//
// The rule it protects: a record that was accepted is in the journal or in the database at every moment, so that every
// receipt that was shown can be read; entries leave the journal only after the database has committed them. A batch
// whose commit was not confirmed is offered again, and the database leaves out what it has.
//
// Locks: mutex guards the fields behind it. The journal and the database lock themselves.
#include "ledger/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "ledger/database.h"
#include "ledger/entry.h"
#include "ledger/journal.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define ENTRY_LIMIT_BYTES ((size_t)4 << 20)
#define GATHER_US 100000    // a batch begins so long after its first record
#define AGAIN_US 500000     // after a failure of the database
#define FLUSH_US 10000000   // the longest wait of a flush
#define MOST_OF_A_BATCH 512 // entries in one transaction
#define NICENESS 10         // of the thread that writes what nobody waits for

struct tdm_ledger {
	struct tdm_journal *journal;
	struct tdm_database *database;
	pthread_t drainer;
	int64_t known_before; // entries before this position may be in the database

	pthread_mutex_t mutex;
	pthread_cond_t work, moved;
	bool is_asleep, is_urgent, is_stopping, is_away, has_failed;
	int64_t drained; // position
	int64_t accepted, refused;
};

// --- accepting

static void wake(struct tdm_ledger *l) {
	if (l->is_asleep) {
		l->is_asleep = false;
		pthread_cond_signal(&l->work);
	}
}

static int accept_entry(struct tdm_ledger *l, struct tdm_bytes *entry, struct tdm_error *err) {
	int status = entry->failed
	                 ? tdm_fail(err, TDM_ELEDGER, "ledger: a record is larger than %zu bytes", ENTRY_LIMIT_BYTES)
	                 : tdm_journal_append(l->journal, entry->data, entry->len, err);
	pthread_mutex_lock(&l->mutex);
	l->accepted += !status;
	l->refused += status != TDM_OK;
	bool is_news = l->has_failed != (status != TDM_OK);
	l->has_failed = status != TDM_OK;
	wake(l);
	pthread_mutex_unlock(&l->mutex);
	if (is_news)
		tdm_log(status ? TDM_ERROR : TDM_INFO, status ? "ledger.refuse" : "ledger.accept", NULL, " reason=\"%s\"",
		        status && err ? err->text : "");
	return status;
}

int tdm_ledger_write(struct tdm_ledger *l, const struct tdm_record *r, struct tdm_error *err) {
	return tdm_ledger_write_with(l, r, NULL, err);
}

int tdm_ledger_write_with(struct tdm_ledger *l, const struct tdm_record *r, const struct tdm_bytes *receipt,
                          struct tdm_error *err) {
	struct tdm_bytes entry;
	const char head[TDM_JOURNAL_HEAD_BYTES] = {0};
	tdm_bytes_init(&entry, ENTRY_LIMIT_BYTES);
	tdm_bytes_add(&entry, head, sizeof head);
	tdm_entry_write(&entry, r, receipt);
	entry.failed |= receipt && receipt->failed;
	int status = accept_entry(l, &entry, err);
	tdm_bytes_release(&entry);
	return status;
}

int tdm_ledger_keep(struct tdm_ledger *l, const char *id, const struct tdm_bytes *text, struct tdm_error *err) {
	struct tdm_bytes entry;
	const char head[TDM_JOURNAL_HEAD_BYTES] = {0};
	tdm_bytes_init(&entry, ENTRY_LIMIT_BYTES);
	tdm_bytes_add(&entry, head, sizeof head);
	tdm_entry_write_document(&entry, id, text);
	entry.failed |= text->failed;
	int status = accept_entry(l, &entry, err);
	tdm_bytes_release(&entry);
	return status;
}

bool tdm_ledger_ready(struct tdm_ledger *l) {
	char nothing[TDM_JOURNAL_HEAD_BYTES + 1] = {0}; // no entry begins like this: it is passed over
	pthread_mutex_lock(&l->mutex);
	bool has_failed = l->has_failed;
	pthread_mutex_unlock(&l->mutex);
	if (!has_failed)
		return true;
	bool is_ready = tdm_journal_append(l->journal, nothing, sizeof nothing, NULL) == TDM_OK;
	pthread_mutex_lock(&l->mutex);
	l->has_failed = !is_ready;
	wake(l);
	pthread_mutex_unlock(&l->mutex);
	return is_ready;
}

// --- from the journal to the database

static size_t read_entries(const struct tdm_bytes *chunk, size_t *at, struct tdm_entry *out, bool *is_known) {
	size_t n = 0, n_bytes;
	const char *payload;
	while (n < MOST_OF_A_BATCH && (payload = tdm_journal_next(chunk, at, &n_bytes)))
		if (tdm_entry_read(payload, n_bytes, &out[n]))
			*is_known |= !strcmp(out[n++].state, TDM_DOCUMENT); // each start offers its documents anew
	return n;
}

// What was read from position `from` on, which ends at `next`.
static int write_chunk(struct tdm_ledger *l, const struct tdm_bytes *chunk, int64_t from, struct tdm_error *err) {
	struct tdm_entry *entries = calloc(MOST_OF_A_BATCH, sizeof *entries);
	bool is_known = from < l->known_before || l->is_away;
	size_t at = 0;
	int status = entries ? TDM_OK : tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	while (!status && at < chunk->len) {
		size_t n = read_entries(chunk, &at, entries, &is_known);
		if (n)
			status = l->database->ops->write(l->database, entries, n, is_known, err);
		else
			break;
	}
	free(entries);
	return status;
}

// One chunk. TDM_OK: *drained has moved, or there was nothing.
static int drain(struct tdm_ledger *l, struct tdm_bytes *chunk, int64_t *drained, struct tdm_error *err) {
	int64_t next = tdm_journal_read(l->journal, *drained, chunk);
	if (next < 0)
		return tdm_fail(err, TDM_ELEDGER, "ledger: the journal cannot be read: %s", strerror(errno));
	int status = next > *drained ? write_chunk(l, chunk, *drained, err) : TDM_OK;
	if (status || next == *drained)
		return status;
	*drained = next;
	tdm_journal_forget(l->journal, next);
	return TDM_OK;
}

static void sleep_us(struct tdm_ledger *l, int64_t us) {
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += us % 1000000 * 1000;
	until.tv_sec += us / 1000000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!l->is_urgent && !l->is_stopping && !pthread_cond_timedwait(&l->work, &l->mutex, &until))
		;
}

// Under mutex. False: it is time to end.
static bool wait_for_work(struct tdm_ledger *l, bool has_failed) {
	if (has_failed) {
		if (l->is_stopping)
			return false;
		l->is_urgent = false; // who waits for a flush is told
		pthread_cond_broadcast(&l->moved);
		sleep_us(l, AGAIN_US);
		return true;
	}
	while (tdm_journal_end(l->journal) <= l->drained) {
		if (l->is_stopping)
			return false;
		l->is_asleep = true;
		pthread_cond_wait(&l->work, &l->mutex);
		l->is_asleep = false;
	}
	sleep_us(l, GATHER_US);
	return true;
}

static void note(struct tdm_ledger *l, int status, const struct tdm_error *err) {
	bool is_news = l->is_away != (status != TDM_OK);
	l->is_away = status != TDM_OK;
	if (is_news)
		tdm_log(status ? TDM_ERROR : TDM_INFO, status ? "ledger.away" : "ledger.back", NULL, " reason=\"%s\"",
		        err->text);
}

static void *drain_loop(void *context) {
	struct tdm_ledger *l = context;
	struct tdm_bytes chunk;
	int status = TDM_OK;
	setpriority(PRIO_PROCESS, 0, NICENESS); // on Linux: of this thread
	tdm_bytes_init(&chunk, SIZE_MAX / 4);
	pthread_mutex_lock(&l->mutex);
	while (wait_for_work(l, status != TDM_OK)) {
		int64_t drained = l->drained, end = tdm_journal_end(l->journal);
		struct tdm_error err = {0};
		pthread_mutex_unlock(&l->mutex);
		do
			status = drain(l, &chunk, &drained, &err);
		while (!status && drained < end);
		pthread_mutex_lock(&l->mutex);
		note(l, status, &err);
		l->drained = drained;
		l->is_urgent = l->is_urgent && tdm_journal_end(l->journal) > drained;
		pthread_cond_broadcast(&l->moved);
	}
	pthread_mutex_unlock(&l->mutex);
	tdm_bytes_release(&chunk);
	return NULL;
}

int tdm_ledger_flush(struct tdm_ledger *l, struct tdm_error *err) {
	int64_t end = tdm_journal_end(l->journal);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FLUSH_US / 1000000;
	int late = 0;
	pthread_mutex_lock(&l->mutex);
	l->is_urgent = l->is_urgent || l->drained < end;
	pthread_cond_signal(&l->work);
	while (l->drained < end && l->is_urgent && !late)
		late = pthread_cond_timedwait(&l->moved, &l->mutex, &until);
	bool is_done = l->drained >= end;
	pthread_mutex_unlock(&l->mutex);
	return is_done ? TDM_OK
	               : tdm_fail(err, TDM_ELEDGER, "ledger: its database does not take what waits in the journal");
}

// --- reading

static bool find_in_chunk(const struct tdm_bytes *chunk, const char *id, const char *tenant, struct tdm_bytes *out,
                          bool *is_others) {
	struct tdm_entry e;
	size_t at = 0, n;
	const char *payload;
	while ((payload = tdm_journal_next(chunk, &at, &n))) {
		if (!tdm_entry_read(payload, n, &e) || strcmp(e.id, id))
			continue;
		*is_others = tenant && (!e.tenant || strcmp(tenant, e.tenant));
		if (!*is_others)
			tdm_bytes_add(out, e.receipt, e.receipt_bytes);
		return true;
	}
	return false;
}

// First in the journal, then in the database: an entry that leaves the journal meanwhile is there already.
int tdm_ledger_receipt(struct tdm_ledger *l, const char *id, const char *tenant, struct tdm_bytes *out,
                       struct tdm_error *err) {
	struct tdm_bytes chunk;
	bool is_found = false, is_others = false;
	if (!l->journal)
		return l->database->ops->receipt(l->database, id, tenant, out, err);
	tdm_bytes_init(&chunk, SIZE_MAX / 4);
	tdm_journal_hold(l->journal);
	int64_t at = tdm_journal_begin(l->journal), next;
	while (!is_found && (next = tdm_journal_read(l->journal, at, &chunk)) > at) {
		is_found = find_in_chunk(&chunk, id, tenant, out, &is_others);
		at = next;
	}
	tdm_journal_release(l->journal);
	tdm_bytes_release(&chunk);
	if (is_found && !is_others)
		return TDM_OK;
	if (is_others)
		return tdm_fail(err, TDM_ERECEIPT, "there is no receipt with this id");
	return l->database->ops->receipt(l->database, id, tenant, out, err);
}

int tdm_ledger_newest(struct tdm_ledger *l, int64_t *number, struct tdm_error *err) {
	tdm_ledger_flush(l, NULL); // what the database does not take is not counted
	return l->database->ops->newest(l->database, number, err);
}

int tdm_ledger_after(struct tdm_ledger *l, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err) {
	return l->database->ops->after(l->database, number, most, out, err);
}

int tdm_ledger_verify(struct tdm_ledger *l, struct tdm_error *err) {
	int status = tdm_ledger_flush(l, err);
	return status ? status : l->database->ops->verify(l->database, err);
}

void tdm_ledger_look(struct tdm_ledger *l, struct tdm_ledger_state *out) {
	int64_t end = tdm_journal_end(l->journal);
	pthread_mutex_lock(&l->mutex);
	*out = (struct tdm_ledger_state){l->accepted, l->refused, end - l->drained, l->is_away};
	pthread_mutex_unlock(&l->mutex);
}

// --- opening and closing

static bool is_postgres(const char *path) {
	return !strncmp(path, "postgresql://", 13) || !strncmp(path, "postgres://", 11);
}

static int open_database(const char *path, bool only_read, struct tdm_database **out, struct tdm_error *err) {
	return is_postgres(path) ? tdm_postgres_open(path, only_read, out, err)
	                         : tdm_sqlite_open(path, only_read, out, err);
}

static int open_parts(struct tdm_ledger *l, const struct tdm_ledger_options *o, struct tdm_error *err) {
	bool is_remote = is_postgres(o->path), in_memory = !strcmp(o->path, ":memory:");
	struct tdm_journal_options j = {.path = o->journal  ? o->journal
	                                        : is_remote ? "tandem"
	                                        : in_memory ? NULL
	                                                    : o->path,
	                                .sync = o->sync && !in_memory,
	                                .limit_bytes = o->limit_bytes,
	                                .gap = tdm_entry_write_gap};
	int status = tdm_journal_open(&j, &l->journal, err); // first: its lock keeps others away from the database
	if (!status)
		status = open_database(o->path, false, &l->database, err);
	if (status)
		return status;
	l->drained = tdm_journal_begin(l->journal);
	l->known_before = tdm_journal_end(l->journal);
	if (pthread_create(&l->drainer, NULL, drain_loop, l))
		return tdm_fail(err, TDM_ELEDGER, "ledger: cannot start its thread");
	return TDM_OK;
}

int tdm_ledger_open_to_read(const char *path, struct tdm_ledger **out, struct tdm_error *err) {
	if (!is_postgres(path) && access(path, R_OK) != 0)
		return tdm_fail(err, TDM_ELEDGER, "ledger: there is no file %s that can be read", path);
	struct tdm_ledger *l = calloc(1, sizeof *l);
	if (!l)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	int status = open_database(path, true, &l->database, err);
	if (status)
		free(l);
	else
		*out = l;
	return status;
}

static void close_parts(struct tdm_ledger *l) {
	if (l->database)
		l->database->ops->close(l->database);
	if (l->journal)
		tdm_journal_close(l->journal);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->moved);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

int tdm_ledger_open(const struct tdm_ledger_options *o, struct tdm_ledger **out, struct tdm_error *err) {
	struct tdm_ledger *l = calloc(1, sizeof *l);
	pthread_condattr_t monotonic;
	if (!l)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	pthread_mutex_init(&l->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, &monotonic);
	pthread_cond_init(&l->moved, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int status = open_parts(l, o, err);
	if (status)
		close_parts(l);
	else
		*out = l;
	return status;
}

void tdm_ledger_close(struct tdm_ledger *l) {
	if (!l->journal) { // opened to read
		l->database->ops->close(l->database);
		free(l);
		return;
	}
	pthread_mutex_lock(&l->mutex);
	l->is_stopping = true;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->mutex);
	pthread_join(l->drainer, NULL);
	close_parts(l);
}
