// Files mapped for reading. A mapped file may be cut off while it is read; the system tells so by SIGBUS, which would
// end the program. The rule kept here: such a page reads as zeros from then on, and tdm_map_changed says so, so that
// whoever reads a file asks at the end whether it was whole. Signals for other addresses go where they went before.
//
// The table of mappings is read by the handler: its numbers are atomic, and a place is taken by one thread only.
#include "base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { N_PLACES = 64 };

static struct {
	atomic_bool is_taken, has_changed;
	atomic_uintptr_t begin, end; // 0 = none
} places[N_PLACES];

static struct sigaction before;
static uintptr_t page_bytes;

static bool is_ours(uintptr_t at) {
	for (int i = 0; i < N_PLACES; i++)
		if (at >= places[i].begin && at < places[i].end) {
			places[i].has_changed = true;
			return true;
		}
	return false;
}

static void on_bus_error(int number, siginfo_t *info, void *context) {
	uintptr_t at = (uintptr_t)info->si_addr;
	void *page = (void *)(at & ~(page_bytes - 1));
	if (is_ours(at) && mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		return;
	if (before.sa_flags & SA_SIGINFO)
		before.sa_sigaction(number, info, context);
	else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN)
		before.sa_handler(number);
	else
		sigaction(number, &before, NULL); // it happens again, and does what it would have done
}

// Asked at every opening: somebody else may have set a handler of his own meanwhile, who then comes after ours.
static void set_handler(void) {
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, now;
	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&lock);
	page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	if (sigaction(SIGBUS, NULL, &now) == 0 && (!(now.sa_flags & SA_SIGINFO) || now.sa_sigaction != on_bus_error)) {
		before = now;
		sigaction(SIGBUS, &action, NULL);
	}
	pthread_mutex_unlock(&lock);
}

static int take_place(const void *data, size_t n) {
	for (int i = 0; i < N_PLACES; i++)
		if (!atomic_exchange(&places[i].is_taken, true)) {
			places[i].has_changed = false;
			places[i].begin = (uintptr_t)data;
			places[i].end = (uintptr_t)data + n;
			return i;
		}
	return -1; // more files than are ever read at one time: this one is not watched
}

// Regular files only: a device or a pipe would be waited for, or say that it has no end. No link of the system's own,
// such as those in /proc, which lead past what the path says.
static int open_regular(const char *path, struct stat *info, int *fd, struct tdm_error *err) {
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_NO_MAGICLINKS};
	*fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	if (*fd < 0 && (errno == ENOSYS || errno == EPERM)) // an old system, or a sandbox that does not know the call
		*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int status = tdm_file_opened(*fd, path, info, err);
	if (status != TDM_OK || S_ISREG(info->st_mode))
		return status;
	close(*fd);
	return tdm_fail(err, TDM_EIO, "%s: is a device or a pipe, expected a file", path);
}

int tdm_map_open(const char *path, struct tdm_mapping *out, struct tdm_error *err) {
	int fd;
	struct stat info;
	*out = (struct tdm_mapping){.place = -1};
	int status = open_regular(path, &info, &fd, err);
	if (status != TDM_OK)
		return status;
	set_handler();
	if (info.st_size > 0) {
		void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data == MAP_FAILED)
			status = tdm_fail(err, TDM_EIO, "%s: cannot map the file: %m", path);
		else
			*out = (struct tdm_mapping){data, (size_t)info.st_size, take_place(data, (size_t)info.st_size)};
	}
	close(fd);
	return status;
}

bool tdm_map_changed(const struct tdm_mapping *mapping) {
	return mapping->data && mapping->place >= 0 && places[mapping->place].has_changed;
}

void tdm_map_close(struct tdm_mapping *mapping) {
	if (mapping->data && mapping->place >= 0)
		places[mapping->place].begin = places[mapping->place].end = 0;
	if (mapping->data)
		munmap((void *)mapping->data, mapping->n);
	if (mapping->data && mapping->place >= 0)
		places[mapping->place].is_taken = false;
	*mapping = (struct tdm_mapping){.place = -1};
}
