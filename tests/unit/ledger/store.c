// The store: what was acknowledged is there, also after a kill; a changed row is noticed; tenants do not see each
// other.
#include "tests.h"
#include "ledger/store.h"
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_THREADS 8
#define N_RECORDS 25

static char folder[64];
static char path[96];

static int make_folder(void **state) {
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/tandem-ledger-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/ledger.db", folder);
	return 0;
}

static int remove_folder(void **state) {
	char name[160];
	(void)state;
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", ".lock", NULL}; *end; end++) {
		snprintf(name, sizeof name, "%s%s", path, *end);
		unlink(name);
	}
	return rmdir(folder);
}

static struct tdm_ledger *open_ledger(void) {
	struct tdm_ledger *l = NULL;
	struct tdm_error err = {0};
	int status = tdm_ledger_open(&(struct tdm_ledger_options){.path = path}, &l, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(status, TDM_OK);
	return l;
}

static int write_one(struct tdm_ledger *l, const char *tenant, char *id) {
	struct tdm_arena arena;
	struct tdm_record r;
	struct tdm_error err = {0};
	tdm_arena_init(&arena, 1 << 20);
	tdm_record_init(&r, &arena);
	r.tenant = tenant;
	r.state = TDM_COMPLETE;
	tdm_record_call(&r, &(struct tdm_call){.model = "small", .purpose = "answer", .status = "ok"});
	snprintf(id, TDM_ID_BYTES, "%s", r.id);
	int status = tdm_ledger_write(l, &r, &err);
	tdm_arena_release(&arena);
	return status;
}

static int read_one(struct tdm_ledger *l, const char *id, const char *tenant) {
	struct tdm_bytes b;
	struct tdm_error err = {0};
	tdm_bytes_init(&b, 1 << 20);
	int status = tdm_ledger_receipt(l, id, tenant, &b, &err);
	if (!status)
		assert_non_null(strstr(b.data, id));
	tdm_bytes_release(&b);
	return status;
}

static void test_round_trip(void **state) {
	char id[TDM_ID_BYTES];
	struct stat st;
	(void)state;
	struct tdm_ledger *l = open_ledger();
	assert_int_equal(write_one(l, "t1", id), TDM_OK);
	assert_int_equal(read_one(l, id, "t1"), TDM_OK);
	assert_int_equal(read_one(l, id, NULL), TDM_OK);
	assert_int_equal(read_one(l, id, "t2"), TDM_ERECEIPT);
	assert_int_equal(read_one(l, "rcp_unknown", NULL), TDM_ERECEIPT);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	tdm_ledger_close(l);
	l = open_ledger();
	assert_int_equal(read_one(l, id, "t1"), TDM_OK);
	tdm_ledger_close(l);
}

struct writer {
	struct tdm_ledger *ledger;
	char ids[N_RECORDS][TDM_ID_BYTES];
	int failures;
};

static void *write_many(void *context) {
	struct writer *w = context;
	for (int i = 0; i < N_RECORDS; i++)
		w->failures += write_one(w->ledger, NULL, w->ids[i]) != TDM_OK;
	return NULL;
}

// Offered at every start, in the chain once, and no tenant's.
static void test_documents(void **state) {
	struct tdm_bytes first, later, found;
	(void)state;
	tdm_bytes_init(&first, 100), tdm_bytes_init(&later, 100), tdm_bytes_init(&found, 100);
	tdm_bytes_puts(&first, "{\"id\":\"crt_1\"}");
	tdm_bytes_puts(&later, "{\"id\":\"crt_1\",\"more\":1}");
	struct tdm_ledger *l = open_ledger();
	assert_int_equal(tdm_ledger_keep(l, "crt_1", &first, NULL), TDM_OK);
	assert_int_equal(tdm_ledger_keep(l, "crt_1", &later, NULL), TDM_OK);
	tdm_ledger_close(l);
	l = open_ledger();
	assert_int_equal(tdm_ledger_keep(l, "crt_1", &later, NULL), TDM_OK);
	assert_int_equal(tdm_ledger_verify(l, NULL), TDM_OK);
	assert_int_equal(tdm_ledger_receipt(l, "crt_1", NULL, &found, NULL), TDM_OK);
	assert_int_equal(found.len, first.len);
	assert_memory_equal(found.data, first.data, first.len);
	assert_int_equal(tdm_ledger_receipt(l, "crt_1", "t1", &found, NULL), TDM_ERECEIPT);
	int64_t newest;
	assert_int_equal(tdm_ledger_newest(l, &newest, NULL), TDM_OK);
	assert_int_equal(newest, 1);
	tdm_ledger_close(l);
	tdm_bytes_release(&first), tdm_bytes_release(&later), tdm_bytes_release(&found);
}

static void test_many_threads(void **state) {
	pthread_t threads[N_THREADS];
	static struct writer writers[N_THREADS];
	struct tdm_error err = {0};
	(void)state;
	struct tdm_ledger *l = open_ledger();
	for (int i = 0; i < N_THREADS; i++) {
		writers[i] = (struct writer){.ledger = l};
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].failures, 0);
		for (int k = 0; k < N_RECORDS; k++)
			assert_int_equal(read_one(l, writers[i].ids[k], NULL), TDM_OK);
	}
	assert_int_equal(tdm_ledger_verify(l, &err), TDM_OK);
	tdm_ledger_close(l);
}

// A child writes, tells each acknowledged id through a pipe, and is killed; every id that was told must be there.
static void test_survives_kill(void **state) {
	int ends[2];
	char id[TDM_ID_BYTES] = "";
	(void)state;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct tdm_ledger *l = NULL;
		struct tdm_error err = {0};
		if (tdm_ledger_open(&(struct tdm_ledger_options){.path = path}, &l, &err))
			_exit(1);
		for (;;)
			if (write_one(l, NULL, id) || write(ends[1], id, sizeof id) != (ssize_t)sizeof id)
				_exit(1);
	}
	close(ends[1]);
	static char told[40][TDM_ID_BYTES];
	int n = 0;
	for (; n < 40; n++)
		assert_int_equal(read(ends[0], told[n], TDM_ID_BYTES), TDM_ID_BYTES);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(ends[0]);
	struct tdm_ledger *l = open_ledger();
	struct tdm_error err = {0};
	for (int i = 0; i < n; i++)
		assert_int_equal(read_one(l, told[i], NULL), TDM_OK);
	assert_int_equal(tdm_ledger_verify(l, &err), TDM_OK);
	tdm_ledger_close(l);
}

static void test_changed_row_is_noticed(void **state) {
	char id[TDM_ID_BYTES];
	sqlite3 *db;
	struct tdm_error err = {0};
	(void)state;
	struct tdm_ledger *l = open_ledger();
	for (int i = 0; i < 3; i++)
		assert_int_equal(write_one(l, NULL, id), TDM_OK);
	assert_int_equal(tdm_ledger_verify(l, &err), TDM_OK);
	tdm_ledger_close(l);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE requests SET receipt = '{}' WHERE number = 2", NULL, NULL, NULL),
	                 SQLITE_OK);
	sqlite3_close(db);
	l = open_ledger();
	assert_int_equal(tdm_ledger_verify(l, &err), TDM_ELEDGER);
	assert_non_null(strstr(err.text, "row 2"));
	tdm_ledger_close(l);
}

static void test_bad_files(void **state) {
	struct tdm_ledger *l = NULL;
	struct tdm_error err = {0};
	(void)state;
	assert_int_equal(tdm_ledger_open(&(struct tdm_ledger_options){.path = "/nonexistent/ledger.db"}, &l, &err),
	                 TDM_ELEDGER);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs("this is not a database, although it is long enough to look like a file with content in it ................",
	      f);
	fclose(f);
	tdm_error_clear(&err);
	assert_int_equal(tdm_ledger_open(&(struct tdm_ledger_options){.path = path}, &l, &err), TDM_ELEDGER);
	assert_non_null(strstr(err.text, "ledger:"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int tdm_test_store(void) {
	const struct CMUnitTest tests[] = {CASE(test_round_trip),    CASE(test_many_threads),
	                                   CASE(test_survives_kill), CASE(test_changed_row_is_noticed),
	                                   CASE(test_bad_files),     CASE(test_documents)};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
