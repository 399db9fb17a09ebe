// Links: whether a stream stands inside an address that a page would load, or a click would open: what stands there
// goes to somebody else.
//
// A value belongs there when the operator lists the origin of the address, or when the same address, up to and with
// this value, stood in the request: then whoever wrote it knew the value. What an address is, is read widely: schemes
// with and without their slashes, "//host" where markup holds an address, what encodes a character ("&#"), with the
// escapes of Markdown and JSON. Paths count as queries do, for they reach the same host. Addresses end at a blank, but
// inside quotation marks of attributes and angle brackets of Markdown at their end, as blanks do not end them there.
#pragma once
#include "base/arena.h"
#include "base/option.h"
#include "base/status.h"
#include "privacy/mask/token.h"

#define TDM_ORIGIN_BYTES 288 // of a scheme, a name of a host and a port, with what ends them

struct tdm_links {                     // those of a request
	const struct tdm_strings *origins; // where values may go, "https://host[:port]"; "*": anywhere; NULL = none
	struct tdm_arena *arena;           // of known
	uint64_t secret;                   // of fingerprints: nobody outside can find two addresses with the same one
	uint64_t *known;                   // fingerprints of its addresses up to and with a value; sorted by tdm_links_sort
	size_t n, cap;
	bool failed; // no memory
};
void tdm_links_sort(struct tdm_links *links);

struct tdm_link { // one stream; all zero at its beginning, but for the first three
	const struct tdm_links *links;
	struct tdm_links *learns; // the stream is of the request, and its addresses become known; NULL = of an answer
	bool in_json;

	bool inside;                   // of an address
	char closer;                   // what ends it; 0 = a blank
	uint64_t fingerprint;          // of what was read of it, with its tokens
	char origin[TDM_ORIGIN_BYTES]; // how it begins
	size_t n_origin;

	// what was read last, outside of addresses: word, colon, slashes
	char word[8]; // letters and dots in a row, small; of longer ones the beginning
	size_t n_word;
	bool has_colon;
	size_t n_slashes;
	char before;      // the character before the word, or before the slashes where there is none
	char last, solid; // the last character; the last one that is neither blank nor slash
	char holder;      // what ends the attribute or the angle brackets the stream is in; 0 = it is in none
	char escape[6];   // of JSON, as far as it was read
	size_t n_escape;
};
void tdm_link_put(struct tdm_link *l, const char *text, size_t n); // what goes out as it is
// A token is next. True: its value goes out in its place, false: the token does.
bool tdm_link_token(struct tdm_link *l, const struct tdm_spelling *value);
// "https://host", "http://host:8080" or "*". Error: TDM_ECONFIG.
int tdm_links_check(const struct tdm_strings *origins, const char *where, struct tdm_error *err);
