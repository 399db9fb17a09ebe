// Passages: see passages.h. Vectors are read when the file is opened; texts stay in it. Locks: lock guards the
// connection.
#include "ledger/passages.h"
#include "base/bytes.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION 7001 // of the schema; not that of a ledger
#define MOST_QUERY_WORDS 64

static const char schema[] =
    "PRAGMA user_version=7001; BEGIN; CREATE TABLE about (model TEXT NOT NULL, width INTEGER NOT NULL);"
    "CREATE TABLE passages (id INTEGER PRIMARY KEY, source TEXT NOT NULL, vector BLOB);"
    "CREATE VIRTUAL TABLE words USING fts5(text, tokenize='unicode61 remove_diacritics 2');";

struct tdm_passages {
	pthread_mutex_t lock;
	sqlite3 *db;
	sqlite3_stmt *put, *put_words, *find, *get;
	char *path, *temporary, *model; // temporary: NULL, or what is being made
	int width;
	size_t n;
	float *vectors; // [n][width], by id: 1 is the first
};

static int failed(struct tdm_passages *p, int status, const char *what, struct tdm_error *err) {
	return tdm_fail(err, status, "%s: %s: %s", p->path, what, p->db ? sqlite3_errmsg(p->db) : "out of memory");
}

static bool prepare(struct tdm_passages *p, const char *sql, sqlite3_stmt **out) {
	return sqlite3_prepare_v2(p->db, sql, -1, out, NULL) == SQLITE_OK;
}

void tdm_passages_close(struct tdm_passages *p) {
	if (!p)
		return;
	sqlite3_finalize(p->put);
	sqlite3_finalize(p->put_words);
	sqlite3_finalize(p->find);
	sqlite3_finalize(p->get);
	sqlite3_close(p->db);
	if (p->temporary)
		unlink(p->temporary);
	pthread_mutex_destroy(&p->lock);
	free(p->path);
	free(p->temporary);
	free(p->model);
	free(p->vectors);
	free(p);
}

static struct tdm_passages *new_one(const char *path, const char *model) {
	struct tdm_passages *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->path = strdup(path);
	p->model = strdup(model ? model : "");
	if (p->path && p->model)
		return p;
	tdm_passages_close(p);
	return NULL;
}

// --- writing

int tdm_passages_create(const char *path, const char *model, struct tdm_passages **out, struct tdm_error *err) {
	struct tdm_passages *p = new_one(path, model);
	if (!p || asprintf(&p->temporary, "%s.%ld.new", path, (long)getpid()) < 0) {
		tdm_passages_close(p);
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for an index", path);
	}
	unlink(p->temporary);
	int fd = open(p->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600); // the documents are the owner's
	bool ok = fd >= 0 && !close(fd) &&
	          sqlite3_open_v2(p->temporary, &p->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
	          sqlite3_exec(p->db, schema, NULL, NULL, NULL) == SQLITE_OK &&
	          prepare(p, "INSERT INTO passages (id, source, vector) VALUES (?,?,?)", &p->put) &&
	          prepare(p, "INSERT INTO words (rowid, text) VALUES (?,?)", &p->put_words);
	if (!ok) {
		int status = failed(p, TDM_EIO, "cannot be made", err);
		tdm_passages_close(p);
		return status;
	}
	*out = p;
	return TDM_OK;
}

static bool bring_to_one(const float *from, int width, float *to) {
	double sum = 0;
	for (int i = 0; i < width; i++)
		sum += (double)from[i] * (double)from[i];
	for (int i = 0; i < width; i++)
		to[i] = (float)((double)from[i] / sqrt(sum));
	return sum > 0 && isfinite(sum);
}

int tdm_passages_put(struct tdm_passages *p, const char *source, const char *text, size_t n, const float *vector,
                     int width, struct tdm_error *err) {
	float *unit = NULL;
	if (vector && p->width && p->width != width)
		return tdm_fail(err, TDM_EVALUE, "%s: vectors of %d and of %d numbers", p->path, p->width, width);
	if (vector && (!(unit = calloc((size_t)width, sizeof *unit)) || !bring_to_one(vector, width, unit))) {
		free(unit);
		return tdm_fail(err, TDM_EVALUE, "%s: a vector without a length", p->path);
	}
	p->width = vector ? width : p->width;
	p->n++;
	sqlite3_bind_int64(p->put, 1, (int64_t)p->n);
	sqlite3_bind_text(p->put, 2, source, -1, SQLITE_TRANSIENT);
	if (unit)
		sqlite3_bind_blob64(p->put, 3, unit, (sqlite3_uint64)width * sizeof *unit, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(p->put, 3);
	sqlite3_bind_int64(p->put_words, 1, (int64_t)p->n);
	sqlite3_bind_text64(p->put_words, 2, text, n, SQLITE_TRANSIENT, SQLITE_UTF8);
	bool ok = sqlite3_step(p->put) == SQLITE_DONE && sqlite3_step(p->put_words) == SQLITE_DONE;
	int status = ok ? TDM_OK : failed(p, TDM_EIO, "a passage cannot be written", err);
	sqlite3_reset(p->put);
	sqlite3_reset(p->put_words);
	free(unit);
	return status;
}

int tdm_passages_finish(struct tdm_passages *p, struct tdm_error *err) {
	sqlite3_stmt *about = NULL;
	bool ok = prepare(p, "INSERT INTO about VALUES (?,?)", &about);
	if (ok) {
		sqlite3_bind_text(about, 1, p->model, -1, SQLITE_STATIC);
		sqlite3_bind_int(about, 2, p->width);
		ok = sqlite3_step(about) == SQLITE_DONE;
	}
	sqlite3_finalize(about);
	ok = ok && sqlite3_exec(p->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	int status = ok ? TDM_OK : failed(p, TDM_EIO, "cannot be written", err);
	if (ok && rename(p->temporary, p->path))
		status = tdm_fail(err, TDM_EIO, "%s: %s", p->path, strerror(errno));
	tdm_passages_close(p); // drops what has kept its first name
	return status;
}

// --- reading

static int64_t integer_of(struct tdm_passages *p, const char *sql, int64_t otherwise) {
	sqlite3_stmt *s = NULL;
	int64_t value = prepare(p, sql, &s) && sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : otherwise;
	sqlite3_finalize(s);
	return value;
}

static int read_about(struct tdm_passages *p, struct tdm_error *err) {
	sqlite3_stmt *s = NULL;
	const char *model = NULL;
	if (integer_of(p, "PRAGMA user_version", 0) != VERSION)
		return tdm_fail(err, TDM_EFORMAT, "%s: no index of passages; tandem index makes one", p->path);
	if (prepare(p, "SELECT model, width FROM about", &s) && sqlite3_step(s) == SQLITE_ROW) {
		model = (const char *)sqlite3_column_text(s, 0);
		p->width = sqlite3_column_int(s, 1);
	}
	free(p->model);
	p->model = strdup(model ? model : "");
	sqlite3_finalize(s);
	p->n = (size_t)integer_of(p, "SELECT count(*) FROM passages", 0);
	bool fits = (int64_t)p->n == integer_of(p, "SELECT coalesce(max(id), 0) FROM passages", 0) && p->width >= 0 &&
	            p->width <= 1 << 20 && p->n <= SIZE_MAX / sizeof(float) / ((size_t)p->width + 1) - 1;
	return fits && p->model ? TDM_OK : tdm_fail(err, TDM_EFORMAT, "%s: the index is damaged", p->path);
}

static int read_vectors(struct tdm_passages *p, struct tdm_error *err) {
	size_t bytes = (size_t)p->width * sizeof(float), i = 0;
	sqlite3_stmt *s = NULL;
	p->vectors = calloc(p->n * (size_t)p->width + 1, sizeof *p->vectors);
	if (!p->vectors)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for %zu vectors", p->path, p->n);
	bool ok = prepare(p, "SELECT vector FROM passages ORDER BY id", &s);
	for (; ok && p->width && i < p->n && sqlite3_step(s) == SQLITE_ROW; i++) {
		ok = (size_t)sqlite3_column_bytes(s, 0) == bytes;
		if (ok)
			memcpy(p->vectors + i * (size_t)p->width, sqlite3_column_blob(s, 0), bytes);
	}
	sqlite3_finalize(s);
	return ok && (!p->width || i == p->n) ? TDM_OK : tdm_fail(err, TDM_EFORMAT, "%s: the index is damaged", p->path);
}

int tdm_passages_open(const char *path, struct tdm_passages **out, struct tdm_error *err) {
	struct tdm_passages *p = new_one(path, NULL);
	if (!p)
		return tdm_fail(err, TDM_ENOMEM, "%s: no memory for an index", path);
	int status = TDM_OK;
	if (sqlite3_open_v2(path, &p->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_FULLMUTEX, NULL) != SQLITE_OK)
		status = failed(p, TDM_EIO, "cannot be opened", err);
	if (status == TDM_OK)
		status = read_about(p, err);
	if (status == TDM_OK)
		status = read_vectors(p, err);
	if (status == TDM_OK &&
	    (!prepare(p, "SELECT rowid, -bm25(words) FROM words WHERE words MATCH ? ORDER BY bm25(words), rowid LIMIT ?",
	              &p->find) ||
	     !prepare(p, "SELECT source, text FROM passages JOIN words ON words.rowid = id WHERE id = ?", &p->get)))
		status = failed(p, TDM_EFORMAT, "cannot be searched", err);
	if (status != TDM_OK) {
		tdm_passages_close(p);
		return status;
	}
	*out = p;
	return TDM_OK;
}

size_t tdm_passages_count(const struct tdm_passages *p) {
	return p->n;
}

int tdm_passages_width(const struct tdm_passages *p) {
	return p->width;
}

const char *tdm_passages_model(const struct tdm_passages *p) {
	return p->model;
}

static bool is_word(char c) {
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (unsigned char)c >= 0x80;
}

// The words of a text as a query that matches any of them; nothing of the text is an operator.
static void query_of(const char *text, size_t n, struct tdm_bytes *out) {
	int words = 0;
	for (size_t at = 0, end; at < n && words < MOST_QUERY_WORDS; at = end + 1) {
		end = at;
		while (end < n && is_word(text[end]))
			end++;
		if (end == at)
			continue;
		tdm_bytes_puts(out, words++ ? " OR \"" : "\"");
		tdm_bytes_add(out, text + at, end - at);
		tdm_bytes_putc(out, '"');
	}
}

int tdm_passages_by_words(struct tdm_passages *p, const char *query, size_t n, size_t k, struct tdm_hit *hits,
                          size_t *n_hits, struct tdm_error *err) {
	struct tdm_bytes b;
	int status = TDM_OK, step = SQLITE_DONE;
	tdm_bytes_init(&b, (size_t)1 << 20);
	query_of(query, n, &b);
	*n_hits = 0;
	if (b.len && !b.failed) {
		pthread_mutex_lock(&p->lock);
		sqlite3_bind_text64(p->find, 1, b.data, b.len, SQLITE_STATIC, SQLITE_UTF8);
		sqlite3_bind_int64(p->find, 2, (int64_t)k);
		while (*n_hits < k && (step = sqlite3_step(p->find)) == SQLITE_ROW)
			hits[(*n_hits)++] = (struct tdm_hit){sqlite3_column_int64(p->find, 0), sqlite3_column_double(p->find, 1)};
		if (step != SQLITE_ROW && step != SQLITE_DONE)
			status = failed(p, TDM_EIO, "cannot be searched", err);
		sqlite3_reset(p->find);
		sqlite3_clear_bindings(p->find);
		pthread_mutex_unlock(&p->lock);
	}
	tdm_bytes_release(&b);
	return status;
}

static double cosine(const struct tdm_passages *p, size_t i, const float *vector) {
	const float *a = p->vectors + i * (size_t)p->width;
	double sum = 0;
	for (int k = 0; k < p->width; k++)
		sum += (double)a[k] * (double)vector[k];
	return sum;
}

size_t tdm_passages_by_vector(const struct tdm_passages *p, const float *vector, size_t k, struct tdm_hit *hits) {
	size_t n = 0;
	for (size_t i = 0; p->width && k && i < p->n; i++) {
		double score = cosine(p, i, vector);
		if (n == k && score <= hits[n - 1].score)
			continue;
		size_t at = n < k ? n++ : n - 1;
		for (; at && hits[at - 1].score < score; at--)
			hits[at] = hits[at - 1];
		hits[at] = (struct tdm_hit){(int64_t)i + 1, score};
	}
	return n;
}

double tdm_passages_cosine(const struct tdm_passages *p, int64_t id, const float *vector) {
	return p->width && id >= 1 && (size_t)id <= p->n ? cosine(p, (size_t)id - 1, vector) : (double)NAN;
}

int tdm_passages_get(struct tdm_passages *p, struct tdm_arena *arena, int64_t id, struct tdm_passage *out,
                     struct tdm_error *err) {
	int status = TDM_OK;
	pthread_mutex_lock(&p->lock);
	sqlite3_bind_int64(p->get, 1, id);
	if (sqlite3_step(p->get) == SQLITE_ROW) {
		out->id = id;
		out->source = tdm_arena_string(arena, (const char *)sqlite3_column_text(p->get, 0));
		out->n = (size_t)sqlite3_column_bytes(p->get, 1);
		out->text = tdm_arena_copy(arena, (const char *)sqlite3_column_text(p->get, 1), out->n);
		if (!out->source || !out->text)
			status = tdm_fail(err, TDM_ENOMEM, "%s: no memory for a passage", p->path);
	} else {
		status = failed(p, TDM_EIO, "a passage cannot be read", err);
	}
	sqlite3_reset(p->get);
	pthread_mutex_unlock(&p->lock);
	return status;
}
