// Loop: a few threads that take the events of one epoll set, and go on with other work while a call waits for a socket.
//
// What takes an event runs on a fiber. Where it has to wait for a socket of its own (a line), tdm_line_wait gives its
// thread back to the set, and the event of that socket goes on with it, on any thread. Everything else may simply
// block: whoever knows that it will says so (tdm_loop_blocks), and who has been at one event for some milliseconds is
// taken to do so; then another thread takes its place, so that a blocked call stops nobody but itself.
#pragma once
#include "base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tdm_loop;

struct tdm_loop_options {
	void *context;
	// What an event names: below 2^63, given to epoll_ctl by the caller.
	void (*event)(void *context, uint64_t name, uint32_t events);
};
int tdm_loop_open(const struct tdm_loop_options *o, struct tdm_loop **out, struct tdm_error *err); // not running yet
int tdm_loop_start(struct tdm_loop *l, struct tdm_error *err);
int tdm_loop_epoll(const struct tdm_loop *l);
void tdm_loop_close(struct tdm_loop *l); // after every call that waits has gone on, and every thread has ended

// The caller may block for long from here on, until its event is done. Nothing where there is no loop.
void tdm_loop_blocks(void);

// A socket that one caller at a time waits for. A wait may end without any reason.
struct tdm_line;
struct tdm_line *tdm_line_open(int fd);             // NULL: the caller is in no loop, or cannot be helped; it blocks
bool tdm_line_is_here(const struct tdm_line *line); // of the caller's loop; NULL is not
void tdm_line_close(struct tdm_line *line);         // before the socket is closed; NULL: nothing
// Until there is something to read (writes: or room to write), or the time is over.
void tdm_line_wait(struct tdm_line *line, bool writes, int for_ms);
