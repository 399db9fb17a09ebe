// Seen: what the models of one request were asked, and what they said, shown to the client that asked for it
// (tandem.seen) beside the receipt of its answer. Kept nowhere: it ends with the request.
//
// The rule it protects: it shows texts that settings and other models add, so only who may see everything may ask: a
// key with the right to administrate, or a client of this machine where there are no keys.
#pragma once
#include "models/model.h"
#include <pthread.h>

struct tdm_call_context;
struct tdm_heard;
struct tdm_seen {
	struct tdm_tap tap; // first
	pthread_mutex_t lock;
	struct tdm_heard *first, **last; // calls of sources, in the order of asking
	size_t bytes;
	bool open, cut; // cut: more was said than is kept
};
// Error: TDM_EADMIN.
int tdm_seen_open(struct tdm_call_context *c, struct tdm_seen *s, struct tdm_run *run);
// The receipt with "seen" in it; as it is when nobody asked or there is none.
const char *tdm_seen_add(struct tdm_seen *s, struct tdm_arena *arena, const char *receipt);
void tdm_seen_release(struct tdm_seen *s);
