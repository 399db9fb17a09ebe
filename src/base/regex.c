// Regular expressions with PCRE2. This is the only file that knows PCRE2.
//
// The rule kept here: a match ends. Both matchers have limits, and reaching one counts as "no match", so patterns
// that guard something belong in the linear-time scanner and not here.
#include "base/text.h"
#include <pcre2.h>
#include <stdatomic.h>
#include <stdlib.h>

#define MATCH_LIMIT 1000000
#define DEPTH_LIMIT 1000
#define HEAP_LIMIT_KIB 16384

struct tdm_regex {
	pcre2_code *code;
	pcre2_match_context *context;
	pcre2_match_data *_Atomic spare; // taken by one thread at a time; the others make their own
};

static int fail_pattern(int number, size_t offset, struct tdm_error *err) {
	PCRE2_UCHAR text[160];
	if (pcre2_get_error_message(number, text, sizeof text) < 0)
		text[0] = 0;
	return tdm_fail(err, TDM_EVALUE, "The regular expression is not valid at offset %zu: %s.", offset, (char *)text);
}

// MATCH_INVALID_UTF spares the check of the whole text before every match, which would make a split quadratic.
int tdm_regex_new(const char *pattern, struct tdm_regex **out, struct tdm_error *err) {
	int number;
	size_t offset;
	struct tdm_regex *regex = calloc(1, sizeof *regex);
	if (!regex)
		goto no_memory;
	regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
	                            PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &number, &offset, NULL);
	if (!regex->code) {
		tdm_regex_free(regex);
		return fail_pattern(number, offset, err);
	}
	regex->context = pcre2_match_context_create(NULL);
	if (!regex->context)
		goto no_memory;
	pcre2_set_match_limit(regex->context, MATCH_LIMIT);
	pcre2_set_depth_limit(regex->context, DEPTH_LIMIT);
	pcre2_set_heap_limit(regex->context, HEAP_LIMIT_KIB);
	pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); // where it cannot be had, the interpreter matches
	*out = regex;
	return TDM_OK;
no_memory:
	tdm_regex_free(regex);
	return tdm_fail(err, TDM_ENOMEM, "No memory for a regular expression.");
}

void tdm_regex_free(struct tdm_regex *regex) {
	if (!regex)
		return;
	pcre2_match_data_free(atomic_load(&regex->spare));
	pcre2_match_context_free(regex->context);
	pcre2_code_free(regex->code);
	free(regex);
}

bool tdm_regex_find(const struct tdm_regex *regex, const char *text, size_t n, size_t from, size_t *start,
                    size_t *end) {
	struct tdm_regex *shared = (struct tdm_regex *)regex; // only the atomic `spare` changes
	if (from > n)
		return false;
	pcre2_match_data *match = atomic_exchange(&shared->spare, NULL);
	if (!match)
		match = pcre2_match_data_create(1, NULL);
	if (!match)
		return false;
	PCRE2_SPTR subject = (PCRE2_SPTR)(text ? text : "");
	int rc = pcre2_match(regex->code, subject, n, from, 0, match, regex->context);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT) // the compiled matcher has a small stack; the interpreter uses the heap
		rc = pcre2_match(regex->code, subject, n, from, PCRE2_NO_JIT, match, regex->context);
	if (rc >= 0) {
		size_t *span = pcre2_get_ovector_pointer(match);
		*start = span[0];
		*end = span[1];
	}
	pcre2_match_data_free(atomic_exchange(&shared->spare, match));
	return rc >= 0;
}
