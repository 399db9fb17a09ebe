// Library: an outside library that only some settings need is loaded when the first of them is used, so that nobody
// else waits for it or holds its memory. The one file that owns the library lists its functions and calls them through
// a table that has their names and types:
//
//     #define CALLS(X) X(hs_scan) X(hs_free_scratch)
//     TDM_LIBRARY(lib, TDM_SO_hs, CALLS);
//
// The rule it protects: what is loaded is the version whose headers were read, by the name that the linker would have
// written down (the Makefile's LATE). After a successful tdm_library_load(&library, err) lib.hs_scan(...) may be
// called.
#pragma once
#include "base/status.h"
#include <pthread.h>
#include <stdbool.h>

struct tdm_library {
	const char *file;
	const char *const *names; // ended by NULL; their addresses stand behind this struct
	pthread_mutex_t lock;     // guards the filling
	bool is_loaded;
};

#define TDM_LIBRARY_FIELD(name) __typeof__(name) *name;
#define TDM_LIBRARY_NAME(name) #name,
#ifdef TDM_LINKED // a build that has to see every call of a library: nothing is loaded late
#define TDM_LIBRARY_ADDRESS(name) name,
#else
#define TDM_LIBRARY_ADDRESS(name) NULL,
#endif
#define TDM_LIBRARY(lib, so, list)                                          \
	static const char *const lib##_names[] = {list(TDM_LIBRARY_NAME) NULL}; \
	static struct {                                                         \
		struct tdm_library library;                                         \
		list(TDM_LIBRARY_FIELD)                                             \
	} lib = {{.file = so, .names = lib##_names, .lock = PTHREAD_MUTEX_INITIALIZER}, list(TDM_LIBRARY_ADDRESS)}

// Once; again and from several threads it does nothing. TDM_EINTERNAL: the sentence names the file. It is never
// unloaded.
int tdm_library_load(struct tdm_library *library, struct tdm_error *err);
