// The journal: what was accepted is read again, whole and in order, however its files were left; what a disk lost is
// said; limits hold. And entries: what is written is read, and broken bytes are not.
#include "tests.h"
#include "base/clock.h"
#include "base/random.h"
#include "ledger/entry.h"
#include "ledger/journal.h"
#include "ledger/store.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static int make_folder(void **state) {
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/tandem-journal-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/l[1]*", folder); // a name that must not be read as a pattern
	return 0;
}

static int remove_folder(void **state) {
	char name[512];
	struct dirent *e;
	DIR *d = opendir(folder);
	(void)state;
	while ((e = readdir(d)))
		if (snprintf(name, sizeof name, "%s/%s", folder, e->d_name) > 0)
			unlink(name);
	closedir(d);
	return rmdir(folder);
}

// The only file of the journal, or the last of them.
static void last_file(char *out, size_t cap) {
	struct dirent *e;
	DIR *d = opendir(folder);
	out[0] = 0;
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".log.") && strcmp(e->d_name, out[0] ? strrchr(out, '/') + 1 : "") > 0)
			snprintf(out, cap, "%s/%s", folder, e->d_name);
	closedir(d);
}

static void put_gap(struct tdm_bytes *b) {
	tdm_bytes_puts(b, "gap");
}

static struct tdm_journal *open_journal(const char *at, bool sync, int64_t limit_bytes, int64_t file_bytes) {
	struct tdm_journal_options o = {at, sync, limit_bytes, file_bytes, put_gap};
	struct tdm_journal *j = NULL;
	struct tdm_error err = {0};
	int status = tdm_journal_open(&o, &j, &err);
	assert_string_equal(err.text, "");
	assert_int_equal(status, TDM_OK);
	return j;
}

static int add(struct tdm_journal *j, int number, size_t n) {
	char *entry = calloc(1, TDM_JOURNAL_HEAD_BYTES + n);
	snprintf(entry + TDM_JOURNAL_HEAD_BYTES, n, "%d", number);
	int status = tdm_journal_append(j, entry, TDM_JOURNAL_HEAD_BYTES + n, NULL);
	free(entry);
	return status;
}

// Reads everything: the numbers must be first, first + 1, ... How many there were.
static int count(struct tdm_journal *j, int first) {
	struct tdm_bytes chunk;
	int64_t at = tdm_journal_begin(j), next;
	int found = 0;
	tdm_bytes_init(&chunk, SIZE_MAX / 4);
	while ((next = tdm_journal_read(j, at, &chunk)) > at) {
		size_t inside = 0, n;
		for (const char *p; (p = tdm_journal_next(&chunk, &inside, &n)); found++)
			assert_int_equal(strtol(p, NULL, 10), first + found);
		at = next;
	}
	assert_true(next == at && at == tdm_journal_end(j));
	tdm_bytes_release(&chunk);
	return found;
}

static void test_entries_are_read_again(void **state) {
	char name[384];
	struct stat st;
	(void)state;
	for (int in_memory = 0; in_memory < 2; in_memory++) {
		struct tdm_journal *j = open_journal(in_memory ? NULL : path, false, 0, 20000);
		for (int i = 0; i < 500; i++)
			assert_int_equal(add(j, i, i == 250 ? (size_t)700000 : (size_t)(20 + i % 300)), TDM_OK);
		assert_int_equal(count(j, 0), 500);
		if (!in_memory) {
			last_file(name, sizeof name);
			assert_int_equal(stat(name, &st), 0);
			assert_int_equal(st.st_mode & 0777, 0600);
			tdm_journal_close(j);
			j = open_journal(path, false, 0, 20000); // nothing was forgotten
			assert_int_equal(count(j, 0), 500);
			assert_int_equal(add(j, 500, 20), TDM_OK);
			assert_int_equal(count(j, 0), 501);
		}
		tdm_journal_forget(j, tdm_journal_end(j));
		assert_int_equal(count(j, 0), 0);
		tdm_journal_close(j);
	}
	last_file(name, sizeof name);
	assert_string_equal(name, ""); // everything was forgotten
}

static void F47_one_journal_at_a_time(void **state) {
	struct tdm_journal *other = NULL, *j = open_journal(path, false, 0, 0);
	struct tdm_error err = {0};
	struct tdm_journal_options o = {.path = path};
	(void)state;
	assert_int_equal(tdm_journal_open(&o, &other, &err), TDM_ELEDGER);
	assert_non_null(strstr(err.text, "another process uses"));
	tdm_journal_close(j);
	tdm_journal_close(open_journal(path, false, 0, 0));
}

static void test_limits(void **state) {
	struct tdm_journal *j = open_journal(path, false, 100000, 10000);
	(void)state;
	int n = 0;
	while (add(j, n, 1000) == TDM_OK)
		n++;
	assert_true(n >= 97 && n <= 99);
	assert_int_equal(count(j, 0), n);
	tdm_journal_forget(j, tdm_journal_end(j));
	assert_int_equal(add(j, 0, 1000), TDM_OK);
	tdm_journal_close(j);
}

static void F36_half_an_entry_is_none(void **state) {
	char name[384];
	(void)state;
	for (off_t cut = 1; cut < 60; cut += 7) { // what a kill in the middle of a write leaves
		struct tdm_journal *j = open_journal(path, false, 0, 0);
		for (int i = 0; i < 5; i++)
			assert_int_equal(add(j, i, 44), TDM_OK);
		tdm_journal_close(j);
		struct stat st;
		last_file(name, sizeof name);
		assert_int_equal(stat(name, &st), 0);
		assert_int_equal(truncate(name, st.st_size - cut), 0);
		j = open_journal(path, false, 0, 0);
		assert_int_equal(count(j, 0), 4);
		assert_int_equal(add(j, 4, 44), TDM_OK); // goes on where the whole ones end
		assert_int_equal(count(j, 0), 5);
		tdm_journal_forget(j, tdm_journal_end(j));
		tdm_journal_close(j);
	}
}

// A disk that has lost power: any page that was not synced may be what it was before.
static void F39_what_was_synced_survives_any_loss_of_the_rest(void **state) {
	struct tdm_rng rng;
	char name[384], zeros[512] = {0};
	(void)state;
	tdm_rng_init(&rng, 3);
	for (int round = 0; round < 20; round++) {
		struct tdm_journal *j = open_journal(path, true, 0, 1 << 20);
		int n_synced = 1 + (int)tdm_rng_below(&rng, 30);
		for (int i = 0; i < n_synced; i++)
			assert_int_equal(add(j, i, 30 + (size_t)tdm_rng_below(&rng, 400)), TDM_OK);
		int64_t synced = tdm_journal_end(j);
		tdm_journal_close(j);
		last_file(name, sizeof name);
		int fd = open(name, O_RDWR | O_APPEND);
		for (int i = 0; i < 20; i++) // written after that, and not synced: garbage, also what looks like entries
			assert_true(write(fd, "TML1\x14\0\0\0", 8) == 8 && write(fd, zeros, 100) == 100);
		close(fd);
		fd = open(name, O_RDWR);
		for (int64_t at = synced; at < synced + 2000; at += 512)
			if (tdm_rng_below(&rng, 2))
				assert_true(pwrite(fd, zeros, sizeof zeros, at) == sizeof zeros);
		close(fd);
		j = open_journal(path, true, 0, 1 << 20);
		assert_int_equal(count(j, 0), n_synced);
		tdm_journal_forget(j, tdm_journal_end(j));
		tdm_journal_close(j);
	}
}

static void test_a_changed_entry_ends_its_file_only(void **state) {
	char name[384];
	(void)state;
	struct tdm_journal *j = open_journal(path, false, 0, 0);
	for (int i = 0; i < 5; i++)
		add(j, i, 44);
	tdm_journal_close(j);
	last_file(name, sizeof name);
	j = open_journal(path, false, 0, 0); // writes into a file of its own
	for (int i = 5; i < 8; i++)
		add(j, i, 44);
	tdm_journal_close(j);
	int fd = open(name, O_RDWR);
	assert_int_equal(pwrite(fd, "#", 1, 3 * 60 + 20), 1); // in the fourth
	close(fd);
	j = open_journal(path, false, 0, 0);
	struct tdm_bytes chunk;
	tdm_bytes_init(&chunk, SIZE_MAX / 4);
	int64_t at = tdm_journal_begin(j), next;
	int found = 0, sum = 0;
	while ((next = tdm_journal_read(j, at, &chunk)) > at) {
		size_t inside = 0, n;
		for (const char *p; (p = tdm_journal_next(&chunk, &inside, &n)); found++)
			sum += (int)strtol(p, NULL, 10);
		at = next;
	}
	assert_int_equal(found, 6); // 0 1 2, 5 6 7
	assert_int_equal(sum, 21);
	tdm_bytes_release(&chunk);
	tdm_journal_close(j);
}

struct writer {
	struct tdm_journal *journal;
	int failures;
};

static void *add_many(void *context) {
	struct writer *w = context;
	for (int i = 0; i < 200; i++)
		w->failures += add(w->journal, i, 50) != TDM_OK;
	return NULL;
}

static void test_many_threads_share_a_sync(void **state) {
	pthread_t threads[4];
	struct writer writers[4];
	struct tdm_bytes chunk;
	(void)state;
	struct tdm_journal *j = open_journal(path, true, 0, 8000);
	for (int i = 0; i < 4; i++) {
		writers[i] = (struct writer){j, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, add_many, &writers[i]), 0);
	}
	tdm_bytes_init(&chunk, SIZE_MAX / 4);
	int found = 0;
	int64_t at = 0, until = tdm_now_us() + 60000000;
	while (found < 800 && tdm_now_us() < until) { // meanwhile they are taken away
		int64_t next = tdm_journal_read(j, at, &chunk);
		size_t inside = 0, n;
		assert_true(next >= at);
		while (tdm_journal_next(&chunk, &inside, &n))
			found++;
		tdm_journal_forget(j, at = next);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(writers[i].failures, 0);
	}
	assert_int_equal(found, 800);
	tdm_bytes_release(&chunk);
	tdm_journal_close(j);
}

// --- entries

static void fill(struct tdm_record *r, struct tdm_arena *arena, struct tdm_bytes *b) {
	tdm_record_init(r, arena);
	r->state = TDM_COMPLETE;
	r->served = "small";
	tdm_record_call(r, &(struct tdm_call){.model = "small", .purpose = "answer", .status = "ok", .cost = 0.5, .us = 9});
	tdm_record_call(r, &(struct tdm_call){.model = "large"});
	tdm_record_decision(r, &(struct tdm_decision){.by = "it", .kind = "route", .choice = "large", .score = 0.25});
	tdm_bytes_init(b, 1 << 20);
	tdm_entry_write(b, r, NULL);
}

static void test_entries(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	struct tdm_bytes b;
	struct tdm_entry e;
	struct tdm_entry_call c;
	struct tdm_entry_decision d;
	(void)state;
	tdm_arena_init(&arena, 1 << 20);
	fill(&r, &arena, &b);
	assert_true(tdm_entry_read(b.data, b.len, &e));
	assert_string_equal(e.id, r.id);
	assert_null(e.tenant);
	assert_string_equal(e.state, "complete");
	assert_true(e.cost == 0.5 && e.n_calls == 2 && e.n_decisions == 1);
	assert_non_null(strstr(e.receipt, r.id));
	assert_int_equal(e.receipt_bytes, strlen(e.receipt));
	assert_true(tdm_entry_call(&e, &c));
	assert_string_equal(c.model, "small");
	assert_true(c.us == 9 && c.cost == 0.5);
	assert_true(tdm_entry_call(&e, &c));
	assert_null(c.purpose);
	assert_true(tdm_entry_decision(&e, &d));
	assert_true(d.score == 0.25);
	tdm_bytes_release(&b);
	tdm_arena_release(&arena);
}

static void test_broken_entries(void **state) {
	struct tdm_arena arena;
	struct tdm_record r;
	struct tdm_bytes b;
	struct tdm_entry e;
	(void)state;
	tdm_arena_init(&arena, 1 << 20);
	fill(&r, &arena, &b);
	for (size_t n = 0; n < b.len; n++) { // cut anywhere, on memory of that size: sanitizers see a byte beyond it
		char *copy = malloc(n + 1);
		memcpy(copy, b.data, n);
		bool is_read = tdm_entry_read(copy, n, &e);
		assert_true(!is_read || !e.receipt[e.receipt_bytes]);
		free(copy);
	}
	for (size_t i = 0; i < b.len; i++) {
		b.data[i] ^= 0x2a;
		if (tdm_entry_read(b.data, b.len, &e))
			assert_true(e.receipt + e.receipt_bytes < b.data + b.len);
		b.data[i] ^= 0x2a;
	}
	tdm_bytes_release(&b);
	tdm_arena_release(&arena);
}

// --- the store over a journal that was left behind

static void F38_what_waits_is_brought_once_and_the_chain_is_whole(void **state) {
	struct tdm_ledger_options o = {.path = path};
	struct tdm_error err = {0};
	struct tdm_ledger *l = NULL;
	char ids[20][TDM_ID_BYTES];
	(void)state;
	for (int round = 0; round < 3; round++) { // the same entries, offered again and again
		struct tdm_journal *j = open_journal(path, false, 0, 0);
		for (int i = 0; i < 20; i++) {
			struct tdm_arena arena;
			struct tdm_record r;
			struct tdm_bytes b;
			const char head[TDM_JOURNAL_HEAD_BYTES] = {0};
			tdm_arena_init(&arena, 1 << 20);
			tdm_record_init(&r, &arena);
			r.state = TDM_COMPLETE;
			if (round)
				memcpy(r.id, ids[i], sizeof r.id);
			else
				memcpy(ids[i], r.id, sizeof r.id);
			tdm_bytes_init(&b, 1 << 20);
			tdm_bytes_add(&b, head, sizeof head);
			tdm_entry_write(&b, &r, NULL);
			assert_int_equal(tdm_journal_append(j, b.data, b.len, NULL), TDM_OK);
			tdm_bytes_release(&b);
			tdm_arena_release(&arena);
		}
		tdm_journal_close(j);
		assert_int_equal(tdm_ledger_open(&o, &l, &err), TDM_OK);
		for (int i = 0; i < 20; i++) { // at once, before they are in the database
			struct tdm_bytes out;
			tdm_bytes_init(&out, 1 << 20);
			assert_int_equal(tdm_ledger_receipt(l, ids[i], NULL, &out, &err), TDM_OK);
			tdm_bytes_release(&out);
		}
		assert_int_equal(tdm_ledger_verify(l, &err), TDM_OK);
		int64_t newest = 0;
		assert_int_equal(tdm_ledger_newest(l, &newest, &err), TDM_OK);
		assert_int_equal(newest, 20);
		tdm_ledger_close(l);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int tdm_test_journal(void) {
	const struct CMUnitTest tests[] = {CASE(test_entries_are_read_again),
	                                   CASE(F47_one_journal_at_a_time),
	                                   CASE(test_limits),
	                                   CASE(F36_half_an_entry_is_none),
	                                   CASE(F39_what_was_synced_survives_any_loss_of_the_rest),
	                                   CASE(test_a_changed_entry_ends_its_file_only),
	                                   CASE(test_many_threads_share_a_sync),
	                                   CASE(F38_what_waits_is_brought_once_and_the_chain_is_whole),
	                                   cmocka_unit_test(test_entries),
	                                   cmocka_unit_test(test_broken_entries)};
	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
