// Shared in a SQLite file: what must survive a restart, which is what has been spent in a window, and values. Rates and
// places do not outlive their process and stay in memory. Several processes of one machine may use one file.
//
// The rule it protects: windows are checked and taken in one transaction, whose end is on its way to the disk before
// anybody is let in. `lock` guards the connection.
#include "base/clock.h"
#include "ledger/shared_parts.h"
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char schema[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    "CREATE TABLE IF NOT EXISTS meters (key TEXT PRIMARY KEY, used INTEGER NOT NULL, window INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS stored (number INTEGER PRIMARY KEY, key TEXT UNIQUE NOT NULL, value BLOB NOT NULL,"
    " expires INTEGER NOT NULL, bytes INTEGER NOT NULL);";

enum statement { READ, WRITE, GET, PUT, DROP, EXPIRE, OLDEST, TOTAL, N_STATEMENTS };
static const char *const statements[N_STATEMENTS] = {
    [READ] = "SELECT used, window FROM meters WHERE key = ?1",
    [WRITE] = "INSERT INTO meters VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE SET used = ?2, window = ?3",
    [GET] = "SELECT value FROM stored WHERE key = ?1 AND (expires = 0 OR expires > ?2)",
    [PUT] = "INSERT OR REPLACE INTO stored (key, value, expires, bytes) VALUES (?1, ?2, ?3, ?4)",
    [DROP] = "DELETE FROM stored WHERE key = ?1",
    [EXPIRE] = "DELETE FROM stored WHERE expires != 0 AND expires <= ?1",
    [OLDEST] = "DELETE FROM stored WHERE number = (SELECT min(number) FROM stored)",
    [TOTAL] = "SELECT coalesce(sum(bytes), 0), count(*) FROM stored",
};

struct store {
	struct tdm_shared shared;
	int64_t max_bytes, evicted, failures;
	pthread_mutex_t lock;
	sqlite3 *db;
	sqlite3_stmt *prepared[N_STATEMENTS];
};

static int fail(struct store *s, struct tdm_error *err) {
	s->failures++;
	return tdm_fail(err, TDM_ESTATE, "the shared state cannot be used: %s",
	                s->db ? sqlite3_errmsg(s->db) : "no memory");
}

static bool run_sql(struct store *s, const char *sql) {
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool run_statement(sqlite3_stmt *statement) {
	bool done = sqlite3_step(statement) == SQLITE_DONE;
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return done;
}

// --- windows

struct meter {
	int64_t used, window;
};

static bool read_meter(struct store *s, const struct tdm_claim *c, struct meter *m) {
	sqlite3_stmt *read = s->prepared[READ];
	*m = (struct meter){0, c->window};
	sqlite3_bind_text(read, 1, c->key, -1, SQLITE_STATIC);
	int result = sqlite3_step(read);
	if (result == SQLITE_ROW)
		*m = (struct meter){sqlite3_column_int64(read, 0), sqlite3_column_int64(read, 1)};
	sqlite3_reset(read);
	return result == SQLITE_ROW || result == SQLITE_DONE;
}

static bool write_meter(struct store *s, const char *key, const struct meter *m) {
	sqlite3_stmt *write = s->prepared[WRITE];
	sqlite3_bind_text(write, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(write, 2, m->used);
	sqlite3_bind_int64(write, 3, m->window);
	return run_statement(write);
}

// One claim of a window. TDM_OK, TDM_ERATE with *denial, TDM_ESTATE.
static int claim_window(struct store *s, struct tdm_claim *c, struct tdm_denial *denial) {
	struct meter m;
	if (!read_meter(s, c, &m))
		return TDM_ESTATE;
	if (c->window > m.window)
		m = (struct meter){0, c->window};
	denial->left = m.used < c->limit ? c->limit - m.used : 0;
	denial->wait_us = c->period_us;
	if (c->amount > denial->left)
		return TDM_ERATE;
	m.used += c->amount;
	c->window = m.window;
	c->left = denial->left - c->amount;
	return write_meter(s, c->key, &m) ? TDM_OK : TDM_ESTATE;
}

// Rates and places are claimed one by one; what was taken before one that is refused goes back.
static int claim_others(struct store *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial) {
	struct tdm_shared *local = s->shared.local;
	int status = TDM_OK;
	size_t i = 0;
	for (; i < n && !status; i++)
		if (claims[i].meter != TDM_METER_WINDOW) {
			status = local->ops->claim(local, &claims[i], 1, denial, NULL);
			denial->claim = i;
		}
	while (status && --i > 0)
		if (claims[i - 1].meter != TDM_METER_WINDOW)
			local->ops->settle(local, &claims[i - 1], 1, &(int64_t){0}, NULL);
	return status;
}

static void give_others_back(struct store *s, struct tdm_claim *claims, size_t n) {
	struct tdm_shared *local = s->shared.local;
	for (size_t i = 0; i < n; i++)
		if (claims[i].meter != TDM_METER_WINDOW)
			local->ops->settle(local, &claims[i], 1, &(int64_t){0}, NULL);
}

static int claim_windows(struct store *s, struct tdm_claim *claims, size_t n, struct tdm_denial *denial) {
	if (!run_sql(s, "BEGIN IMMEDIATE"))
		return TDM_ESTATE;
	int status = TDM_OK;
	for (size_t i = 0; i < n && !status; i++)
		if (claims[i].meter == TDM_METER_WINDOW) {
			denial->claim = i;
			status = claim_window(s, &claims[i], denial);
		}
	if (!status && !run_sql(s, "COMMIT"))
		status = TDM_ESTATE;
	if (status)
		run_sql(s, "ROLLBACK");
	return status;
}

static bool has_window(const struct tdm_claim *claims, size_t n) {
	for (size_t i = 0; i < n; i++)
		if (claims[i].meter == TDM_METER_WINDOW)
			return true;
	return false;
}

static int claim(struct tdm_shared *shared, struct tdm_claim *claims, size_t n, struct tdm_denial *denial,
                 struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	int status = claim_others(s, claims, n, denial);
	if (status || !has_window(claims, n))
		return status;
	pthread_mutex_lock(&s->lock);
	status = claim_windows(s, claims, n, denial);
	if (status == TDM_ESTATE)
		fail(s, err);
	pthread_mutex_unlock(&s->lock);
	if (status)
		give_others_back(s, claims, n);
	return status;
}

static bool settle_window(struct store *s, const struct tdm_claim *c, int64_t used) {
	struct meter m;
	if (!read_meter(s, c, &m))
		return false;
	if (m.window != c->window)
		return true;
	m.used += used - c->amount;
	if (m.used < 0)
		m.used = 0;
	return write_meter(s, c->key, &m);
}

static int settle(struct tdm_shared *shared, const struct tdm_claim *claims, size_t n, const int64_t *used,
                  struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	for (size_t i = 0; i < n; i++)
		if (claims[i].meter != TDM_METER_WINDOW)
			shared->local->ops->settle(shared->local, &claims[i], 1, &used[i], NULL);
	if (!has_window(claims, n))
		return TDM_OK;
	pthread_mutex_lock(&s->lock);
	bool well = run_sql(s, "BEGIN IMMEDIATE");
	for (size_t i = 0; i < n && well; i++)
		if (claims[i].meter == TDM_METER_WINDOW)
			well = settle_window(s, &claims[i], used[i]);
	well = well && run_sql(s, "COMMIT");
	int status = well ? TDM_OK : fail(s, err);
	if (!well)
		run_sql(s, "ROLLBACK");
	pthread_mutex_unlock(&s->lock);
	return status;
}

static int left(struct tdm_shared *shared, const struct tdm_claim *c, int64_t *out, struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	struct meter m;
	if (c->meter != TDM_METER_WINDOW)
		return shared->local->ops->left(shared->local, c, out, err);
	pthread_mutex_lock(&s->lock);
	bool well = read_meter(s, c, &m);
	int status = well ? TDM_OK : fail(s, err);
	pthread_mutex_unlock(&s->lock);
	int64_t used = well && m.window >= c->window ? m.used : 0;
	*out = used < c->limit ? c->limit - used : 0;
	return status;
}

// --- values

static int get(struct tdm_shared *shared, const char *key, struct tdm_bytes *out, bool *found, struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *statement = s->prepared[GET];
	sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_int64(statement, 2, tdm_wall_us());
	int result = sqlite3_step(statement);
	*found = result == SQLITE_ROW;
	if (*found)
		tdm_bytes_add(out, sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
	sqlite3_reset(statement);
	int status = result == SQLITE_ROW || result == SQLITE_DONE ? TDM_OK : fail(s, err);
	pthread_mutex_unlock(&s->lock);
	return out->failed ? tdm_fail(err, TDM_ENOMEM, "the value of %s is larger than expected", key) : status;
}

static int64_t total_bytes(struct store *s, int64_t *n) {
	sqlite3_stmt *statement = s->prepared[TOTAL];
	int64_t total = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	*n = sqlite3_column_int64(statement, 1);
	sqlite3_reset(statement);
	return total;
}

static bool make_room(struct store *s) {
	int64_t n;
	sqlite3_bind_int64(s->prepared[EXPIRE], 1, tdm_wall_us());
	bool well = run_statement(s->prepared[EXPIRE]);
	while (well && total_bytes(s, &n) > s->max_bytes && n > 0) {
		well = run_statement(s->prepared[OLDEST]);
		s->evicted += well;
	}
	return well;
}

static int set(struct tdm_shared *shared, const char *key, const void *data, size_t n, int64_t life_us,
               struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	pthread_mutex_lock(&s->lock);
	sqlite3_stmt *put = s->prepared[PUT];
	sqlite3_bind_text(put, 1, key, -1, SQLITE_STATIC);
	sqlite3_bind_blob64(put, 2, n ? data : "", n, SQLITE_STATIC);
	sqlite3_bind_int64(put, 3, life_us ? tdm_wall_us() + life_us : 0);
	sqlite3_bind_int64(put, 4, (int64_t)(n + strlen(key)));
	int status = run_statement(put) && make_room(s) ? TDM_OK : fail(s, err);
	pthread_mutex_unlock(&s->lock);
	return status;
}

static int drop(struct tdm_shared *shared, const char *key, struct tdm_error *err) {
	struct store *s = (struct store *)shared;
	pthread_mutex_lock(&s->lock);
	sqlite3_bind_text(s->prepared[DROP], 1, key, -1, SQLITE_STATIC);
	int status = run_statement(s->prepared[DROP]) ? TDM_OK : fail(s, err);
	pthread_mutex_unlock(&s->lock);
	return status;
}

// --- opening and closing

static void stats(struct tdm_shared *shared, struct tdm_shared_stats *out) {
	struct store *s = (struct store *)shared;
	pthread_mutex_lock(&s->lock);
	out->bytes = total_bytes(s, &out->n_values);
	out->evicted = s->evicted;
	out->failures = s->failures;
	pthread_mutex_unlock(&s->lock);
}

static void close_store(struct tdm_shared *shared) {
	struct store *s = (struct store *)shared;
	for (int i = 0; i < N_STATEMENTS; i++)
		sqlite3_finalize(s->prepared[i]);
	sqlite3_close(s->db);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static bool open_database(struct store *s, const char *path) {
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); // nobody else may read it
	if (fd < 0 || close(fd) || sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return false;
	sqlite3_busy_timeout(s->db, 2000);
	bool well = run_sql(s, schema);
	for (int i = 0; i < N_STATEMENTS && well; i++)
		well =
		    sqlite3_prepare_v3(s->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &s->prepared[i], NULL) == SQLITE_OK;
	return well;
}

int tdm_shared_sqlite_new(const struct tdm_shared_options *o, struct tdm_shared **out, struct tdm_error *err) {
	static const struct tdm_shared_ops ops = {claim, settle, left, get, set, drop, stats, close_store};
	const char *name = o->url + strlen("sqlite:");
	char path[4096];
	struct store *s = calloc(1, sizeof *s);
	if (!s)
		return tdm_fail(err, TDM_ENOMEM, "state: no memory");
	bool is_plain = name[0] == '/' || !o->folder;
	snprintf(path, sizeof path, "%s%s%s", is_plain ? "" : o->folder, is_plain ? "" : "/", name);
	s->shared.ops = &ops;
	s->max_bytes = o->max_bytes;
	pthread_mutex_init(&s->lock, NULL);
	if (*name && open_database(s, path)) {
		*out = &s->shared;
		return TDM_OK;
	}
	int status = tdm_fail(err, TDM_ECONFIG, "state.url: the file %s cannot be used: %s", path,
	                      s->db ? sqlite3_errmsg(s->db) : "it cannot be opened for writing");
	close_store(&s->shared);
	return status;
}
