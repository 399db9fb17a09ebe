// Status codes of Tandem: every failure is one row of one table.
//
// A function that can fail returns TDM_OK (0) or a negative code, and writes one sentence for the
// person who can fix it into a struct tdm_error. The row also says what the wire answers: the code
// string, the HTTP status, the error type of each API, and whether a retry may help.
// To add a failure, add a row here; nothing else lists the codes.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

enum tdm_retry { TDM_RETRY_NO, TDM_RETRY_ONCE, TDM_RETRY_YES };

// X(name, code string, HTTP status, OpenAI type, Messages type, retry)
#define TDM_STATUS_TABLE(X)                                                                                \
	X(EJSON, "invalid_json", 400, "invalid_request_error", "invalid_request_error", NO)                    \
	X(EVALUE, "invalid_value", 400, "invalid_request_error", "invalid_request_error", NO)                  \
	X(EMISSING, "missing_field", 400, "invalid_request_error", "invalid_request_error", NO)                \
	X(ECONTEXT, "context_length_exceeded", 400, "invalid_request_error", "invalid_request_error", NO)      \
	X(ECONTENT, "unsupported_content", 400, "invalid_request_error", "invalid_request_error", NO)          \
	X(ETOOL, "unsupported_tool", 400, "invalid_request_error", "invalid_request_error", NO)                \
	X(EMEDIA, "unsupported_media_type", 400, "invalid_request_error", "invalid_request_error", NO)         \
	X(ECAPABILITY, "capability_missing", 400, "invalid_request_error", "invalid_request_error", NO)        \
	X(EOBJECTIVE, "objective_infeasible", 400, "invalid_request_error", "invalid_request_error", NO)       \
	X(EFILTERED, "content_filter", 400, "invalid_request_error", "invalid_request_error", NO)              \
	X(EPREVIOUS, "previous_response_not_found", 400, "invalid_request_error", "invalid_request_error", NO) \
	X(EREJECTED, "upstream_rejected", 400, "invalid_request_error", "invalid_request_error", NO)           \
	X(EKEY, "invalid_api_key", 401, "authentication_error", "authentication_error", NO)                    \
	X(EQUOTA, "insufficient_quota", 402, "insufficient_quota", "billing_error", NO)                        \
	X(EFORBIDDEN, "model_not_allowed", 403, "permission_error", "permission_error", NO)                    \
	X(EADMIN, "admin_required", 403, "permission_error", "permission_error", NO)                           \
	X(EORIGIN, "origin_not_allowed", 403, "permission_error", "permission_error", NO)                      \
	X(EPRIVACY, "privacy_refused", 403, "permission_error", "permission_error", NO)                        \
	X(EEGRESS, "egress_blocked", 403, "permission_error", "permission_error", NO)                          \
	X(EPATH, "path_not_found", 404, "not_found_error", "not_found_error", NO)                              \
	X(EMODEL, "model_not_found", 404, "not_found_error", "not_found_error", NO)                            \
	X(ERECEIPT, "receipt_not_found", 404, "not_found_error", "not_found_error", NO)                        \
	X(ECERTIFICATE, "certificate_not_found", 404, "not_found_error", "not_found_error", NO)                \
	X(ERESPONSE, "response_not_found", 404, "not_found_error", "not_found_error", NO)                      \
	X(EMETHOD, "method_not_allowed", 405, "invalid_request_error", "invalid_request_error", NO)            \
	X(EBODYTIME, "request_timeout", 408, "timeout_error", "timeout_error", YES)                            \
	X(ETOOLARGE, "request_too_large", 413, "invalid_request_error", "request_too_large", NO)               \
	X(ERATE, "rate_limit_exceeded", 429, "rate_limit_error", "rate_limit_error", YES)                      \
	X(EQUEUE, "queue_full", 429, "rate_limit_error", "rate_limit_error", YES)                              \
	X(EGONE, "client_gone", 499, "api_error", "api_error", NO)                                             \
	X(EINTERNAL, "internal_error", 500, "api_error", "api_error", NO)                                      \
	X(EIO, "io_error", 500, "api_error", "api_error", NO)                                                  \
	X(EFORMAT, "bad_file", 500, "api_error", "api_error", NO)                                              \
	X(ECONFIG, "bad_configuration", 500, "api_error", "api_error", NO)                                     \
	X(EUPSTREAM, "upstream_error", 502, "api_error", "api_error", ONCE)                                    \
	X(ETRUNCATED, "upstream_truncated", 502, "api_error", "api_error", ONCE)                               \
	X(EBADBODY, "bad_upstream_body", 502, "api_error", "api_error", ONCE)                                  \
	X(EUPAUTH, "upstream_auth", 502, "api_error", "api_error", NO)                                         \
	X(EEXHAUSTED, "upstreams_exhausted", 503, "overloaded_error", "overloaded_error", YES)                 \
	X(ELOADING, "loading", 503, "overloaded_error", "overloaded_error", YES)                               \
	X(EDRAINING, "draining", 503, "overloaded_error", "overloaded_error", YES)                             \
	X(EGUARD, "guard_unavailable", 503, "overloaded_error", "overloaded_error", YES)                       \
	X(ELEDGER, "ledger_unavailable", 503, "overloaded_error", "overloaded_error", YES)                     \
	X(ESTATE, "state_unavailable", 503, "overloaded_error", "overloaded_error", YES)                       \
	X(ENOMEM, "out_of_memory", 503, "overloaded_error", "overloaded_error", YES)                           \
	X(EDEADLINE, "deadline_exceeded", 504, "timeout_error", "timeout_error", ONCE)                         \
	X(EUPTIME, "upstream_timeout", 504, "timeout_error", "timeout_error", ONCE)

enum tdm_status_row {
#define X(name, code, http, type, mtype, retry) TDM_ROW_##name,
	TDM_STATUS_TABLE(X)
#undef X
	    TDM_N_STATUS
};

enum tdm_status {
	TDM_OK = 0,
#define X(name, code, http, type, mtype, retry) TDM_##name = -1 - TDM_ROW_##name,
	TDM_STATUS_TABLE(X)
#undef X
};

struct tdm_status_info {
	const char *code;     // wire code, such as "invalid_json"
	int http;             // HTTP status
	const char *type;     // OpenAI error type
	const char *messages; // Anthropic error type
	enum tdm_retry retry;
};

// The row of a negative status; the row of TDM_EINTERNAL for any value outside the table.
const struct tdm_status_info *tdm_status_info(int status);

// One failure: the code, the place in a request it names ("messages[2].content", may be empty), and
// one sentence that says what, where and what was expected. Zero-initialise it.
struct tdm_error {
	int status;
	char param[128];
	char text[512];
	int64_t retry_after_ms; // when it may help to ask again; 0 = not known
	int upstream_http;      // HTTP status of an upstream that refused; 0 = none did
};
void tdm_error_clear(struct tdm_error *err); // an error that is set keeps its first sentence until then

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
