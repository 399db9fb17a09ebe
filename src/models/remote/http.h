// Http: posts to one upstream over kept connections. http.c is the only file that knows curl. Nothing here decides what
// may leave the machine: remote_send.c does, and is the only one that posts what a client wrote. Telemetry, which
// holds none of that, posts too.
//
// TLS is always verified and has no switch; redirects are not followed, cookies not kept; HTTP/2 where TLS offers it. A
// name that cannot be resolved for a moment is used with its last good address, for five minutes.
#pragma once
#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TDM_HTTP_POLL_MS 20     // how often watch() is asked at least
#define TDM_HTTP_PATIENT_MS 200 // likewise, as long as it says that it may wait

struct tdm_http; // may be used by many threads

struct tdm_http_options { // borrowed
	const char *ca;       // a file of certificates to trust instead of the system's; NULL = the system's
	int64_t connect_ms;
};
struct tdm_http *tdm_http_new(const struct tdm_http_options *options); // NULL: no memory
void tdm_http_free(struct tdm_http *h);

// What stands before the body; made once, used by many posts.
struct tdm_http_headers;
bool tdm_http_header(struct tdm_http_headers **list, const char *line); // *list NULL = a new one
void tdm_http_headers_free(struct tdm_http_headers *list);              // wipes them: a key is among them

// A URL of http or https with a host and perhaps a path, nothing else: no user, no query, no fragment. The host with
// its port in out (n bytes). err is set when that cannot be told.
bool tdm_http_url_is_plain(const char *url, char *host, size_t n, struct tdm_error *err);

enum tdm_http_end {
	TDM_HTTP_WELL,      // the answer was read to its end
	TDM_HTTP_NO_HOST,   // its name is not known
	TDM_HTTP_REFUSED,   // nobody listens
	TDM_HTTP_SLOW,      // no connection in time
	TDM_HTTP_UNTRUSTED, // no trustworthy TLS connection
	TDM_HTTP_STOPPED,   // by bytes() or watch()
	TDM_HTTP_NO_FILES,  // this process has no file descriptor left
	TDM_HTTP_BROKEN,    // anything else
};

struct tdm_http_post {
	const char *url;
	const struct tdm_http_headers *headers;
	const char *extra; // one line more; NULL = none
	const char *body;
	size_t n;
	bool fresh;                                           // on a new connection
	int (*bytes)(void *arg, const char *bytes, size_t n); // of the body; anything but TDM_OK: stop
	int (*watch)(void *arg);                              // anything but TDM_OK: stop
	const atomic_bool *stops[2];                          // watch() will say so when one is set; NULL: nothing to see
	bool patient; // watch() may be asked less often, or as soon as one of `stops` is set; kept up to date by it
	void *arg;
	// filled, some of it before the first bytes():
	int http;               // status of the answer; 0 = none came
	int64_t retry_after_ms; // that it asks for; 0 = none
	bool is_encoded;        // compressed although nobody asked for that
	enum tdm_http_end end;
	const char *why; // in words, for TDM_HTTP_UNTRUSTED and TDM_HTTP_BROKEN
	bool left;       // some of the request may have gone out
	bool may_repeat; // nothing was answered, and a new connection may help
};
int tdm_http_send(struct tdm_http *h, struct tdm_http_post *p); // what watch() returned; TDM_OK: see `end`
