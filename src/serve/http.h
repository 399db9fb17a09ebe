// HTTP: connections, requests and answers; knows nothing of models. The only user of libmicrohttpd.
//
// A request that has arrived whole becomes an exchange and is handed to `handle` on the HTTP thread, its connection
// suspended. Whoever owns the exchange then answers it once, from any thread: tdm_exchange_reply(), or
// tdm_exchange_stream() followed by writes and tdm_exchange_end(). A client that leaves is noticed by watching the
// socket (a suspended connection does not report it) and sets `cancelled`.
#pragma once
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TDM_HTTP_CONNECTIONS 4096 // at the same time

struct tdm_http;
struct tdm_exchange;

struct tdm_http_options {
	const char *address; // numeric IPv4 or IPv6 address
	uint16_t port;       // 0 = a free one
	size_t max_body_bytes;
	int ping_s;
	void *context;
	void (*handle)(void *context, struct tdm_exchange *x); // must not block
};

int tdm_http_open(const struct tdm_http_options *o, struct tdm_http **out, struct tdm_error *err);
uint16_t tdm_http_port(const struct tdm_http *h);
void tdm_http_stop_accepting(struct tdm_http *h);
void tdm_http_cancel_all(struct tdm_http *h); // as if every client had left
void tdm_http_close(struct tdm_http *h);      // every exchange must have been answered

// What was asked. Borrowed until the exchange is answered.
const char *tdm_exchange_method(const struct tdm_exchange *x);
const char *tdm_exchange_path(const struct tdm_exchange *x);                     // percent-decoded, without the query
const char *tdm_exchange_header(const struct tdm_exchange *x, const char *name); // NULL when absent
bool tdm_exchange_is_local(const struct tdm_exchange *x); // the client's address is a loopback address
const struct tdm_bytes *tdm_exchange_body(const struct tdm_exchange *x);
bool tdm_exchange_too_large(const struct tdm_exchange *x); // the body was over the limit and not kept
const atomic_bool *tdm_exchange_cancelled(const struct tdm_exchange *x);
int64_t tdm_exchange_arrived_us(const struct tdm_exchange *x);

// Answer headers, before the commit. Characters that are not printable ASCII are percent-encoded.
void tdm_exchange_set(struct tdm_exchange *x, const char *name, const char *value);
// From here on a silence of ping_s seconds commits the stream and sends `ping`, which must outlive the exchange.
void tdm_exchange_may_stream(struct tdm_exchange *x, const char *ping);
bool tdm_exchange_committed(struct tdm_exchange *x);
// Answers whole; false (and nothing done) when the exchange is committed already. With true the exchange is gone.
bool tdm_exchange_reply(struct tdm_exchange *x, int http_status, const char *content_type, const void *body, size_t n);
// Commits a stream of events. Writes block while the client is 256 KiB behind. TDM_OK or TDM_EGONE.
int tdm_exchange_stream(struct tdm_exchange *x);
int tdm_exchange_write(struct tdm_exchange *x, const void *data, size_t n);
// Ends a stream; clean = false closes without the final chunk, so that no client takes a cut answer for a whole one.
// The exchange is gone.
void tdm_exchange_end(struct tdm_exchange *x, bool clean);
