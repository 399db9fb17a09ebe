// Options: one table row per setting feeds the YAML reader, --help, `tandem config` and the documentation.
//
// A table describes the fields of one plain C struct. Reading fills the struct with defaults, then with the
// values given; an unknown key is an error that names the nearest known one, with file and line.
#pragma once
#include "base/value.h"

enum tdm_option_type {
	TDM_OPT_INT,    // int64_t, min..max
	TDM_OPT_NUMBER, // double, min..max
	TDM_OPT_BOOL,   // bool
	TDM_OPT_STRING, // const char *
	TDM_OPT_CHOICE, // int: the index into `choices` ("a|b|c")
	TDM_OPT_LIST,   // struct tdm_strings: a list of strings (a single string is a list of one)
	TDM_OPT_VALUE,  // const struct tdm_value *: read by the owner
};

struct tdm_strings {
	const char **items;
	size_t n;
};

struct tdm_option {
	const char *name;
	enum tdm_option_type type;
	size_t offset;        // of the field in the options struct
	const char *standard; // default, as text; NULL = zero / NULL / empty
	double min, max;      // both 0 = unbounded
	const char *choices;  // TDM_OPT_CHOICE: "a|b|c"
	const char *help;     // one line, with unit
};

// Fills *out (option_bytes long, zeroed first) from `map` (NULL = all defaults). Keys listed in `also`
// (NULL-terminated, may be NULL) are known but left to the caller. where: prefix of error sentences, such as
// "tandem.yaml: model small".
int tdm_options_read(struct tdm_arena *arena, const char *where, const struct tdm_value *map,
                     const struct tdm_option *table, size_t n_options, const char *const *also, void *out,
                     size_t option_bytes, struct tdm_error *err);
// Sets one option from text, as --name=value does. Same checks.
int tdm_option_set(struct tdm_arena *arena, const char *where, const struct tdm_option *option, const char *text,
                   void *out, struct tdm_error *err);
// The name in names[0..n) nearest to `name` by edit distance; NULL when none is near.
const char *tdm_nearest(const char *name, const char *const *names, size_t n);
