// Relay: two models with one vocabulary write one answer, each some of its tokens. The pen passes between them; who
// gets it back first reads, in one pass, what the other one has written meanwhile.
//
// The rule it protects: a side is asked only when its row is wanted. One that is never asked reads not even the prompt;
// one that fails is out, with a warning in the record, and the other one goes on from the same token. Each side samples
// with its own settings from a random stream of its own, so that an answer that one side wrote alone is that model's.
#pragma once
#include "models/model.h"

enum tdm_relay_who { TDM_RELAY_SMALL, TDM_RELAY_LARGE };

struct tdm_keeper;
struct tdm_writer;

struct tdm_relay_side {
	struct tdm_model *model;
	struct tdm_session *session; // NULL: could not be opened
	int status;                  // TDM_OK, or why it is out
	bool is_prompted, is_full;   // is_full: its context is why it is out
	int seen, row;               // answer tokens that it has read, and the row of the last one; -1: no row
	int64_t wrote, filled, passes, us;
	int64_t fills; // passes that read tokens of the other side
	struct tdm_sampling sampling;
	struct tdm_rng rng;
};

struct tdm_relay {
	struct tdm_run *run;
	const struct tdm_model *by;
	const struct tdm_request *asked;
	struct tdm_request request; // with the answer's limit
	struct tdm_relay_side sides[2];
	struct tdm_writer *writer;
	struct tdm_keeper *keeper;
	int32_t *tokens; // of the answer
	uint8_t *by_large;
	int n, n_written, cap, n_vocab; // n_written: of the n, that have left for the writer
	int64_t switches;
	float *probs;
	int fatal; // status that ends the answer: the run is over, both are out, or (TDM_SINK_ENOUGH) there is no room
};

// Opens both sessions; one may fail. Error: vocabularies differ, a form that cannot be kept, no memory, both fail.
int tdm_relay_open(struct tdm_relay *r, struct tdm_run *run, const struct tdm_model *by, struct tdm_model *small,
                   struct tdm_model *large, const struct tdm_request *request, struct tdm_sink *sink);
void tdm_relay_close(struct tdm_relay *r);
bool tdm_relay_is_in(const struct tdm_relay *r, enum tdm_relay_who who);
// The side's own raw logits after the n tokens so far. NULL: it is out now, or r->fatal says why all is over.
const float *tdm_relay_row(struct tdm_relay *r, enum tdm_relay_who who);
// Lets it read the tokens up to n (its rows begin with that after token `seen`); false as above.
bool tdm_relay_read(struct tdm_relay *r, enum tdm_relay_who who, int n);
// Takes tokens back that have not left; the sides forget them too.
int tdm_relay_rewind(struct tdm_relay *r, int n);
// Without what the wanted form excludes, as it is now. NULL: r->fatal.
const float *tdm_relay_keep_form(struct tdm_relay *r, const float *row);
// The side chooses the next token from that row (raw) and appends it; it has not left. Returns the token, or -1.
int32_t tdm_relay_choose(struct tdm_relay *r, enum tdm_relay_who who, const float *row);
// The next token that has not left goes to the writer, with its raw row (NULL: not known). As tdm_writer_token.
int tdm_relay_send(struct tdm_relay *r, const float *row);
// One call row for each side that was asked. status: of the run so far.
void tdm_relay_record(struct tdm_relay *r, int status);
