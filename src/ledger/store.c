// Store: SQLite behind one writer thread. Callers queue a record and wait; the thread writes everything that is queued
// in one transaction (group commit), so that many requests share the cost of reaching the disk.
//
// Locks: mutex guards the queue; database guards the connection (the writer's transaction, or one read).
// A new column: the schema, write_request(), and a raised SCHEMA_VERSION.
#include "ledger/store.h"
#include "base/crypto.h"
#include "ledger/receipt.h"
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define RECEIPT_LIMIT_BYTES ((size_t)4 << 20)

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS requests (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, tenant TEXT, state TEXT "
    "NOT NULL,"
    " created INTEGER NOT NULL, requested TEXT, served TEXT, error TEXT, cost REAL NOT NULL, total_us INTEGER NOT NULL,"
    " receipt TEXT NOT NULL, chain TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS calls (request TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL, status TEXT "
    "NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL, us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS decisions (request TEXT NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, choice TEXT "
    "NOT NULL,"
    " score REAL, threshold REAL);";

enum statement { ADD_REQUEST, ADD_CALL, ADD_DECISION, GET_RECEIPT, LAST_CHAIN, NEWEST, AFTER, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
    [ADD_REQUEST] =
        ("INSERT INTO requests (id, tenant, state, created, requested, served, error, cost, total_us, receipt,"
         " chain) VALUES (?,?,?,?,?,?,?,?,?,?,?)"),
    [ADD_CALL] = "INSERT INTO calls VALUES (?,?,?,?,?,?,?,?)",
    [ADD_DECISION] = "INSERT INTO decisions VALUES (?,?,?,?,?,?)",
    [GET_RECEIPT] = "SELECT receipt FROM requests WHERE id = ?1 AND (?2 IS NULL OR tenant IS ?2)",
    [NEWEST] = "SELECT coalesce(max(number), 0) FROM requests",
    [AFTER] = "SELECT number, receipt FROM requests WHERE number > ?1 ORDER BY number LIMIT ?2",
    [LAST_CHAIN] = "SELECT chain FROM requests ORDER BY number DESC LIMIT 1",
};

struct job { // one record on its way to the disk; lives on its caller's stack
	const struct tdm_record *record;
	struct tdm_bytes receipt;
	int status;
	bool done;
	struct job *next;
};

struct tdm_ledger {
	pthread_mutex_t mutex, database;
	pthread_cond_t work, finished;
	struct job *first, **last;
	bool stopping;
	pthread_t writer;
	sqlite3 *db;
	sqlite3_stmt *prepared[N_STATEMENTS];
	char chain[2 * TDM_SHA256_BYTES + 1]; // of the last row; empty before the first
};

static int database_error(struct tdm_ledger *l, const char *what, struct tdm_error *err) {
	return tdm_fail(err, TDM_ELEDGER, "ledger: %s: %s", what, l->db ? sqlite3_errmsg(l->db) : "out of memory");
}

// --- writing

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
	if (text)
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, at);
}

static int run_statement(sqlite3_stmt *s) {
	int result = sqlite3_step(s);
	sqlite3_reset(s);
	return result == SQLITE_DONE ? TDM_OK : TDM_ELEDGER;
}

// chain = SHA-256(previous chain, receipt), in hexadecimal.
static void extend_chain(const char *previous, const char *receipt, size_t n, char *out) {
	struct tdm_bytes b;
	uint8_t hash[TDM_SHA256_BYTES];
	tdm_bytes_init(&b, n + 256);
	tdm_bytes_puts(&b, previous);
	tdm_bytes_add(&b, receipt, n);
	tdm_sha256(b.data ? b.data : "", b.len, hash);
	tdm_hex(hash, sizeof hash, out);
	tdm_bytes_release(&b);
}

static int write_request(struct tdm_ledger *l, const struct job *job, const char *chain) {
	const struct tdm_record *r = job->record;
	sqlite3_stmt *s = l->prepared[ADD_REQUEST];
	bind_text(s, 1, r->id);
	bind_text(s, 2, r->tenant);
	bind_text(s, 3, tdm_state_name(r->state));
	sqlite3_bind_int64(s, 4, r->created_wall_us / 1000000);
	bind_text(s, 5, r->requested);
	bind_text(s, 6, r->served);
	bind_text(s, 7, r->error_code);
	sqlite3_bind_double(s, 8, tdm_record_cost(r));
	sqlite3_bind_int64(s, 9, r->total_us);
	bind_text(s, 10, job->receipt.data);
	bind_text(s, 11, chain);
	return run_statement(s);
}

static int write_calls(struct tdm_ledger *l, const struct tdm_record *r) {
	sqlite3_stmt *s = l->prepared[ADD_CALL];
	for (const struct tdm_call *c = r->calls; c; c = c->next) {
		bind_text(s, 1, r->id);
		bind_text(s, 2, c->model ? c->model : "");
		bind_text(s, 3, c->purpose ? c->purpose : "");
		bind_text(s, 4, c->status ? c->status : "");
		sqlite3_bind_int64(s, 5, c->prompt_tokens);
		sqlite3_bind_int64(s, 6, c->completion_tokens);
		sqlite3_bind_double(s, 7, c->cost);
		sqlite3_bind_int64(s, 8, c->us);
		if (run_statement(s))
			return TDM_ELEDGER;
	}
	return TDM_OK;
}

static int write_decisions(struct tdm_ledger *l, const struct tdm_record *r) {
	sqlite3_stmt *s = l->prepared[ADD_DECISION];
	for (const struct tdm_decision *d = r->decisions; d; d = d->next) {
		bind_text(s, 1, r->id);
		bind_text(s, 2, d->by ? d->by : "");
		bind_text(s, 3, d->kind ? d->kind : "");
		bind_text(s, 4, d->choice ? d->choice : "");
		sqlite3_bind_double(s, 5, d->score);
		sqlite3_bind_double(s, 6, d->threshold);
		if (run_statement(s))
			return TDM_ELEDGER;
	}
	return TDM_OK;
}

// One record in a savepoint of its own: a row that does not fit spoils no other.
static int write_job(struct tdm_ledger *l, struct job *job) {
	char chain[sizeof l->chain];
	extend_chain(l->chain, job->receipt.data, job->receipt.len, chain);
	sqlite3_exec(l->db, "SAVEPOINT one", NULL, NULL, NULL);
	int status = write_request(l, job, chain);
	if (!status)
		status = write_calls(l, job->record);
	if (!status)
		status = write_decisions(l, job->record);
	if (status)
		sqlite3_exec(l->db, "ROLLBACK TO one", NULL, NULL, NULL);
	else
		memcpy(l->chain, chain, sizeof chain);
	sqlite3_exec(l->db, "RELEASE one", NULL, NULL, NULL);
	return status;
}

static void write_batch(struct tdm_ledger *l, struct job *jobs) {
	char before[sizeof l->chain];
	pthread_mutex_lock(&l->database);
	memcpy(before, l->chain, sizeof before);
	int began = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (struct job *j = jobs; j; j = j->next)
		j->status = began == SQLITE_OK ? write_job(l, j) : TDM_ELEDGER;
	if (began == SQLITE_OK && sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
		sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
		memcpy(l->chain, before, sizeof before);
		for (struct job *j = jobs; j; j = j->next)
			j->status = TDM_ELEDGER;
	}
	pthread_mutex_unlock(&l->database);
}

static void *write_loop(void *context) {
	struct tdm_ledger *l = context;
	pthread_mutex_lock(&l->mutex);
	while (l->first || !l->stopping) {
		if (!l->first) {
			pthread_cond_wait(&l->work, &l->mutex);
			continue;
		}
		struct job *jobs = l->first;
		l->first = NULL;
		l->last = &l->first;
		pthread_mutex_unlock(&l->mutex);
		write_batch(l, jobs);
		pthread_mutex_lock(&l->mutex);
		for (struct job *j = jobs, *next; j; j = next) {
			next = j->next;
			j->done = true;
		}
		pthread_cond_broadcast(&l->finished);
	}
	pthread_mutex_unlock(&l->mutex);
	return NULL;
}

int tdm_ledger_write(struct tdm_ledger *l, const struct tdm_record *r, struct tdm_error *err) {
	struct job job = {.record = r};
	tdm_bytes_init(&job.receipt, RECEIPT_LIMIT_BYTES);
	tdm_receipt_write(&job.receipt, r);
	if (job.receipt.failed) {
		tdm_bytes_release(&job.receipt);
		return tdm_fail(err, TDM_ELEDGER, "ledger: the receipt is larger than %zu bytes", RECEIPT_LIMIT_BYTES);
	}
	pthread_mutex_lock(&l->mutex);
	*l->last = &job;
	l->last = &job.next;
	pthread_cond_signal(&l->work);
	while (!job.done)
		pthread_cond_wait(&l->finished, &l->mutex);
	pthread_mutex_unlock(&l->mutex);
	tdm_bytes_release(&job.receipt);
	return job.status ? tdm_fail(err, job.status, "ledger: the record could not be written") : TDM_OK;
}

// --- reading

int tdm_ledger_receipt(struct tdm_ledger *l, const char *id, const char *tenant, struct tdm_bytes *out,
                       struct tdm_error *err) {
	pthread_mutex_lock(&l->database);
	sqlite3_stmt *s = l->prepared[GET_RECEIPT];
	bind_text(s, 1, id);
	bind_text(s, 2, tenant);
	int result = sqlite3_step(s);
	if (result == SQLITE_ROW)
		tdm_bytes_add(out, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	sqlite3_reset(s);
	pthread_mutex_unlock(&l->database);
	return result == SQLITE_ROW ? TDM_OK : tdm_fail(err, TDM_ERECEIPT, "there is no receipt with this id");
}

int tdm_ledger_newest(struct tdm_ledger *l, int64_t *number, struct tdm_error *err) {
	pthread_mutex_lock(&l->database);
	sqlite3_stmt *s = l->prepared[NEWEST];
	int result = sqlite3_step(s);
	if (result == SQLITE_ROW)
		*number = sqlite3_column_int64(s, 0);
	int status = result == SQLITE_ROW ? TDM_OK : database_error(l, "reading", err);
	sqlite3_reset(s);
	pthread_mutex_unlock(&l->database);
	return status;
}

int tdm_ledger_after(struct tdm_ledger *l, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err) {
	int result;
	pthread_mutex_lock(&l->database);
	sqlite3_stmt *s = l->prepared[AFTER];
	sqlite3_bind_int64(s, 1, *number);
	sqlite3_bind_int(s, 2, most);
	while ((result = sqlite3_step(s)) == SQLITE_ROW) {
		*number = sqlite3_column_int64(s, 0);
		tdm_bytes_add(out, sqlite3_column_text(s, 1), (size_t)sqlite3_column_bytes(s, 1));
		tdm_bytes_putc(out, '\n');
	}
	int status = result == SQLITE_DONE ? TDM_OK : database_error(l, "reading", err);
	sqlite3_reset(s);
	pthread_mutex_unlock(&l->database);
	return status;
}

static int check_row(sqlite3_stmt *s, char *chain, struct tdm_error *err) {
	char expected[2 * TDM_SHA256_BYTES + 1];
	extend_chain(chain, (const char *)sqlite3_column_text(s, 1), (size_t)sqlite3_column_bytes(s, 1), expected);
	if (strcmp(expected, (const char *)sqlite3_column_text(s, 2)))
		return tdm_fail(err, TDM_ELEDGER, "ledger: row %lld does not fit the row before it",
		                (long long)sqlite3_column_int64(s, 0));
	memcpy(chain, expected, sizeof expected);
	return TDM_OK;
}

int tdm_ledger_verify(struct tdm_ledger *l, struct tdm_error *err) {
	sqlite3_stmt *s = NULL;
	char chain[2 * TDM_SHA256_BYTES + 1] = "";
	int status = TDM_OK;
	pthread_mutex_lock(&l->database);
	if (sqlite3_prepare_v2(l->db, "SELECT number, receipt, chain FROM requests ORDER BY number", -1, &s, NULL) !=
	    SQLITE_OK)
		status = database_error(l, "reading", err);
	while (!status && sqlite3_step(s) == SQLITE_ROW)
		status = check_row(s, chain, err);
	sqlite3_finalize(s);
	pthread_mutex_unlock(&l->database);
	return status;
}

// --- opening and closing

static int make_private(const char *path, struct tdm_error *err) {
	if (!strcmp(path, ":memory:"))
		return TDM_OK;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return tdm_fail(err, TDM_ELEDGER, "ledger: cannot open %s for writing", path);
	close(fd);
	return TDM_OK;
}

static int check_version(struct tdm_ledger *l, const char *path, struct tdm_error *err) {
	sqlite3_stmt *s = NULL;
	int version = -1;
	if (sqlite3_prepare_v2(l->db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	if (version < 0)
		return database_error(l, path, err);
	if (version > SCHEMA_VERSION)
		return tdm_fail(err, TDM_ELEDGER, "ledger: %s was written by a later version (%d, expected at most %d)", path,
		                version, SCHEMA_VERSION);
	return TDM_OK;
}

static int open_database(struct tdm_ledger *l, const char *path, struct tdm_error *err) {
	int status = make_private(path, err);
	if (status)
		return status;
	if (sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL) !=
	    SQLITE_OK)
		return database_error(l, path, err);
	sqlite3_busy_timeout(l->db, 2000);
	status = check_version(l, path, err);
	if (status)
		return status;
	if (sqlite3_exec(l->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(l->db, schema, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(l->db, "PRAGMA user_version=1", NULL, NULL, NULL) != SQLITE_OK)
		return database_error(l, path, err);
	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(l->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &l->prepared[i], NULL) != SQLITE_OK)
			return database_error(l, path, err);
	sqlite3_stmt *s = l->prepared[LAST_CHAIN];
	if (sqlite3_step(s) == SQLITE_ROW)
		snprintf(l->chain, sizeof l->chain, "%s", (const char *)sqlite3_column_text(s, 0));
	sqlite3_reset(s);
	return TDM_OK;
}

static void close_database(struct tdm_ledger *l) {
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(l->prepared[i]);
	sqlite3_close(l->db);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->finished);
	pthread_mutex_destroy(&l->mutex);
	pthread_mutex_destroy(&l->database);
	free(l);
}

int tdm_ledger_open(const char *path, struct tdm_ledger **out, struct tdm_error *err) {
	struct tdm_ledger *l = calloc(1, sizeof *l);
	if (!l)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	l->last = &l->first;
	pthread_mutex_init(&l->mutex, NULL);
	pthread_mutex_init(&l->database, NULL);
	pthread_cond_init(&l->work, NULL);
	pthread_cond_init(&l->finished, NULL);
	int status = open_database(l, path, err);
	if (!status && pthread_create(&l->writer, NULL, write_loop, l))
		status = tdm_fail(err, TDM_ELEDGER, "ledger: cannot start its thread");
	if (status) {
		close_database(l);
		return status;
	}
	*out = l;
	return TDM_OK;
}

void tdm_ledger_close(struct tdm_ledger *l) {
	pthread_mutex_lock(&l->mutex);
	l->stopping = true;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->mutex);
	pthread_join(l->writer, NULL);
	close_database(l);
}
