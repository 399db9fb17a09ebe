// Fault: a library to be loaded before the C library, which makes writes to a ledger's files fail as a file says that
// the environment names (TANDEM_FAULT): its words are
//   full       write to the journal: half of it is written, then no space is left
//   short      write to the journal: half of what was asked for
//   interrupt  write to the journal: every second one is interrupted
//   lost       fdatasync of the journal: input/output error
//   database   pwrite to the database's files: no space is left
//   names      the name upstream.test, which is this machine else, cannot be looked up for now
//   accept     accept4: no descriptor is left in the system
//   log        open of tandem.log: no descriptor is left in the process
// Memory fails as the first bytes of the file at TANDEM_FAULT_MEMORY say, which must be there from the start and keep
// its length: "memory 300 " is one allocation of 300, whoever asks for it.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t n);

static const volatile char *memory; // the first bytes of the file, as they are now

__attribute__((constructor)) static void map_memory(void) {
	const char *file = getenv("TANDEM_FAULT_MEMORY");
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	void *page = mmap(NULL, 32, PROT_READ, MAP_SHARED, fd, 0);
	memory = page == MAP_FAILED ? NULL : page;
	close(fd);
}

static int fails(void) {
	static atomic_uint count;
	unsigned one_of = 0;
	if (!memory || memory[0] != 'm')
		return 0;
	for (int i = 7; i < 16 && memory[i] >= '0' && memory[i] <= '9'; i++)
		one_of = one_of * 10 + (unsigned)(memory[i] - '0');
	unsigned hash = atomic_fetch_add(&count, 1) * 2654435761u;
	if (!one_of || (hash >> 8) % one_of)
		return 0;
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n) {
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t n) {
	return fails() ? NULL : __libc_realloc(old, n);
}

static int is_asked(const char *word) {
	char text[64] = "";
	const char *file = getenv("TANDEM_FAULT");
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	return n > 0 && strstr(text, word) != NULL;
}

static int is_named(int fd, const char *part) {
	char link[64], name[4096] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	return readlink(link, name, sizeof name - 1) > 0 && strstr(name, part) != NULL;
}

ssize_t write(int fd, const void *data, size_t n) {
	static ssize_t (*real)(int, const void *, size_t);
	static int turn, has_filled;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (fd <= 2 || !is_named(fd, ".log.0"))
		return real(fd, data, n);
	if (is_asked("interrupt") && ++turn % 2) {
		errno = EINTR;
		return -1;
	}
	if (is_asked("full")) {
		has_filled = !has_filled;
		if (has_filled && n > 1)
			return real(fd, data, n / 2);
		errno = ENOSPC;
		return -1;
	}
	return real(fd, data, n > 1 && is_asked("short") ? n / 2 : n);
}

int fdatasync(int fd) {
	static int (*real)(int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	if (is_named(fd, ".log.0") && is_asked("lost")) {
		errno = EIO;
		return -1;
	}
	return real(fd);
}

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t at) {
	static ssize_t (*real)(int, const void *, size_t, off64_t);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite64");
	if (is_named(fd, "ledger.db") && is_asked("database")) {
		errno = ENOSPC;
		return -1;
	}
	return real(fd, data, n, at);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (!name || strcmp(name, "upstream.test"))
		return real(name, service, hints, found);
	return is_asked("names") ? EAI_AGAIN : real("127.0.0.1", service, hints, found);
}

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags) {
	static int (*real)(int, struct sockaddr *, socklen_t *, int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "accept4");
	if (is_asked("accept")) {
		errno = ENFILE;
		return -1;
	}
	return real(fd, from, n, flags);
}

int open64(const char *path, int flags, ...) {
	static int (*real)(const char *, int, ...);
	va_list rest;
	va_start(rest, flags);
	int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
	va_end(rest);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "open64");
	size_t n = strlen(path);
	if (n >= 10 && !strcmp(path + n - 10, "tandem.log") && is_asked("log")) {
		errno = EMFILE;
		return -1;
	}
	return real(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));
