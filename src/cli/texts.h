// Texts: what the commands that look at texts share: the lists of the operator, the detector made from them, and
// standard input as a whole.
#pragma once
#include "cli/command.h"
#include "privacy/detect/detect.h"

struct tdm_looking { // options
	int64_t level;
	const char *deny, *allow, *patterns, *weights;
	struct tdm_strings detect, packs;
	double bias;
};
// Of what finds values; for a command with a level of its own.
#define TDM_DETECTOR_OPTIONS(type, member)                                                                          \
	{"deny", TDM_OPT_STRING, offsetof(type, member.deny), NULL, 0, 0, NULL, "file of private strings, one a line"}, \
	    {"allow",                                                                                                   \
	     TDM_OPT_STRING,                                                                                            \
	     offsetof(type, member.allow),                                                                              \
	     NULL,                                                                                                      \
	     0,                                                                                                         \
	     0,                                                                                                         \
	     NULL,                                                                                                      \
	     "file of strings to leave alone, one a line"},                                                             \
	    {"patterns",                                                                                                \
	     TDM_OPT_STRING,                                                                                            \
	     offsetof(type, member.patterns),                                                                           \
	     NULL,                                                                                                      \
	     0,                                                                                                         \
	     0,                                                                                                         \
	     NULL,                                                                                                      \
	     "file of regular expressions of what is private, one a line"},                                             \
	    {"detect", TDM_OPT_LIST, offsetof(type, member.detect),     "rules,tagger", 0,                              \
	     0,        NULL,         "rules, tagger (names, addresses)"},                                               \
	    {"packs",                                                                                                   \
	     TDM_OPT_LIST,                                                                                              \
	     offsetof(type, member.packs),                                                                              \
	     NULL,                                                                                                      \
	     0,                                                                                                         \
	     0,                                                                                                         \
	     NULL,                                                                                                      \
	     "numbers of which countries: us, uk, de and so on; without it of all"},                                    \
	    {"weights", TDM_OPT_STRING, offsetof(type, member.weights),           "embedded:tagger", 0,                 \
	     0,         NULL,           "of the tagger: a file, or embedded:NAME"},                                     \
	{                                                                                                               \
		"bias", TDM_OPT_NUMBER, offsetof(type, member.bias), "-80", -1000, 1000, NULL,                              \
		    "of the tagger: lower hides more"                                                                       \
	}
#define TDM_LOOKING_OPTIONS(type, member)                                                                  \
	{"level",                                                                                              \
	 TDM_OPT_INT,                                                                                          \
	 offsetof(type, member.level),                                                                         \
	 "2",                                                                                                  \
	 0,                                                                                                    \
	 3,                                                                                                    \
	 NULL,                                                                                                 \
	 "1 secrets and hard identifiers, 2 also contacts, persons, addresses, 3 also organisations, places; " \
	 "docs/masking.md"},                                                                                   \
	    TDM_DETECTOR_OPTIONS(type, member)

// who: "tandem scan". The lists live in the call's arena.
int tdm_looking_open(const struct tdm_command_call *call, const char *who, const struct tdm_looking *o,
                     struct tdm_detector *out);
int tdm_read_input(const char *who, struct tdm_bytes *out, struct tdm_error *err); // inits *out
// TDM_EIO when standard output does not take it all.
int tdm_write_output(const char *who, const struct tdm_bytes *b, struct tdm_error *err);
