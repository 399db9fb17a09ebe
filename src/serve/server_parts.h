// Parts of the server that its files share; nothing outside serve/ includes this.
#pragma once
#include "ledger/stats.h"
#include "models/account.h"
#include "serve/http.h"
#include "serve/server.h"
#include "base/value.h"
#include <pthread.h>
#include <stdatomic.h>

#define TDM_REQUEST_ID_BYTES 72 // a client's own has at most 64 characters

struct tdm_live { // a request that is being answered, on its worker's stack
	bool listed;
	char id[TDM_ID_BYTES], model[64];
	const char *endpoint;
	int64_t arrived_us;
	struct tdm_live *next, *previous;
};
struct tdm_live_list {
	pthread_mutex_t mutex; // guards the list and what is on it
	struct tdm_live *first;
};

struct tdm_server {
	const struct tdm_serve_settings *settings; // of the start: what no reload changes
	struct tdm_ledger *ledger;
	struct tdm_http *http;
	struct tdm_responses *responses; // NULL: none are stored
	char url[96];
	int64_t started_us;   // since 1970
	uint8_t hash_key[32]; // of the keyed hashes in receipts, made at start
	struct tdm_live_list live;
	struct tdm_stats *stats;
	atomic_int_least64_t draining_us; // since when it is about to stop; 0 = it is not
	struct tdm_telemetry *telemetry;  // since the first setup; NULL = off

	pthread_mutex_t mutex;   // guards what follows
	struct tdm_setup *setup; // that requests begin with; NULL while the first models load
	struct tdm_setup *older; // that were replaced; of the thread that replaces them
	char loading[160];       // while they do: which one, how far
	char fault[560];         // of the last reload; empty: it went well
};

// One request: everything a handler needs. Handlers answer x exactly once.
struct tdm_call_context {
	struct tdm_server *server;
	const struct tdm_setup *setup; // for as long as the request lasts; NULL while the first models load
	struct tdm_exchange *x;
	struct tdm_arena *arena;
	const struct tdm_format *format; // of the answer, errors included
	char request_id[TDM_REQUEST_ID_BYTES];
	struct tdm_live live;
	const char *endpoint; // the path of its route; NULL = none
	bool counted;         // in the metrics, with its record
	const char *receipt;  // the whole one, as the ledger took it; NULL = not yet, or too long to be shown
	struct tdm_error error;
	bool retried;                // calls of upstreams were repeated for it
	struct tdm_who who;          // who asks; set before a handler that needs a key runs
	struct tdm_account *account; // the bounds of its key; NULL = none
	struct tdm_visit visit;      // what was taken of them for as long as the request lasts
};

// On a worker: finds the handler of the path. setup NULL: the first models are still loading.
void tdm_answer(struct tdm_server *s, const struct tdm_setup *setup, struct tdm_exchange *x);
bool tdm_is_quick(const struct tdm_exchange *x);     // answered without a worker: never waits
bool tdm_origin_allowed(struct tdm_call_context *c); // false: it was answered, a preflight or a refusal
// TDM_OK, TDM_ELOADING, or TDM_EDRAINING for what arrived after that had begun.
int tdm_ready(const struct tdm_call_context *c, struct tdm_error *err);
// Sets c->who by the key that the request carries. TDM_OK, TDM_EKEY with c->error set.
int tdm_authenticate(struct tdm_call_context *c);
// Takes a request and a place from the bounds of the key, says in headers what is left, and makes the run its tenant's.
// TDM_OK; TDM_ERATE, TDM_ESTATE, TDM_ENOMEM with c->error set.
int tdm_bounds_enter(struct tdm_call_context *c, struct tdm_run *run);
void tdm_bounds_leave(struct tdm_call_context *c); // when the request has been answered
// The least that the key asks of its requests.
void tdm_bounds_tighten(const struct tdm_call_context *c, struct tdm_objective *o);

void tdm_live_begin(struct tdm_call_context *c, const struct tdm_record *r); // the record has its model
void tdm_live_end(struct tdm_call_context *c);                               // also when it never began
void tdm_live_write(struct tdm_live_list *l, struct tdm_bytes *out);         // a JSON list

void tdm_handle_answer(struct tdm_call_context *c);
void tdm_handle_count(struct tdm_call_context *c);
void tdm_handle_response(struct tdm_call_context *c, const char *rest); // rest: an id, or ID/input_items
void tdm_handle_response_delete(struct tdm_call_context *c, const char *id);
void tdm_handle_response_cancel(struct tdm_call_context *c, const char *rest); // rest: ID/cancel
void tdm_handle_embeddings(struct tdm_call_context *c);
void tdm_handle_rerank(struct tdm_call_context *c);
void tdm_handle_moderations(struct tdm_call_context *c);
void tdm_handle_tokenizer_info(struct tdm_call_context *c);
void tdm_handle_tokenize(struct tdm_call_context *c);
void tdm_handle_detokenize(struct tdm_call_context *c);
void tdm_handle_receipt(struct tdm_call_context *c, const char *id);
void tdm_handle_certificates(struct tdm_call_context *c, const char *id); // NULL: all of them
// Tells models that remember what left before (recall.c). Failures are in the log.
void tdm_recall(struct tdm_ledger *ledger, const struct tdm_setup *setup);
void tdm_keep_certificates(struct tdm_ledger *ledger, const struct tdm_setup *setup); // failures are in the log
void tdm_handle_models(struct tdm_call_context *c, const char *id);                   // id NULL = the list
void tdm_handle_health(struct tdm_call_context *c);
void tdm_handle_metrics(struct tdm_call_context *c);
void tdm_handle_live(struct tdm_call_context *c);
void tdm_handle_page(struct tdm_call_context *c);
void tdm_handle_page_file(struct tdm_call_context *c, const char *id);
void tdm_handle_tree(struct tdm_call_context *c);
void tdm_handle_stats(struct tdm_call_context *c, const char *window); // "hour", "day"
// A body that found no memory is an answer of its own: 503, out_of_memory.
void tdm_reply_body(struct tdm_exchange *x, int http_status, const struct tdm_bytes *body);
void tdm_reply_json(struct tdm_call_context *c, const struct tdm_bytes *body);
// Answers with c->error in the shape of c->format; receipt: JSON or NULL.
void tdm_reply_error(struct tdm_call_context *c, const char *receipt);
// The client's own id, if it is a good one, or a new one. Every answer carries it.
void tdm_set_request_id(struct tdm_call_context *c);
void tdm_set_error_headers(struct tdm_exchange *x, const struct tdm_error *err, bool retried);
void tdm_set_warnings(struct tdm_exchange *x, const struct tdm_record *r); // of the record, as a header
// The body as JSON in the arena. TDM_OK, TDM_EJSON, TDM_EMEDIA.
int tdm_read_body(struct tdm_call_context *c, struct tdm_value **out, struct tdm_error *err);
// The model that a client means; NULL, "auto" and "default": the default one. NULL with TDM_EMODEL: there is none; with
// TDM_EFORBIDDEN: not for this key.
struct tdm_model *tdm_find_model(const struct tdm_call_context *c, const char *name, struct tdm_error *err);
