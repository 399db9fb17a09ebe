// Plain: posts of HTTP/1.1 without TLS to an address that is a number, over kept connections: what an own server on
// this machine or beside it is. Everything else (TLS, HTTP/2, names, proxies) is libcurl's, in http.c, which asks here
// first.
//
// It exists for its cost: a call is one send and one recv per batch of bytes. Measured figures: DESIGN.md.
#pragma once
#include "models/remote/http.h"

#define TDM_PLAIN_IDLE 1024 // kept connections

struct tdm_plain; // of one upstream; may be used by many threads

// NULL: not for this URL ("http://127.0.0.1:8080/v1/x"), or a proxy of the environment stands before it.
struct tdm_plain *tdm_plain_new(const char *url);
void tdm_plain_free(struct tdm_plain *p);
bool tdm_plain_host(const char *url, char *host, size_t n);      // false: not for this URL; else its host with its port
bool tdm_plain_fits(const struct tdm_plain *p, const char *url); // the same host and port

struct tdm_plain_call {
	struct tdm_http_post *post;
	const char *head; // the lines of the request's head after its first one and the host's, each with CR LF
	size_t n_head;
	int64_t connect_ms;
	void (*header)(struct tdm_http_post *post, const char *line, size_t n); // for each header line of the answer
};
int tdm_plain_send(struct tdm_plain *p, const struct tdm_plain_call *call); // as tdm_http_send

// An answer, read from bytes that arrive in any pieces: pure, for tests.
struct tdm_plain_answer;
struct tdm_plain_answer *tdm_plain_answer_new(const struct tdm_plain_call *call);
void tdm_plain_answer_free(struct tdm_plain_answer *a);
// false: reading ends here, in post->end; `end`: the connection has ended.
bool tdm_plain_answer_feed(struct tdm_plain_answer *a, const char *bytes, size_t n, bool end);
