// HTTP: connections, requests and answers; knows nothing of models.
//
// The threads of one loop (base/loop.h) serve all connections: whoever takes the event that a connection is readable
// reads its request, calls `handle` and writes the answer itself, so that a request is never handed from thread to
// thread unless it waits. There is always a thread to read, to refuse what is too much and to notice a client that
// leaves, which sets `cancelled`.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tdm_http;
struct tdm_exchange;

struct tdm_http_options {
	const char *address; // numeric IPv4 or IPv6 address
	uint16_t port;       // 0 = a free one
	size_t max_body_bytes;
	size_t workers, queue; // requests under way, and that may wait for one of these to end
	size_t connections;    // for one more the oldest idle one is closed
	int ping_s;
	int header_s, body_s, write_s, idle_s; // longest times: for a head; for the next 64 KiB of a body; for a client
	                                       // that reads nothing; between two requests
	bool half_close;                       // a client that has closed its sending side still gets its answer
	void *context;
	void (*handle)(void *context, struct tdm_exchange *x); // has answered when it returns
	void (*refuse)(void *context,
	               struct tdm_exchange *x);         // all workers are busy and the queue is full: answers at once
	bool (*is_quick)(const struct tdm_exchange *x); // its answer never waits: handled in any case; NULL = none is
};

int tdm_http_open(const struct tdm_http_options *o, struct tdm_http **out, struct tdm_error *err);
uint16_t tdm_http_port(const struct tdm_http *h);
void tdm_http_load(struct tdm_http *h, size_t *busy, size_t *waiting); // requests under way, and in the queue
void tdm_http_stop_accepting(struct tdm_http *h);         // every answer from here on is its connection's last
bool tdm_http_wait_idle(struct tdm_http *h, int seconds); // until no request is under way
void tdm_http_cancel_all(struct tdm_http *h);             // as if every client had left
void tdm_http_close(struct tdm_http *h);                  // waits for requests under way

// What was asked. Borrowed until the exchange is answered.
const char *tdm_exchange_method(const struct tdm_exchange *x);
const char *tdm_exchange_path(const struct tdm_exchange *x); // percent-decoded, without the query
const char *tdm_exchange_host(const struct tdm_exchange *x); // with its port; "" where there is none
const char *tdm_exchange_header(const struct tdm_exchange *x, const char *name); // NULL when absent
bool tdm_exchange_is_local(const struct tdm_exchange *x); // the client's address is a loopback address
bool tdm_exchange_header_twice(const struct tdm_exchange *x, const char *name);
// A field of the query, decoded, in out: at most cap bytes with their NUL. false: there is none, or it is no text.
bool tdm_exchange_query(const struct tdm_exchange *x, const char *name, char *out, size_t cap);
const struct tdm_bytes *tdm_exchange_body(const struct tdm_exchange *x);
bool tdm_exchange_too_large(const struct tdm_exchange *x); // the body was over the limit and not read
const atomic_bool *tdm_exchange_cancelled(const struct tdm_exchange *x);
int64_t tdm_exchange_arrived_us(const struct tdm_exchange *x);

// Answer headers, before the commit. Characters that are not printable ASCII are percent-encoded.
void tdm_exchange_set(struct tdm_exchange *x, const char *name, const char *value);
// From here on a silence of ping_s seconds commits the stream and sends `ping`, which must outlive the exchange.
void tdm_exchange_may_stream(struct tdm_exchange *x, const char *ping);
bool tdm_exchange_committed(struct tdm_exchange *x);
// Answers whole; false (and nothing done) when the exchange is committed already.
bool tdm_exchange_reply(struct tdm_exchange *x, int http_status, const char *content_type, const void *body, size_t n);
// Commits a stream of events. Writes block while the client is 256 KiB behind. TDM_OK or TDM_EGONE.
int tdm_exchange_stream(struct tdm_exchange *x);
int tdm_exchange_write(struct tdm_exchange *x, const void *data, size_t n);
// While it is held, what is written waits, to leave in one piece at the end of the last hold.
void tdm_exchange_hold(struct tdm_exchange *x, bool held);
// Ends a stream; clean = false closes without the final chunk, so that no client takes a cut answer for a whole one.
void tdm_exchange_end(struct tdm_exchange *x, bool clean);
