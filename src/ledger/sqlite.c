// SQLite: the ledger in one file, in WAL mode and synchronous, so that what it has committed survives a loss of power.
//
// A new file is made when the first entry comes: until then the journal has everything, and nobody waits for its
// tables.
//
// Locks: lock guards the connection. After a failure of the disk the connection is not trusted again: the next write
// opens the file anew. A new column: the schema, write_request(), and a raised SCHEMA_VERSION.
#include "base/log.h"
#include "ledger/database.h"
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_VERSION 1
#define PAGES "PRAGMA page_size=16384" // of a new file: a page costs three system calls on its way into it

static const char schema[] =
    "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS requests (number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, tenant "
    "TEXT, state TEXT "
    "NOT NULL,"
    " created INTEGER NOT NULL, requested TEXT, served TEXT, error TEXT, cost REAL NOT NULL, total_us INTEGER NOT NULL,"
    " receipt TEXT NOT NULL, chain TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS calls (request TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL, status TEXT "
    "NOT NULL,"
    " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL, cost REAL NOT NULL, us INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS decisions (request TEXT NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL, choice TEXT "
    "NOT NULL,"
    " score REAL, threshold REAL); PRAGMA user_version=1; COMMIT";

enum statement { ADD_REQUEST, ADD_CALL, ADD_DECISION, GET_RECEIPT, LAST_CHAIN, NEWEST, AFTER, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
    [ADD_REQUEST] =
        ("INSERT INTO requests (id, tenant, state, created, requested, served, error, cost, total_us, receipt,"
         " chain) VALUES (?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO NOTHING"),
    [ADD_CALL] = "INSERT INTO calls VALUES (?,?,?,?,?,?,?,?)",
    [ADD_DECISION] = "INSERT INTO decisions VALUES (?,?,?,?,?,?)",
    [GET_RECEIPT] = "SELECT receipt FROM requests WHERE id = ?1 AND (?2 IS NULL OR tenant IS ?2)",
    [NEWEST] = "SELECT coalesce(max(number), 0) FROM requests",
    [AFTER] = "SELECT number, receipt FROM requests WHERE number > ?1 ORDER BY number LIMIT ?2",
    [LAST_CHAIN] = "SELECT chain FROM requests ORDER BY number DESC LIMIT 1",
};

struct sqlite {
	struct tdm_database base; // first
	pthread_mutex_t lock;
	char *path;
	bool only_read;
	sqlite3 *db; // NULL: to be opened anew
	sqlite3_stmt *prepared[N_STATEMENTS];
	char chain[TDM_CHAIN_BYTES]; // of the last row; empty before the first
};

static int database_error(struct sqlite *l, const char *what, struct tdm_error *err) {
	return tdm_fail(err, TDM_ELEDGER, "ledger: %s: %s", what, l->db ? sqlite3_errmsg(l->db) : "out of memory");
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

static bool is_new(const char *path) {
	struct stat file;
	return strcmp(path, ":memory:") != 0 && !stat(path, &file) && S_ISREG(file.st_mode) && !file.st_size;
}

static int check_version(struct sqlite *l, bool *has_tables, struct tdm_error *err) {
	sqlite3_stmt *s = NULL;
	int version = -1;
	if (sqlite3_prepare_v2(l->db, "PRAGMA user_version", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		version = sqlite3_column_int(s, 0);
	sqlite3_finalize(s);
	if (version < 0)
		return database_error(l, l->path, err);
	if (version > SCHEMA_VERSION)
		return tdm_fail(err, TDM_ELEDGER, "ledger: %s was written by a later version (%d, expected at most %d)",
		                l->path, version, SCHEMA_VERSION);
	*has_tables = version == SCHEMA_VERSION;
	return TDM_OK;
}

static int prepare_statements(struct sqlite *l, struct tdm_error *err) {
	for (int i = 0; i < N_STATEMENTS; i++)
		if (sqlite3_prepare_v3(l->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &l->prepared[i], NULL) != SQLITE_OK)
			return database_error(l, l->path, err);
	return TDM_OK;
}

static int prepare(struct sqlite *l, bool has_tables, struct tdm_error *err) {
	if (l->only_read && !has_tables)
		return tdm_fail(err, TDM_ELEDGER, "ledger: %s has no table of requests", l->path);
	if (l->only_read)
		return prepare_statements(l, err);
	if ((!has_tables && sqlite3_exec(l->db, PAGES, NULL, NULL, NULL) != SQLITE_OK) ||
	    sqlite3_exec(l->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL, NULL) != SQLITE_OK ||
	    (!has_tables && sqlite3_exec(l->db, schema, NULL, NULL, NULL) != SQLITE_OK))
		return database_error(l, l->path, err);
	int status = prepare_statements(l, err);
	if (status)
		return status;
	sqlite3_stmt *s = l->prepared[LAST_CHAIN];
	int result = sqlite3_step(s);
	l->chain[0] = 0;
	if (result == SQLITE_ROW)
		snprintf(l->chain, sizeof l->chain, "%s", (const char *)sqlite3_column_text(s, 0));
	sqlite3_reset(s);
	return result == SQLITE_ROW || result == SQLITE_DONE ? TDM_OK : database_error(l, l->path, err);
}

static void close_file(struct sqlite *l) {
	for (int i = 0; i < N_STATEMENTS; i++) {
		sqlite3_finalize(l->prepared[i]);
		l->prepared[i] = NULL;
	}
	sqlite3_close(l->db);
	l->db = NULL;
}

static int open_file(struct sqlite *l, struct tdm_error *err) {
	bool has_tables = false;
	int status = l->db || l->only_read ? TDM_OK : make_private(l->path, err);
	if (l->db || status)
		return status;
	int flags = l->only_read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
	if (sqlite3_open_v2(l->path, &l->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		status = database_error(l, l->path, err);
	else
		sqlite3_busy_timeout(l->db, 2000);
	if (!status)
		status = check_version(l, &has_tables, err);
	if (!status)
		status = prepare(l, has_tables, err);
	if (status)
		close_file(l);
	return status;
}

// --- writing

static void bind_text(sqlite3_stmt *s, int at, const char *text) {
	if (text)
		sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
	else
		sqlite3_bind_null(s, at);
}

static void bind_texts(sqlite3_stmt *s, const char *const *texts, int n) {
	for (int i = 0; i < n; i++)
		bind_text(s, i + 1, texts[i] ? texts[i] : "");
}

static int run_statement(sqlite3_stmt *s) {
	int result = sqlite3_step(s);
	sqlite3_reset(s);
	return result;
}

static int write_request(struct sqlite *l, const struct tdm_entry *e, const char *chain) {
	sqlite3_stmt *s = l->prepared[ADD_REQUEST];
	bind_text(s, 1, e->id);
	bind_text(s, 2, e->tenant);
	bind_text(s, 3, e->state);
	sqlite3_bind_int64(s, 4, e->created_s);
	bind_text(s, 5, e->requested);
	bind_text(s, 6, e->served);
	bind_text(s, 7, e->error);
	sqlite3_bind_double(s, 8, e->cost);
	sqlite3_bind_int64(s, 9, e->total_us);
	sqlite3_bind_text(s, 10, e->receipt, (int)e->receipt_bytes, SQLITE_STATIC);
	bind_text(s, 11, chain);
	return run_statement(s);
}

static int write_rows(struct sqlite *l, const struct tdm_entry *e) {
	struct tdm_entry walk = *e;
	struct tdm_entry_call c;
	struct tdm_entry_decision d;
	int result = SQLITE_DONE;
	sqlite3_stmt *s = l->prepared[ADD_CALL];
	for (uint32_t i = 0; i < e->n_calls && result == SQLITE_DONE && tdm_entry_call(&walk, &c); i++) {
		bind_texts(s, (const char *[]){e->id, c.model, c.purpose, c.status}, 4);
		sqlite3_bind_int64(s, 5, c.prompt_tokens);
		sqlite3_bind_int64(s, 6, c.completion_tokens);
		sqlite3_bind_double(s, 7, c.cost);
		sqlite3_bind_int64(s, 8, c.us);
		result = run_statement(s);
	}
	s = l->prepared[ADD_DECISION];
	for (uint32_t i = 0; i < e->n_decisions && result == SQLITE_DONE && tdm_entry_decision(&walk, &d); i++) {
		bind_texts(s, (const char *[]){e->id, d.by, d.kind, d.choice}, 4);
		sqlite3_bind_double(s, 5, d.score);
		sqlite3_bind_double(s, 6, d.threshold);
		result = run_statement(s);
	}
	return result;
}

// What a row itself is the cause of, so that writing it again would end the same way.
static bool is_hopeless(int result) {
	int code = result & 0xff;
	return code == SQLITE_TOOBIG || code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH || code == SQLITE_RANGE;
}

static int write_entry(struct sqlite *l, const struct tdm_entry *e) {
	char chain[TDM_CHAIN_BYTES];
	memcpy(chain, l->chain, sizeof chain);
	tdm_chain_extend(chain, e->receipt, e->receipt_bytes);
	int result = write_request(l, e, chain);
	bool is_new = sqlite3_changes(l->db) > 0;
	if (result == SQLITE_DONE && is_new)
		result = write_rows(l, e);
	if (result == SQLITE_DONE && is_new)
		memcpy(l->chain, chain, sizeof chain);
	return result == SQLITE_DONE ? SQLITE_OK : result;
}

// In a savepoint of its own: an entry that does not fit spoils no other.
static int write_carefully(struct sqlite *l, const struct tdm_entry *e) {
	int result = sqlite3_exec(l->db, "SAVEPOINT one", NULL, NULL, NULL);
	if (result != SQLITE_OK)
		return result;
	result = write_entry(l, e);
	if (result != SQLITE_OK)
		sqlite3_exec(l->db, "ROLLBACK TO one", NULL, NULL, NULL);
	sqlite3_exec(l->db, "RELEASE one", NULL, NULL, NULL);
	if (is_hopeless(result))
		tdm_log(TDM_ERROR, "ledger.skip", e->id, " reason=%s", sqlite3_errstr(result));
	return is_hopeless(result) ? SQLITE_OK : result;
}

static int write_batch(struct sqlite *l, const struct tdm_entry *entries, size_t n,
                       int (*write)(struct sqlite *l, const struct tdm_entry *e)) {
	char before[TDM_CHAIN_BYTES];
	memcpy(before, l->chain, sizeof before);
	int result = sqlite3_exec(l->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (size_t i = 0; i < n && result == SQLITE_OK; i++)
		result = write(l, &entries[i]);
	if (result == SQLITE_OK)
		result = sqlite3_exec(l->db, "COMMIT", NULL, NULL, NULL);
	if (result != SQLITE_OK) {
		sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
		memcpy(l->chain, before, sizeof before);
	}
	return result;
}

// Savepoints cost as much as the rows, so they come only when a batch has an entry that does not fit.
static int write_entries(struct sqlite *l, const struct tdm_entry *entries, size_t n, struct tdm_error *err) {
	int result = write_batch(l, entries, n, write_entry);
	if (is_hopeless(result))
		result = write_batch(l, entries, n, write_carefully);
	return result == SQLITE_OK ? TDM_OK : tdm_fail(err, TDM_ELEDGER, "ledger: %s: %s", l->path, sqlite3_errstr(result));
}

static int sqlite_write(struct tdm_database *db, const struct tdm_entry *entries, size_t n, bool known,
                        struct tdm_error *err) {
	struct sqlite *l = (struct sqlite *)db;
	(void)known; // the index of ids knows
	pthread_mutex_lock(&l->lock);
	int status = open_file(l, err);
	if (!status) {
		status = write_entries(l, entries, n, err);
		if (status && strcmp(l->path, ":memory:"))
			close_file(l);
	}
	pthread_mutex_unlock(&l->lock);
	return status;
}

// --- reading

static int sqlite_receipt(struct tdm_database *db, const char *id, const char *tenant, struct tdm_bytes *out,
                          struct tdm_error *err) {
	struct sqlite *l = (struct sqlite *)db;
	pthread_mutex_lock(&l->lock);
	int status = open_file(l, err);
	if (!status) {
		sqlite3_stmt *s = l->prepared[GET_RECEIPT];
		bind_text(s, 1, id);
		bind_text(s, 2, tenant);
		int result = sqlite3_step(s);
		if (result == SQLITE_ROW)
			tdm_bytes_add(out, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
		else if (result == SQLITE_DONE)
			status = tdm_fail(err, TDM_ERECEIPT, "there is no receipt with this id");
		else
			status = database_error(l, l->path, err);
		sqlite3_reset(s);
	}
	pthread_mutex_unlock(&l->lock);
	return status;
}

static int sqlite_newest(struct tdm_database *db, int64_t *number, struct tdm_error *err) {
	struct sqlite *l = (struct sqlite *)db;
	pthread_mutex_lock(&l->lock);
	int status = open_file(l, err);
	if (!status) {
		sqlite3_stmt *s = l->prepared[NEWEST];
		if (sqlite3_step(s) == SQLITE_ROW)
			*number = sqlite3_column_int64(s, 0);
		else
			status = database_error(l, l->path, err);
		sqlite3_reset(s);
	}
	pthread_mutex_unlock(&l->lock);
	return status;
}

static int put_rows(struct sqlite *l, int64_t *number, int most, struct tdm_bytes *out, struct tdm_error *err) {
	sqlite3_stmt *s = l->prepared[AFTER];
	int result;
	sqlite3_bind_int64(s, 1, *number);
	sqlite3_bind_int(s, 2, most);
	while ((result = sqlite3_step(s)) == SQLITE_ROW) {
		*number = sqlite3_column_int64(s, 0);
		tdm_bytes_add(out, sqlite3_column_text(s, 1), (size_t)sqlite3_column_bytes(s, 1));
		tdm_bytes_putc(out, '\n');
	}
	sqlite3_reset(s);
	return result == SQLITE_DONE ? TDM_OK : database_error(l, l->path, err);
}

static int sqlite_after(struct tdm_database *db, int64_t *number, int most, struct tdm_bytes *out,
                        struct tdm_error *err) {
	struct sqlite *l = (struct sqlite *)db;
	pthread_mutex_lock(&l->lock);
	int status = open_file(l, err);
	if (!status)
		status = put_rows(l, number, most, out, err);
	pthread_mutex_unlock(&l->lock);
	return status;
}

static int walk_rows(struct sqlite *l, struct tdm_error *err) {
	sqlite3_stmt *s = NULL;
	char chain[TDM_CHAIN_BYTES] = "";
	int status = TDM_OK, result = SQLITE_ROW;
	if (sqlite3_prepare_v2(l->db, "SELECT number, receipt, chain FROM requests ORDER BY number", -1, &s, NULL) !=
	    SQLITE_OK)
		return database_error(l, l->path, err);
	while (!status && (result = sqlite3_step(s)) == SQLITE_ROW)
		status = tdm_chain_check(chain, sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1),
		                         (size_t)sqlite3_column_bytes(s, 1), (const char *)sqlite3_column_text(s, 2), err);
	if (!status && result != SQLITE_DONE)
		status = database_error(l, l->path, err);
	sqlite3_finalize(s);
	return status;
}

static int sqlite_verify(struct tdm_database *db, struct tdm_error *err) {
	struct sqlite *l = (struct sqlite *)db;
	pthread_mutex_lock(&l->lock);
	int status = open_file(l, err);
	if (!status)
		status = walk_rows(l, err);
	pthread_mutex_unlock(&l->lock);
	return status;
}

static void sqlite_close(struct tdm_database *db) {
	struct sqlite *l = (struct sqlite *)db;
	close_file(l);
	pthread_mutex_destroy(&l->lock);
	free(l->path);
	free(l);
}

int tdm_sqlite_open(const char *path, bool only_read, struct tdm_database **out, struct tdm_error *err) {
	static const struct tdm_database_ops ops = {sqlite_write, sqlite_receipt, sqlite_newest,
	                                            sqlite_after, sqlite_verify,  sqlite_close};
	struct sqlite *l = calloc(1, sizeof *l);
	if (!l || !(l->path = strdup(path))) {
		free(l);
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	}
	l->base.ops = &ops;
	l->only_read = only_read;
	pthread_mutex_init(&l->lock, NULL);
	int status = only_read ? TDM_OK : make_private(path, err);
	if (!status && (only_read || !is_new(path)))
		status = open_file(l, err);
	if (status)
		sqlite_close(&l->base);
	else
		*out = &l->base;
	return status;
}
