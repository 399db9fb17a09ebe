// Certified: a threshold that a certificate promises for, in force as long as everything is as it was certified.
//
// The rule it protects: nothing runs under a certificate whose models, prompts, settings, gate or program have changed,
// whose signature is wrong, that is over, or that was suspended: it is refused when the settings are read. One that is
// over, or is suspended, while the program runs keeps nothing from then on: every request goes to the large model.
#pragma once
#include "assure/certificate.h"
#include "models/kind.h"

struct tdm_certified;

// m: the model under it, its parts and settings set. signer: the public key that must have signed it, NULL = any. file
// NULL: *out is NULL. Lives in b->arena, and m->certified is it. Error: TDM_ECONFIG with one sentence.
int tdm_certified_open(const struct tdm_build *b, struct tdm_model *m, const char *file, const char *signer,
                       struct tdm_certified **out);
// One of several promises of m, which is of no threshold; that it is over or suspended does not matter here. Together
// they are a list that begins at m->certified. Error: as above, for what has changed.
int tdm_certified_add(const struct tdm_build *b, struct tdm_model *m, const char *file, const char *signer,
                      struct tdm_certified **out);
const struct tdm_certified *tdm_certified_next(const struct tdm_certified *c);          // NULL: the last
void tdm_certified_mark(const struct tdm_certified *c, struct tdm_run *run, bool held); // in the record of the run
double tdm_certified_threshold(const struct tdm_certified *c);
const struct tdm_certificate *tdm_certified_of(const struct tdm_certified *c);
// valid, suspended or expired; now, and no part of what was signed.
const char *tdm_certified_state(const struct tdm_certified *c);
// Notes it in the record of the run. False: nothing may be kept under it now. NULL holds and leaves no note.
bool tdm_certified_holds(const struct tdm_certified *c, struct tdm_run *run);

// The audit: of a share of the requests the large model's answer is asked for too when the small one's was served, and
// a loss is that they differ. One test, valid at any time, watches the losses; its alarm suspends the certificate.
// Every audit leaves a decision of m in the record: "agrees" or "differs", signal "audit". Without a certificate (*c is
// NULL) that is all it does. share: 0 = no audit. Error: TDM_ECONFIG (a certificate of another loss or risk).
int tdm_certified_watch(const struct tdm_build *b, const struct tdm_model *m, double share, struct tdm_certified **c);
// Tosses the coin, which knows nothing of the request, and audits. text: what the small model said; NULL: the large
// one answered, which is no loss and costs nothing. A large model that fails shows nothing: a warning.
void tdm_certified_audit(struct tdm_certified *c, struct tdm_run *run, const struct tdm_request *request,
                         struct tdm_model *large, const struct tdm_bytes *text);
// For who audits in another way: the coin, of the system's randomness and not of the run's seed, which a client may
// choose; and what an audited request lost, 0 where the large model answered. c may be NULL.
bool tdm_certified_toss(double share);
void tdm_certified_note(struct tdm_certified *c, double loss);
// Lets chosen answer, and audits.
int tdm_certified_generate(struct tdm_certified *c, struct tdm_model *chosen, struct tdm_model *large,
                           struct tdm_run *run, const struct tdm_request *request, struct tdm_sink *sink,
                           struct tdm_result *result);

#define TDM_CERTIFIED_OPTIONS(file_at, signer_at)                                                    \
	{"certificate",                                                                                  \
	 TDM_OPT_STRING,                                                                                 \
	 file_at,                                                                                        \
	 NULL,                                                                                           \
	 0,                                                                                              \
	 0,                                                                                              \
	 NULL,                                                                                           \
	 "file that promises for a threshold, which is then the one in force; made by tandem certify"},  \
	{                                                                                                \
		"signer", TDM_OPT_STRING, signer_at, NULL, 0, 0, NULL,                                       \
		    "public key, 64 hexadecimal digits, that must have signed the certificate; absent = any" \
	}
