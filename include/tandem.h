// Tandem as a library: open settings, ask, stream the answer, read the receipt.
//
//     struct tandem *t;
//     char error[512];
//     if (tandem_open(NULL, &t, error, sizeof error))      // NULL = ./tandem.yaml, else the embedded settings
//         ...error is one sentence...
//     struct tandem_message question = {"user", "What is the capital of France?"};
//     tandem_ask(t, NULL, &question, 1, NULL, print_piece, NULL, error, sizeof error);
//     tandem_close(t);
//
// Functions return 0, or a negative status with a sentence in error. One struct tandem may be used by many threads at
// once. Strings that are passed in are borrowed for the call. Link with libtandem.a and the libraries of `make libs`.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tandem;

struct tandem_message {
	const char *role; // "system", "user" or "assistant"
	const char *text; // UTF-8, NUL-terminated
};

struct tandem_wishes { // zero-initialised = none
	int max_tokens;    // 0 = the model's own limit
	float temperature; // 0 = greedy; negative = the model's own setting
	uint64_t seed;     // 0 = from the system
	int privacy;       // 0 no wish, 1 secrets, 2 personal, 3 strict, 4 local
};

// One piece of the answer: whole UTF-8 characters, and the name of the model that wrote them. Non-zero ends the answer.
typedef int tandem_piece(void *context, const char *text, size_t n, const char *author);

int tandem_open(const char *settings_path, struct tandem **out, char *error, size_t error_bytes);
void tandem_close(struct tandem *t); // NULL is allowed

// Asks the model of that name (NULL = the default) and streams its answer. wishes may be NULL.
int tandem_ask(struct tandem *t, const char *model, const struct tandem_message *messages, size_t n,
               const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char *error, size_t error_bytes);
// As tandem_ask, and the receipt as JSON (allocated; the caller frees it), also when the request failed.
int tandem_ask_receipt(struct tandem *t, const char *model, const struct tandem_message *messages, size_t n,
                       const struct tandem_wishes *wishes, tandem_piece *piece, void *context, char **receipt,
                       char *error, size_t error_bytes);

#ifdef __cplusplus
}
#endif
