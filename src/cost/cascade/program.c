// Program: between fork and exec only calls that are safe there. It runs in a process group of its own, so that what it
// started is found and ended; limits are those of its process: processor time, memory, files written.
#include "cost/cascade/program.h"
#include "base/clock.h"
#include "base/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_FILE_BYTES ((rlim_t)16 << 20)

static int input_of(const char *text, size_t n) {
	int fd = memfd_create("answer", MFD_CLOEXEC);
	for (size_t at = 0; fd >= 0 && at < n;) {
		ssize_t wrote = write(fd, text + at, n - at);
		if (wrote <= 0) {
			close(fd);
			return -1;
		}
		at += (size_t)wrote;
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

static void limit(int what, rlim_t most) {
	setrlimit(what, &(struct rlimit){most, most});
}

// In the new process. Returns only when the program could not be started.
static void become(const struct tdm_program *p, int input, int nowhere) {
	static char *const environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL};
	sigset_t none;
	sigemptyset(&none);
	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	limit(RLIMIT_CPU, (rlim_t)(p->limit_ms / 1000 + 1));
	limit(RLIMIT_AS, (rlim_t)p->limit_bytes);
	limit(RLIMIT_FSIZE, MOST_FILE_BYTES);
	limit(RLIMIT_CORE, 0);
	if (chdir("/") || dup2(input, 0) < 0 || dup2(nowhere, 1) < 0 || dup2(nowhere, 2) < 0)
		return;
	close_range(3, ~0U, 0);
	execve(p->words[0], (char *const *)p->words, environment);
}

// Waits for its end or the limits. What it has left of its group is ended before its number is free again.
static int await(const struct tdm_program *p, struct tdm_run *run, pid_t child, bool *accepted) {
	int64_t until_us = tdm_now_us() + p->limit_ms * 1000;
	siginfo_t info = {0};
	int status = TDM_OK, how = 0;
	tdm_loop_blocks();
	while (!waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) && !info.si_pid) {
		if ((status = tdm_run_check(run)) || tdm_now_us() >= until_us)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	bool ended = info.si_pid != 0;
	kill(-child, SIGKILL);
	kill(child, SIGKILL); // it may not have its group yet
	while (waitpid(child, &how, 0) < 0 && errno == EINTR)
		continue;
	*accepted = ended && WIFEXITED(how) && WEXITSTATUS(how) == 0;
	return status;
}

int tdm_program_run(const struct tdm_program *p, struct tdm_run *run, const char *input, size_t n, bool *accepted) {
	int status = TDM_OK, fd = input_of(input, n), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	*accepted = false;
	pid_t child = fd >= 0 && nowhere >= 0 ? fork() : -1;
	if (child == 0) {
		become(p, fd, nowhere);
		_exit(127);
	}
	if (child < 0)
		status = tdm_fail(&run->error, TDM_EIO, "cannot run %s: %s", p->words[0], strerror(errno));
	else
		status = await(p, run, child, accepted);
	if (fd >= 0)
		close(fd);
	if (nowhere >= 0)
		close(nowhere);
	return status;
}
