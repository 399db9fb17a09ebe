// Home: what of a request must not leave, for kinds that let a model elsewhere see less than the request: its private
// values, the parts that are marked private, and a check of every text that is about to go.
//
// The rule it protects: whatever wrote a text that leaves (a template, the small model, a worker), tdm_home_clean has
// looked at it together with the request, and tdm_home_send lets it go with a scan of the final bytes for every value
// of the request. What cannot be looked at is not sent.
//
// <private>...</private> marks a part. Marked parts of fewer words than `copied` are values; of longer ones no run of
// that many words may leave.
#pragma once
#include "models/kind.h"
#include "privacy/egress.h"

struct tdm_home_value {
	const char *text, *key, *slot; // as written; letters and digits of its normal form; "[EMAIL_1]"
	size_t n, n_key;
	const struct tdm_entity *entity;
	bool asked, seen, sent; // it stands in the request; the text cleaned last had it; its slot has left
};

struct tdm_home_part {
	const char *text;
	size_t n;
	bool marked; // else a whole message that is not the last one of the user
};

struct tdm_home {
	struct tdm_run *run;
	const struct tdm_request *request;
	struct tdm_detector detector; // that of the mask on the way, and values that somebody listed
	struct tdm_detector known;    // the same, and every value of the request
	int level, copied;
	struct tdm_words task; // the last message of the user without its marked parts
	struct tdm_home_part *parts;
	size_t n_parts;
	struct tdm_text *texts; // of the request's messages, without marks
	size_t n_texts;
	struct tdm_home_value *values;
	size_t n_values, cap_values, n_asked; // n_asked: of the request, the first ones
	struct tdm_home_grams {               // runs of `copied` words, sorted
		uint64_t *items;
		size_t n;
	} marked, all; // of marked parts; of all of them, made when it is needed
	bool has_all;
	struct tdm_dictionary protect;
	struct tdm_restorer no_tokens;
	struct tdm_links links; // of the request, with slots
	struct tdm_guarded_egress egress;
};

struct tdm_home_look { // what a text that is about to leave held
	size_t leaked;     // values of the request
	size_t hidden;     // stretches that became slots
	bool copied;       // words in a row of a private part
};

struct tdm_home_rules {
	const struct tdm_detector *detector;
	int level, copied;
	const struct tdm_words
	    *listed;     // values that somebody says are private; those of fewer than three characters are not
	size_t n_listed; // looked for
};
// TDM_OK, or TDM_ENOMEM, TDM_EGUARD, TDM_ETOOLARGE with run->error set: then nothing may be sent. Memory: the run's.
int tdm_home_open(struct tdm_home *h, struct tdm_run *run, const struct tdm_request *request,
                  const struct tdm_home_rules *rules);
enum { TDM_HOME_CONTEXT = 1, TDM_HOME_WHOLE = 2 }; // copied is also: a run of unmarked parts; the whole task
// Puts slots in the place of every private value of texts[0..n), which become others.
int tdm_home_clean(struct tdm_home *h, struct tdm_words *texts, size_t n, unsigned copies, struct tdm_home_look *look);
// For documents that come as one message: what stands before its last empty line becomes a part, if there is none yet.
int tdm_home_split(struct tdm_home *h);
// text with the values in the place of slots, but inside links (links.h), as a NUL-terminated string in the run's
// arena; NULL: no memory.
const char *tdm_home_fill(const struct tdm_home *h, const char *text, size_t n, size_t *n_out);
// tdm_generate on the way out: messages are scanned first, the final bytes by what `m` sends them with.
int tdm_home_send(struct tdm_home *h, struct tdm_model *m, const struct tdm_request *asked, struct tdm_sink *sink,
                  struct tdm_result *result);

// The detector and level of the first mask at or below m; the standard one and 0 where there is none (*scanner is then
// to be freed). TDM_ECONFIG when m leaves the machine on a way without a mask: `role` is named.
int tdm_home_detector(const struct tdm_build *b, const char *role, const struct tdm_model *m,
                      struct tdm_detector *detector, int *level, struct tdm_scanner **scanner);
// Whether text can leave this machine on a way without a mask.
bool tdm_leaves_unmasked(const struct tdm_model *m);
// Words are runs of letters and digits, compared without case. Whether those of part[0..n_part) stand in a row in text.
bool tdm_words_within(struct tdm_arena *arena, const char *text, size_t n, const char *part, size_t n_part);
