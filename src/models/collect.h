// Collect: the sink of a strategy that needs the whole answer before it decides, and of one that listens while the
// words go through. Also the way to show a collected answer to the next sink.
#pragma once
#include "base/bytes.h"
#include "models/logprobs.h"
#include "models/model.h"

struct tdm_collect {
	struct tdm_sink sink;         // give &c.sink to tdm_generate; sink.next set: events are also passed on
	struct tdm_bytes text;        // the words alone, without thoughts and calls
	int n;                        // events
	struct tdm_logprobs logprobs; // of the events whose logprob is known
	const char *author;           // of the last event
	struct tdm_arena *arena;      // not NULL: the events are kept, for tdm_collect_replay
	struct tdm_kept *kept, **last;
};

// limit: bytes of text at most; a longer answer is TDM_ETOOLARGE. next: NULL = only collect. keep: NULL = text only.
void tdm_collect_init(struct tdm_collect *c, size_t limit, struct tdm_sink *next, struct tdm_arena *keep);
void tdm_collect_release(struct tdm_collect *c);
double tdm_collect_mean(const struct tdm_collect *c); // mean logprob per event; NAN when none is known
// Puts the kept events (or, without an arena, the text as one event) into `next`. TDM_SINK_ENOUGH becomes TDM_OK.
int tdm_collect_put(const struct tdm_collect *c, struct tdm_sink *next); // the same, but returns what put() returned
int tdm_collect_replay(const struct tdm_collect *c, struct tdm_sink *next);
// A copy of the event, its text and its alternatives in the arena. False when out of memory.
bool tdm_event_copy(struct tdm_arena *arena, const struct tdm_event *event, struct tdm_event *out);
// One event of `text` by `author`, logprob unknown; nothing when empty. What put() returned.
int tdm_put_text(struct tdm_sink *sink, const char *author, const char *text, size_t n);
