// What http.c (connections, threads), intake.c (reading a request) and exchange.c (a request and its answer) share;
// nothing else includes this.
//
// Locks: exchange->mutex guards what is marked so below, http->mutex the counts and the queue; neither is taken under
// the other. A connection has one owner at a time, the thread that reads and answers; an exchange's memory is kept for
// the next connection until the server closes, and `generation` tells late events of an earlier one apart.
#pragma once
#include "base/chunks.h"
#include "base/loop.h"
#include "serve/head.h"
#include "serve/http.h"
#include <pthread.h>

// What a connection without an owner waits for, or ANSWER: for nothing.
enum tdm_wait { TDM_WAIT_REQUEST, TDM_WAIT_HEAD, TDM_WAIT_BODY, TDM_WAIT_ANSWER };
enum tdm_stage { TDM_READING, TDM_WORKING, TDM_STREAMING, TDM_ANSWERED, TDM_LINGERING };

struct tdm_exchange {
	struct tdm_http *http;
	uint32_t slot;
	// The owner's alone:
	struct tdm_bytes in;        // received and not yet used
	size_t looked;              // how much of it was searched for the head's end
	struct tdm_bytes head_text; // in which the words of `head` are
	struct tdm_head head;
	struct tdm_chunks chunks;
	struct tdm_bytes body;
	bool is_local, has_head, too_large, unread; // unread: of this request there is more to come, that nobody will read
	enum tdm_wait wait;
	size_t step; // of the body, when its time limit was set
	int64_t arrived_us;
	struct tdm_exchange *next; // in the queue, or among the free ones
	atomic_bool cancelled;

	pthread_mutex_t mutex; // guards what follows
	pthread_cond_t room;   // some of `out` was sent, or the client left
	uint32_t generation;
	int fd; // -1 = free
	enum tdm_stage stage;
	bool owned, readable, again; // readable: bytes came while it was owned; again: its owner asked for an event
	atomic_bool hung_up;         // the client sends no more; its owner reads it without the mutex
	bool broken;                 // the client reads no more
	bool framed, last, clean;    // framed: in chunks; last: the connection ends with this answer
	int held, waits;             // waits: writers for whom the buffer is too full
	struct tdm_bytes early, out, headers; // early: of a stream that is not committed; out: from `sent` on not yet sent
	size_t sent;
	const char *ping; // NULL: it may not stream yet
	int64_t wrote_us, progress_us, deadline_us;
};

struct tdm_http {
	struct tdm_http_options options;
	struct tdm_loop *loop;
	int listener, stop, reserve; // stop: an eventfd that ends the keeper; reserve: see accept_all()
	uint16_t port;
	pthread_t keeper;
	struct tdm_exchange **slots;
	size_t n_slots; // ever used; guarded by mutex

	pthread_mutex_t mutex;
	pthread_cond_t idle;
	size_t busy, waiting, open;
	struct tdm_exchange *first, **last; // the queue
	struct tdm_exchange *free;
	atomic_bool closing, short_of_files;
	pthread_mutex_t accepting; // guards listener and reserve
};

// All of these with x->mutex held.
void tdm_exchange_push(struct tdm_exchange *x); // sends what the socket takes
void tdm_exchange_cancel(struct tdm_exchange *x);
void tdm_exchange_ping(struct tdm_exchange *x, int64_t now_us);
void tdm_exchange_deadline(struct tdm_exchange *x, int64_t wait_us); // from now

void tdm_exchange_begin(struct tdm_exchange *x); // a request was read; the owner calls
// It was answered. patient: waits until all is sent, or the client's time is over; else what the socket does not take
// is lost, and the connection with it.
void tdm_exchange_finish(struct tdm_exchange *x, bool patient);
// Answers what is no request, in the shape of the API's errors; the connection ends with it.
void tdm_exchange_reject(struct tdm_exchange *x, int status, const char *code, const char *why);

#define TDM_READ_BYTES 16384 // received at once

// By the owner: reads what has come. WAIT: more is needed; READY: a request is whole, or as much of it as is read;
// CLOSE: the client has left; REJECT: it was answered, as what is no request.
enum tdm_turn { TDM_TURN_WAIT, TDM_TURN_READY, TDM_TURN_CLOSE, TDM_TURN_REJECT };
enum tdm_turn tdm_intake_read(struct tdm_exchange *x);
enum tdm_turn tdm_intake_reject(struct tdm_exchange *x, int status, const char *code, const char *why);
