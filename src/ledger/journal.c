// Journal: files of entries, each with its length and a checksum over its bytes and its position, so that neither half
// an entry nor one of another time is ever taken for an entry.
//
// A write that fails is taken back by cutting the file; where even that fails the file is given up and another one goes
// on at the same position. An fdatasync that fails is believed: what it should have brought to the disk counts as lost,
// those who waited for it are told so, and the next file begins with an entry that says it.
//
// Locks, in this order: reading is held by readers and by the one that forgets; syncing by the thread that syncs for
// all; mutex guards the fields. A change of the form of an entry raises MAGIC.
#include "ledger/journal.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x314c4d54u // "TML1"
#define MOST_FILES 256
#define FILES_OF_A_LIMIT 32
#define STANDARD_LIMIT_BYTES ((int64_t)256 << 20)
#define CHUNK_BYTES ((size_t)1 << 20)
#define LARGEST_ENTRY_BYTES ((size_t)16 << 20)

struct head {
	uint32_t magic, n; // n: of the payload
	uint64_t sum;
};
_Static_assert(sizeof(struct head) == TDM_JOURNAL_HEAD_BYTES, "the head of an entry");

struct file {
	int fd;
	int64_t base, end; // positions
};

struct tdm_journal {
	struct tdm_journal_options o;
	char *path;
	int lock_fd;
	pthread_mutex_t reading, syncing, mutex;
	struct file files[MOST_FILES]; // oldest first; the last is written to
	size_t n_files;
	bool is_closed;      // the last file takes no more entries
	bool has_gap;        // the next file begins with the entry that says so
	int64_t begin, safe; // the first entry that is needed; what the disk has
	unsigned n_cuts;     // times that entries were given up
};

// Words of eight bytes, mixed by multiplication: several times as fast as the entry is written.
static uint64_t checksum(const char *data, size_t n, int64_t position) {
	uint64_t sum = (uint64_t)position * 0x9e3779b97f4a7c15u ^ n, word;
	for (; n >= 8; n -= 8, data += 8) {
		memcpy(&word, data, 8);
		sum = (sum ^ word) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 32;
	}
	word = 0;
	memcpy(&word, data, n);
	sum = (sum ^ word) * 0xff51afd7ed558ccdu;
	return sum ^ sum >> 29;
}

// --- files

static void name_of(const struct tdm_journal *j, int64_t base, char *out, size_t cap) {
	snprintf(out, cap, "%s.log.%019lld", j->path, (long long)base);
}

// A name is on the disk when its folder is.
static int sync_folder(const struct tdm_journal *j) {
	char folder[4096];
	snprintf(folder, sizeof folder, "%s", j->path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0)
		close(fd);
	return result;
}

static int create_file(const struct tdm_journal *j, int64_t base) {
	char name[4352];
	if (!j->path)
		return memfd_create("tandem-journal", MFD_CLOEXEC);
	name_of(j, base, name, sizeof name);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0 && j->o.sync && sync_folder(j)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void remove_file(const struct tdm_journal *j, const struct file *f) {
	char name[4352];
	close(f->fd);
	if (!j->path)
		return;
	name_of(j, f->base, name, sizeof name);
	unlink(name);
}

static int write_all(int fd, const char *data, size_t n) {
	while (n) {
		ssize_t done = write(fd, data, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			errno = done < 0 ? errno : EIO;
			return -1;
		}
		data += done;
		n -= (size_t)done;
	}
	return 0;
}

static void stamp(char *entry, size_t n, int64_t position) {
	struct head h = {MAGIC, (uint32_t)(n - sizeof h), 0};
	h.sum = checksum(entry + sizeof h, h.n, position);
	memcpy(entry, &h, sizeof h);
}

// Under mutex. errno says why not.
static int put_entry(struct tdm_journal *j, char *entry, size_t n) {
	struct file *f = &j->files[j->n_files - 1];
	stamp(entry, n, f->end);
	if (write_all(f->fd, entry, n)) {
		int why = errno;
		if (ftruncate(f->fd, f->end - f->base))
			j->is_closed = true;
		errno = why;
		return -1;
	}
	f->end += (int64_t)n;
	return 0;
}

static int put_gap(struct tdm_journal *j) {
	struct tdm_bytes b;
	const char room[TDM_JOURNAL_HEAD_BYTES] = {0};
	tdm_bytes_init(&b, LARGEST_ENTRY_BYTES);
	tdm_bytes_add(&b, room, sizeof room);
	if (j->o.gap)
		j->o.gap(&b);
	int result = b.failed ? -1 : put_entry(j, b.data, b.len);
	tdm_bytes_release(&b);
	j->has_gap = result != 0;
	return result;
}

// Under mutex: the last file takes the entry, or a new one does.
static int make_room(struct tdm_journal *j) {
	struct file *last = j->n_files ? &j->files[j->n_files - 1] : NULL;
	if (last && !j->is_closed && last->end - last->base < j->o.file_bytes)
		return 0;
	int64_t base = last ? last->end : j->begin;
	if (last && last->end == last->base) { // it was given up before it held anything; the name is used again
		remove_file(j, last);
		j->n_files--;
	}
	if (j->n_files == MOST_FILES) {
		errno = EDQUOT;
		return -1;
	}
	int fd = create_file(j, base);
	if (fd < 0)
		return -1;
	j->files[j->n_files++] = (struct file){fd, base, base};
	j->is_closed = false;
	return j->has_gap ? put_gap(j) : 0;
}

// --- appending

// Under syncing and mutex: the disk did not take what came after `safe`.
static void give_up(struct tdm_journal *j) {
	while (j->n_files && j->files[j->n_files - 1].base >= j->safe && j->n_files > 1)
		remove_file(j, &j->files[--j->n_files]);
	struct file *f = &j->files[j->n_files - 1];
	f->end = j->safe;
	if (ftruncate(f->fd, f->end - f->base))
		errno = 0; // its end is known here; after a restart the entries there are more than were promised
	j->is_closed = j->has_gap = true;
	j->n_cuts++;
}

// Everything up to `position` is on the disk when this returns 0. Who comes first does it for all who wait.
static int sync_to(struct tdm_journal *j, int64_t position, unsigned cuts) {
	int result = 0;
	pthread_mutex_lock(&j->syncing);
	pthread_mutex_lock(&j->mutex);
	bool is_lost = j->n_cuts != cuts, is_safe = j->safe >= position;
	int64_t end = 0;
	int fds[MOST_FILES], n = 0;
	for (size_t i = 0; !is_lost && !is_safe && i < j->n_files; i++) {
		end = j->files[i].end;
		if (end > j->safe)
			fds[n++] = j->files[i].fd;
	}
	pthread_mutex_unlock(&j->mutex); // only who holds syncing gives up files, and what is not safe is not forgotten
	for (int i = 0; i < n && !result; i++)
		result = fdatasync(fds[i]);
	int why = errno;
	pthread_mutex_lock(&j->mutex);
	if (result)
		give_up(j);
	else if (n)
		j->safe = end;
	pthread_mutex_unlock(&j->mutex);
	pthread_mutex_unlock(&j->syncing);
	errno = is_lost ? EIO : why;
	return result || is_lost ? -1 : 0;
}

static int append_failed(struct tdm_error *err) {
	return tdm_fail(err, TDM_ELEDGER, "ledger: the journal cannot be written: %s", strerror(errno));
}

int tdm_journal_append(struct tdm_journal *j, void *entry, size_t n, struct tdm_error *err) {
	if (n > LARGEST_ENTRY_BYTES)
		return tdm_fail(err, TDM_ELEDGER, "ledger: a record is larger than %zu bytes", LARGEST_ENTRY_BYTES);
	pthread_mutex_lock(&j->mutex);
	int64_t used = j->n_files ? j->files[j->n_files - 1].end - j->files[0].base : 0;
	bool is_full = used + (int64_t)n > j->o.limit_bytes;
	int result = is_full || make_room(j) ? -1 : put_entry(j, entry, n);
	int64_t position = j->n_files ? j->files[j->n_files - 1].end : 0;
	unsigned cuts = j->n_cuts;
	pthread_mutex_unlock(&j->mutex);
	if (is_full)
		return tdm_fail(err, TDM_ELEDGER, "ledger: its database is away, and the journal has reached its limit");
	if (!result && j->o.sync)
		result = sync_to(j, position, cuts);
	return result ? append_failed(err) : TDM_OK;
}

// --- reading

int64_t tdm_journal_begin(struct tdm_journal *j) {
	pthread_mutex_lock(&j->mutex);
	int64_t begin = j->begin;
	pthread_mutex_unlock(&j->mutex);
	return begin;
}

int64_t tdm_journal_end(struct tdm_journal *j) {
	pthread_mutex_lock(&j->mutex);
	int64_t end = j->o.sync ? j->safe : j->n_files ? j->files[j->n_files - 1].end : j->begin;
	pthread_mutex_unlock(&j->mutex);
	return end;
}

const char *tdm_journal_next(const struct tdm_bytes *read, size_t *at, size_t *n) {
	struct head h;
	if (read->len - *at < sizeof h)
		return NULL;
	memcpy(&h, read->data + *at, sizeof h);
	if (h.magic != MAGIC || h.n > read->len - *at - sizeof h)
		return NULL;
	const char *payload = read->data + *at + sizeof h;
	*at += sizeof h + h.n;
	*n = h.n;
	return payload;
}

// The bytes [from, from + n) of a file, fewer at its end; -1: errno.
static ssize_t read_at(int fd, char *out, size_t n, int64_t from) {
	size_t got = 0;
	while (got < n) {
		ssize_t part = pread(fd, out + got, n - got, from + (int64_t)got);
		if (part < 0 && errno == EINTR)
			continue;
		if (part < 0)
			return -1;
		if (!part)
			break;
		got += (size_t)part;
	}
	return (ssize_t)got;
}

// Cuts out to whole entries that carry their checksums; the bytes that are left.
static size_t keep_whole(struct tdm_bytes *out, int64_t position) {
	size_t at = 0, n, start = 0;
	const char *payload;
	while ((payload = tdm_journal_next(out, &at, &n))) {
		struct head h;
		memcpy(&h, out->data + start, sizeof h);
		if (checksum(payload, n, position + (int64_t)start) != h.sum)
			break;
		start = at;
	}
	out->len = start;
	return start;
}

static bool load(struct tdm_bytes *out, int fd, int64_t offset, size_t n) {
	tdm_bytes_clear(out);
	char *room = tdm_bytes_room(out, n);
	ssize_t got = room ? read_at(fd, room, n, offset) : -1;
	tdm_bytes_took(out, got > 0 ? (size_t)got : 0);
	return got >= 0 && !out->failed;
}

// Whole entries of one file; *next is the position behind them.
static bool read_file(const struct file *f, int64_t from, int64_t end, struct tdm_bytes *out, int64_t *next) {
	struct head h;
	size_t room = (size_t)(end - from), n = room < CHUNK_BYTES ? room : CHUNK_BYTES;
	if (!load(out, f->fd, from - f->base, n))
		return false;
	if (!keep_whole(out, from) && n < room && read_at(f->fd, (char *)&h, sizeof h, from - f->base) == sizeof h &&
	    h.magic == MAGIC && h.n <= LARGEST_ENTRY_BYTES) { // one that is larger than what is read at once
		size_t whole = sizeof h + h.n < room ? sizeof h + h.n : room;
		if (!load(out, f->fd, from - f->base, whole))
			return false;
		keep_whole(out, from);
	}
	*next = from + (int64_t)out->len;
	return true;
}

int64_t tdm_journal_read(struct tdm_journal *j, int64_t from, struct tdm_bytes *out) {
	struct file f = {.fd = -1};
	int64_t end = tdm_journal_end(j), next = from;
	pthread_mutex_lock(&j->mutex);
	for (size_t i = j->n_files; i-- > 0;) // the first that holds it, or what follows where a file has gone
		if (from < j->files[i].end)
			f = j->files[i];
	pthread_mutex_unlock(&j->mutex);
	tdm_bytes_clear(out);
	if (f.fd < 0 || from >= end)
		return from;
	if (from < f.base)
		from = next = f.base;
	if (!read_file(&f, from, f.end < end ? f.end : end, out, &next))
		return -1;
	if (next == from)
		errno = EIO; // what was accepted has changed on the disk
	return next == from ? -1 : next;
}

void tdm_journal_hold(struct tdm_journal *j) {
	pthread_mutex_lock(&j->reading);
}

void tdm_journal_release(struct tdm_journal *j) {
	pthread_mutex_unlock(&j->reading);
}

void tdm_journal_forget(struct tdm_journal *j, int64_t before) {
	size_t gone = 0;
	tdm_journal_hold(j);
	pthread_mutex_lock(&j->mutex);
	j->begin = before;
	while (gone + 1 < j->n_files && j->files[gone].end <= before)
		remove_file(j, &j->files[gone++]);
	memmove(j->files, j->files + gone, (j->n_files - gone) * sizeof *j->files);
	j->n_files -= gone;
	pthread_mutex_unlock(&j->mutex);
	tdm_journal_release(j);
}

// --- opening and closing

// Finds where the whole entries of a file end. What follows was never accepted, and is cut off.
static int find_end(struct file *f) {
	struct tdm_bytes chunk;
	struct stat st = {0};
	int64_t next;
	if (fstat(f->fd, &st))
		return -1;
	tdm_bytes_init(&chunk, LARGEST_ENTRY_BYTES + CHUNK_BYTES);
	f->end = f->base;
	bool is_read;
	while ((is_read = read_file(f, f->end, f->base + st.st_size, &chunk, &next)) && next > f->end)
		f->end = next;
	tdm_bytes_release(&chunk);
	if (!is_read)
		return -1;
	return f->end - f->base < st.st_size ? ftruncate(f->fd, f->end - f->base) : 0;
}

static int open_file(struct tdm_journal *j, const char *name) {
	const char *dot = strrchr(name, '.');
	if (j->n_files == MOST_FILES) {
		errno = EMFILE;
		return -1;
	}
	struct file f = {open(name, O_RDWR | O_APPEND | O_CLOEXEC), strtoll(dot + 1, NULL, 10), 0};
	if (f.fd < 0)
		return -1;
	if (find_end(&f)) {
		close(f.fd);
		return -1;
	}
	j->files[j->n_files++] = f;
	return 0;
}

// A path may hold what a pattern would be read as.
static void put_literally(struct tdm_bytes *pattern, const char *path) {
	for (; *path; path++) {
		if (strchr("*?[]\\", *path))
			tdm_bytes_putc(pattern, '\\');
		tdm_bytes_putc(pattern, *path);
	}
	tdm_bytes_puts(pattern, ".log.*");
}

static int find_files(struct tdm_journal *j, struct tdm_error *err) {
	struct tdm_bytes pattern;
	glob_t found = {0};
	int result = 0;
	tdm_bytes_init(&pattern, 16384);
	put_literally(&pattern, j->path);
	const char *name = "";
	if (!pattern.failed && !glob(pattern.data, 0, NULL, &found)) // names sort as their positions do
		for (size_t i = 0; i < found.gl_pathc && !result; i++)
			result = open_file(j, name = found.gl_pathv[i]);
	if (result)
		tdm_fail(err, TDM_ELEDGER, "ledger: cannot open %s: %s", name, strerror(errno));
	globfree(&found);
	tdm_bytes_release(&pattern);
	if (j->n_files) {
		j->begin = j->files[0].base;
		j->safe = j->files[j->n_files - 1].end;
		j->is_closed = true; // what this process writes is in files of its own
	}
	return result ? TDM_ELEDGER : TDM_OK;
}

static int lock_path(struct tdm_journal *j, struct tdm_error *err) {
	char name[4352];
	snprintf(name, sizeof name, "%s.lock", j->path);
	j->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock_fd < 0)
		return tdm_fail(err, TDM_ELEDGER, "ledger: cannot open %s for writing: %s", name, strerror(errno));
	if (flock(j->lock_fd, LOCK_EX | LOCK_NB))
		return tdm_fail(err, TDM_ELEDGER, "ledger: another process uses %s; each needs a ledger of its own", j->path);
	return TDM_OK;
}

int tdm_journal_open(const struct tdm_journal_options *o, struct tdm_journal **out, struct tdm_error *err) {
	struct tdm_journal *j = calloc(1, sizeof *j);
	if (!j)
		return tdm_fail(err, TDM_ENOMEM, "ledger: out of memory");
	j->o = *o;
	j->lock_fd = -1;
	if (!j->o.limit_bytes)
		j->o.limit_bytes = STANDARD_LIMIT_BYTES;
	if (!j->o.file_bytes)
		j->o.file_bytes = j->o.limit_bytes / FILES_OF_A_LIMIT;
	pthread_mutex_init(&j->reading, NULL);
	pthread_mutex_init(&j->syncing, NULL);
	pthread_mutexattr_t brief; // held for a write, which is over before a thread would sleep
	pthread_mutexattr_init(&brief);
	pthread_mutexattr_settype(&brief, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&j->mutex, &brief);
	pthread_mutexattr_destroy(&brief);
	j->path = o->path ? strdup(o->path) : NULL;
	int status = o->path && !j->path ? tdm_fail(err, TDM_ENOMEM, "ledger: out of memory") : TDM_OK;
	if (!status && j->path)
		status = lock_path(j, err);
	if (!status && j->path)
		status = find_files(j, err);
	if (status)
		tdm_journal_close(j);
	else
		*out = j;
	return status;
}

void tdm_journal_close(struct tdm_journal *j) {
	for (size_t i = 0; i < j->n_files; i++) {
		if (j->files[i].end <= j->begin)
			remove_file(j, &j->files[i]);
		else
			close(j->files[i].fd);
	}
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	pthread_mutex_destroy(&j->reading);
	pthread_mutex_destroy(&j->syncing);
	pthread_mutex_destroy(&j->mutex);
	free(j->path);
	free(j);
}
