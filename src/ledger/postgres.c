// PostgreSQL: one ledger for several replicas. The tables are those of SQLite; a lock of the database (LOCK_KEY) is
// held while rows are added, so that the rows of all replicas are one chain.
//
// Locks: lock guards the connection. A connection that failed is closed, and made anew when it is needed, but not at
// once: until then everything fails quickly. The rule it protects: no error names the password of the url.
#include "base/clock.h"
#include "base/library.h"
#include "base/log.h"
#include "ledger/database.h"
#include <libpq-fe.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS(X)            \
	X(PQclear)              \
	X(PQconnectdbParams)    \
	X(PQconninfoFree)       \
	X(PQconninfoParse)      \
	X(PQenterPipelineMode)  \
	X(PQerrorMessage)       \
	X(PQexec)               \
	X(PQexecParams)         \
	X(PQexitPipelineMode)   \
	X(PQfinish)             \
	X(PQgetResult)          \
	X(PQgetlength)          \
	X(PQgetvalue)           \
	X(PQntuples)            \
	X(PQpipelineSync)       \
	X(PQprepare)            \
	X(PQresultStatus)       \
	X(PQsendQueryPrepared)  \
	X(PQsetNoticeProcessor) \
	X(PQstatus)
TDM_LIBRARY(lib, TDM_SO_pq, CALLS);

#define AGAIN_US 300000
#define LOCK_KEY "7236501420117"
#define MOST_IN_A_PIPE 64 // statements that are sent before answers are read

static const char schema[] =
    "BEGIN; SELECT pg_advisory_xact_lock(" LOCK_KEY ");"
    "CREATE TABLE IF NOT EXISTS requests (number BIGSERIAL PRIMARY KEY, id TEXT UNIQUE NOT NULL, tenant TEXT,"
    " state TEXT NOT NULL, created BIGINT NOT NULL, requested TEXT, served TEXT, error TEXT,"
    " cost DOUBLE PRECISION NOT NULL, total_us BIGINT NOT NULL, receipt TEXT NOT NULL, chain TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS calls (request TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL,"
    " status TEXT NOT NULL, prompt_tokens BIGINT NOT NULL, completion_tokens BIGINT NOT NULL,"
    " cost DOUBLE PRECISION NOT NULL, us BIGINT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS decisions (request TEXT NOT NULL, by TEXT NOT NULL, kind TEXT NOT NULL,"
    " choice TEXT NOT NULL, score DOUBLE PRECISION, threshold DOUBLE PRECISION); COMMIT";

static const char add_request[] =
    "INSERT INTO requests (id, tenant, state, created, requested, served, error, cost, total_us, receipt, chain)"
    " VALUES ($1, $2, $3, $4::bigint, $5, $6, $7, $8::float8, $9::bigint, $10, $11)";
static const char add_call[] =
    "INSERT INTO calls VALUES ($1, $2, $3, $4, $5::bigint, $6::bigint, $7::float8, $8::bigint)";
static const char add_decision[] = "INSERT INTO decisions VALUES ($1, $2, $3, $4, $5::float8, $6::float8)";

struct postgres {
	struct tdm_database base; // first
	pthread_mutex_t lock;
	char *url;
	bool only_read;
	PGconn *conn; // NULL: away
	int64_t failed_us;
	int n_sent; // statements in the pipe
};

// --- the connection

static void be_silent(void *context, const char *message) {}

static int lost(struct postgres *p, struct tdm_error *err) {
	const char *message = lib.PQerrorMessage(p->conn);
	int n = (int)strcspn(message, "\n");
	tdm_fail(err, TDM_ELEDGER, "ledger: PostgreSQL: %.*s", n ? n : 20, n ? message : "the connection ended");
	lib.PQfinish(p->conn);
	p->conn = NULL;
	p->failed_us = tdm_now_us();
	return TDM_ELEDGER;
}

// The rows of a statement, or NULL after an error, with the connection gone.
static PGresult *ask(struct postgres *p, const char *sql, int n, const char *const *values, struct tdm_error *err) {
	PGresult *r = n ? lib.PQexecParams(p->conn, sql, n, NULL, values, NULL, NULL, 0) : lib.PQexec(p->conn, sql);
	ExecStatusType status = lib.PQresultStatus(r);
	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		return r;
	lib.PQclear(r);
	lost(p, err);
	return NULL;
}

static int run(struct postgres *p, const char *sql, struct tdm_error *err) {
	PGresult *r = ask(p, sql, 0, NULL, err);
	lib.PQclear(r);
	return r ? TDM_OK : TDM_ELEDGER;
}

static int prepare(struct postgres *p, struct tdm_error *err) {
	static const char *const texts[][2] = {{"request", add_request}, {"call", add_call}, {"decision", add_decision}};
	int status = p->only_read ? TDM_OK : run(p, schema, err);
	for (size_t i = 0; i < sizeof texts / sizeof *texts && !status && !p->only_read; i++) {
		PGresult *r = lib.PQprepare(p->conn, texts[i][0], texts[i][1], 0, NULL);
		if (lib.PQresultStatus(r) != PGRES_COMMAND_OK)
			status = lost(p, err);
		lib.PQclear(r);
	}
	return status;
}

static int need_connection(struct postgres *p, struct tdm_error *err) {
	static const char *const keys[] = {"connect_timeout",
	                                   "tcp_user_timeout",
	                                   "keepalives_idle",
	                                   "fallback_application_name",
	                                   "client_encoding",
	                                   "dbname",
	                                   NULL};
	const char *const values[] = {"3", "5000", "5", "tandem", "UTF8", p->url, NULL};
	if (p->conn)
		return TDM_OK;
	if (p->failed_us && tdm_now_us() - p->failed_us < AGAIN_US)
		return tdm_fail(err, TDM_ELEDGER, "ledger: PostgreSQL is away");
	p->conn = lib.PQconnectdbParams(keys, values, 1);
	if (!p->conn)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	if (lib.PQstatus(p->conn) != CONNECTION_OK)
		return lost(p, err);
	lib.PQsetNoticeProcessor(p->conn, be_silent, NULL);
	return prepare(p, err);
}

// --- writing: many statements are sent before the first answer is waited for

static int collect_answers(struct postgres *p, struct tdm_error *err) {
	int status = lib.PQpipelineSync(p->conn) ? TDM_OK : TDM_ELEDGER;
	for (int left = p->n_sent + 1; !status && left; left--) { // the last is the answer to the sync itself
		PGresult *r = lib.PQgetResult(p->conn), *end;
		ExecStatusType what = lib.PQresultStatus(r);
		if (what != PGRES_COMMAND_OK && what != PGRES_PIPELINE_SYNC)
			status = TDM_ELEDGER;
		lib.PQclear(r);
		if (!status && left > 1 && (end = lib.PQgetResult(p->conn))) // each answer ends with none
			lib.PQclear(end);
	}
	p->n_sent = 0;
	return status ? lost(p, err) : TDM_OK;
}

static int send_row(struct postgres *p, const char *statement, const char *const *values, int n,
                    struct tdm_error *err) {
	if (!lib.PQsendQueryPrepared(p->conn, statement, n, values, NULL, NULL, 0))
		return lost(p, err);
	return ++p->n_sent < MOST_IN_A_PIPE ? TDM_OK : collect_answers(p, err);
}

static const char *as_text(char out[32], double value) {
	if (isnan(value))
		return NULL;
	snprintf(out, 32, "%.17g", value);
	return out;
}

static int send_call(struct postgres *p, const char *id, const struct tdm_entry_call *c, struct tdm_error *err) {
	char numbers[4][32];
	snprintf(numbers[0], 32, "%lld", (long long)c->prompt_tokens);
	snprintf(numbers[1], 32, "%lld", (long long)c->completion_tokens);
	snprintf(numbers[3], 32, "%lld", (long long)c->us);
	const char *values[] = {id,
	                        c->model ? c->model : "",
	                        c->purpose ? c->purpose : "",
	                        c->status ? c->status : "",
	                        numbers[0],
	                        numbers[1],
	                        as_text(numbers[2], isnan(c->cost) ? 0 : c->cost),
	                        numbers[3]};
	return send_row(p, "call", values, 8, err);
}

static int send_decision(struct postgres *p, const char *id, const struct tdm_entry_decision *d,
                         struct tdm_error *err) {
	char numbers[2][32];
	const char *values[] = {id,
	                        d->by ? d->by : "",
	                        d->kind ? d->kind : "",
	                        d->choice ? d->choice : "",
	                        as_text(numbers[0], d->score),
	                        as_text(numbers[1], d->threshold)};
	return send_row(p, "decision", values, 6, err);
}

static int send_entry(struct postgres *p, const struct tdm_entry *e, const char *chain, struct tdm_error *err) {
	char numbers[3][32];
	struct tdm_entry walk = *e;
	struct tdm_entry_call c;
	struct tdm_entry_decision d;
	snprintf(numbers[0], 32, "%lld", (long long)e->created_s);
	snprintf(numbers[2], 32, "%lld", (long long)e->total_us);
	const char *values[] = {e->id,        e->tenant,  e->state, numbers[0],
	                        e->requested, e->served,  e->error, as_text(numbers[1], isnan(e->cost) ? 0 : e->cost),
	                        numbers[2],   e->receipt, chain};
	int status = send_row(p, "request", values, 11, err);
	for (uint32_t i = 0; i < e->n_calls && !status && tdm_entry_call(&walk, &c); i++)
		status = send_call(p, e->id, &c, err);
	for (uint32_t i = 0; i < e->n_decisions && !status && tdm_entry_decision(&walk, &d); i++)
		status = send_decision(p, e->id, &d, err);
	return status;
}

// The lock first: the last row stays the last until the commit.
static int begin(struct postgres *p, char chain[TDM_CHAIN_BYTES], struct tdm_error *err) {
	int status = run(p, "BEGIN", err);
	if (!status)
		status = run(p, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")", err);
	PGresult *last = status ? NULL : ask(p, "SELECT chain FROM requests ORDER BY number DESC LIMIT 1", 0, NULL, err);
	if (!last)
		return TDM_ELEDGER;
	snprintf(chain, TDM_CHAIN_BYTES, "%s", lib.PQntuples(last) ? lib.PQgetvalue(last, 0, 0) : "");
	lib.PQclear(last);
	return TDM_OK;
}

// there[i]: the entry was written before, or stands before this one in the batch.
static int look_which(struct postgres *p, const struct tdm_entry *entries, size_t n, bool *there,
                      struct tdm_error *err) {
	int status = TDM_OK;
	for (size_t i = 0; i < n && !status; i++) {
		PGresult *r = ask(p, "SELECT 1 FROM requests WHERE id = $1", 1, &entries[i].id, err);
		there[i] = r && lib.PQntuples(r);
		for (size_t j = 0; j < i && !there[i]; j++)
			there[i] = !strcmp(entries[i].id, entries[j].id);
		status = r ? TDM_OK : TDM_ELEDGER;
		lib.PQclear(r);
	}
	return status;
}

static int send_entries(struct postgres *p, const struct tdm_entry *entries, size_t n, const bool *there, char *chain,
                        struct tdm_error *err) {
	int status = lib.PQenterPipelineMode(p->conn) ? TDM_OK : lost(p, err);
	p->n_sent = 0;
	for (size_t i = 0; i < n && !status; i++) {
		if (there[i])
			continue;
		tdm_chain_extend(chain, entries[i].receipt, entries[i].receipt_bytes);
		status = send_entry(p, &entries[i], chain, err);
	}
	if (!status)
		status = collect_answers(p, err);
	if (!status && !lib.PQexitPipelineMode(p->conn))
		status = lost(p, err);
	return status ? status : run(p, "COMMIT", err);
}

static int postgres_write(struct tdm_database *db, const struct tdm_entry *entries, size_t n, bool known,
                          struct tdm_error *err) {
	struct postgres *p = (struct postgres *)db;
	char chain[TDM_CHAIN_BYTES];
	bool *there = calloc(n, sizeof *there);
	if (!there)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	pthread_mutex_lock(&p->lock);
	int status = need_connection(p, err);
	if (!status)
		status = begin(p, chain, err);
	if (!status && known)
		status = look_which(p, entries, n, there, err);
	if (!status)
		status = send_entries(p, entries, n, there, chain, err);
	pthread_mutex_unlock(&p->lock);
	free(there);
	return status;
}

// --- reading

static int postgres_receipt(struct tdm_database *db, const char *id, const char *tenant, struct tdm_bytes *out,
                            struct tdm_error *err) {
	struct postgres *p = (struct postgres *)db;
	PGresult *r = NULL;
	pthread_mutex_lock(&p->lock);
	int status = need_connection(p, err);
	if (!status) {
		r = ask(p, "SELECT receipt FROM requests WHERE id = $1 AND ($2::text IS NULL OR tenant = $2)", 2,
		        (const char *[]){id, tenant}, err);
		status = !r ? TDM_ELEDGER : lib.PQntuples(r) ? TDM_OK : TDM_ERECEIPT;
	}
	if (status == TDM_ERECEIPT)
		tdm_fail(err, status, "there is no receipt with this id");
	else if (!status)
		tdm_bytes_add(out, lib.PQgetvalue(r, 0, 0), (size_t)lib.PQgetlength(r, 0, 0));
	lib.PQclear(r);
	pthread_mutex_unlock(&p->lock);
	return status;
}

static int postgres_newest(struct tdm_database *db, int64_t *number, struct tdm_error *err) {
	struct postgres *p = (struct postgres *)db;
	PGresult *r = NULL;
	pthread_mutex_lock(&p->lock);
	int status = need_connection(p, err);
	if (!status)
		r = ask(p, "SELECT coalesce(max(number), 0) FROM requests", 0, NULL, err);
	if (r)
		*number = strtoll(lib.PQgetvalue(r, 0, 0), NULL, 10);
	lib.PQclear(r);
	pthread_mutex_unlock(&p->lock);
	return r ? TDM_OK : TDM_ELEDGER;
}

static int postgres_after(struct tdm_database *db, int64_t *number, int most, struct tdm_bytes *out,
                          struct tdm_error *err) {
	struct postgres *p = (struct postgres *)db;
	PGresult *r = NULL;
	char from[32], limit[32];
	snprintf(from, sizeof from, "%lld", (long long)*number);
	snprintf(limit, sizeof limit, "%d", most);
	pthread_mutex_lock(&p->lock);
	if (!need_connection(p, err))
		r = ask(p, "SELECT number, receipt FROM requests WHERE number > $1::bigint ORDER BY number LIMIT $2::bigint", 2,
		        (const char *[]){from, limit}, err);
	for (int i = 0; i < lib.PQntuples(r); i++) {
		*number = strtoll(lib.PQgetvalue(r, i, 0), NULL, 10);
		tdm_bytes_add(out, lib.PQgetvalue(r, i, 1), (size_t)lib.PQgetlength(r, i, 1));
		tdm_bytes_putc(out, '\n');
	}
	lib.PQclear(r);
	pthread_mutex_unlock(&p->lock);
	return r ? TDM_OK : TDM_ELEDGER;
}

static int walk_rows(struct postgres *p, struct tdm_error *err) {
	char chain[TDM_CHAIN_BYTES] = "", from[32] = "-9223372036854775808";
	int status = TDM_OK, n = 1;
	while (!status && n) {
		PGresult *r =
		    ask(p, "SELECT number, receipt, chain FROM requests WHERE number > $1::bigint ORDER BY number LIMIT 1000",
		        1, (const char *[]){from}, err);
		n = r ? lib.PQntuples(r) : 0;
		status = r ? TDM_OK : TDM_ELEDGER;
		for (int i = 0; i < n && !status; i++)
			status = tdm_chain_check(chain, strtoll(lib.PQgetvalue(r, i, 0), NULL, 10), lib.PQgetvalue(r, i, 1),
			                         (size_t)lib.PQgetlength(r, i, 1), lib.PQgetvalue(r, i, 2), err);
		if (n)
			snprintf(from, sizeof from, "%s", lib.PQgetvalue(r, n - 1, 0));
		lib.PQclear(r);
	}
	return status;
}

static int postgres_verify(struct tdm_database *db, struct tdm_error *err) {
	struct postgres *p = (struct postgres *)db;
	pthread_mutex_lock(&p->lock);
	int status = need_connection(p, err);
	if (!status)
		status = walk_rows(p, err);
	pthread_mutex_unlock(&p->lock);
	return status;
}

// --- opening and closing

static void postgres_close(struct tdm_database *db) {
	struct postgres *p = (struct postgres *)db;
	lib.PQfinish(p->conn);
	pthread_mutex_destroy(&p->lock);
	free(p->url);
	free(p);
}

int tdm_postgres_open(const char *url, bool only_read, struct tdm_database **out, struct tdm_error *err) {
	static const struct tdm_database_ops ops = {postgres_write, postgres_receipt, postgres_newest,
	                                            postgres_after, postgres_verify,  postgres_close};
	int status = tdm_library_load(&lib.library, err);
	if (status)
		return status;
	PQconninfoOption *parsed = lib.PQconninfoParse(url, NULL);
	if (!parsed)
		return tdm_fail(err, TDM_ELEDGER,
		                "ledger: expected postgresql://USER@HOST:PORT/DATABASE; this url cannot be read");
	lib.PQconninfoFree(parsed);
	struct postgres *p = calloc(1, sizeof *p);
	if (!p || !(p->url = strdup(url))) {
		free(p);
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	}
	p->base.ops = &ops;
	p->only_read = only_read;
	pthread_mutex_init(&p->lock, NULL);
	struct tdm_error away = {0};
	if (need_connection(p, &away))
		tdm_log(TDM_WARN, "ledger.away", NULL, " reason=\"%s\"", away.text);
	*out = &p->base;
	return TDM_OK;
}
