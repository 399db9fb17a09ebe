// A small HTTP server on a thread of the test: says what it is told, keeps what it was asked.
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

struct server {
	int fd, port;
	pthread_t thread;
	pthread_mutex_t lock; // guards what follows
	const char *answer;   // raw bytes, headers included
	size_t n;             // of them are sent
	size_t piece;         // bytes per write; 0 = all at once
	int n_refuse;         // connections that are closed without a byte
	bool hold, keep;      // hold: stay silent after the answer until the client closes; keep: more requests follow
	char request[65536];  // the last one
	size_t n_request;
	int n_connections, n_requests;
	int64_t closed_us; // when the client of a held connection was gone; 0 = not yet
};

void server_start(struct server *s);
void server_stop(struct server *s);
void server_say(struct server *s, const char *answer, size_t n); // sends the first n bytes, then closes
int64_t server_closed_us(struct server *s);                      // waits up to a second; 0 = still open
