// The build that looks for memory nobody has set (make CC=clang SAN=memory): what is at the border to libraries, which
// are not part of that build. The linker leads calls of our own code to the functions named __wrap_ here. Three rules:
// - what a library allocates counts as set; what we allocate does not;
// - what a library writes into memory of ours is named here, function by function, and counts as set for as far as the
//   library says that it wrote;
// - the stack below a call counts as set: a library uses it again after functions of ours, which left it as not set.
// To add a function of a library: a line in memory_border.h, and where it writes into memory of ours, a function here.
#define OPENSSL_API_COMPAT 10100 // as base/crypto.c
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sanitizer/msan_interface.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <yaml.h>

// --- memory of our own code: what it really is

void *__interceptor_malloc(size_t n);
void *__interceptor_realloc(void *old, size_t n);
void *__interceptor_aligned_alloc(size_t align, size_t n);
int __interceptor_posix_memalign(void **out, size_t align, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_realloc(void *old, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_posix_memalign(void **out, size_t align, size_t n);

void *__wrap_malloc(size_t n) {
	return __interceptor_malloc(n);
}

void *__wrap_realloc(void *old, size_t n) {
	return __interceptor_realloc(old, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n) {
	return __interceptor_aligned_alloc(align, n);
}

int __wrap_posix_memalign(void **out, size_t align, size_t n) {
	return __interceptor_posix_memalign(out, align, n);
}

// --- memory of libraries: set

void __msan_init(void);
static bool is_begun; // before, there is nowhere to note what is set

static void begin(int argc, char **argv, char **env) {
	__msan_init();
	is_begun = true;
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(int, char **, char **) = begin;

static void *set(void *p, size_t n) {
	if (p && is_begun)
		__msan_unpoison(p, n);
	return p;
}

__attribute__((visibility("default"))) void *malloc(size_t n) {
	return set(__interceptor_malloc(n), n);
}

__attribute__((visibility("default"))) void *realloc(void *old, size_t n) {
	return set(__interceptor_realloc(old, n), n);
}

__attribute__((visibility("default"))) void *aligned_alloc(size_t align, size_t n) {
	return set(__interceptor_aligned_alloc(align, n), n);
}

__attribute__((visibility("default"))) int posix_memalign(void **out, size_t align, size_t n) {
	int status = __interceptor_posix_memalign(out, align, n);
	if (!status && set(out, sizeof *out))
		set(*out, n);
	return status;
}

// --- calls of libraries

enum { STACK_BYTES = 96 * 1024 };

void tdm_memory_border(void);
void tdm_memory_border(void) {
	char here;
	__msan_unpoison(&here - STACK_BYTES, STACK_BYTES);
}

// Everything a function may be given in registers is kept.
__asm__(".text\n"
        "cross_border:\n"
        "push %rbp\n mov %rsp, %rbp\n and $-16, %rsp\n sub $192, %rsp\n"
        "mov %rdi, 0(%rsp)\n mov %rsi, 8(%rsp)\n mov %rdx, 16(%rsp)\n mov %rcx, 24(%rsp)\n"
        "mov %r8, 32(%rsp)\n mov %r9, 40(%rsp)\n mov %rax, 48(%rsp)\n"
        "movups %xmm0, 64(%rsp)\n movups %xmm1, 80(%rsp)\n movups %xmm2, 96(%rsp)\n movups %xmm3, 112(%rsp)\n"
        "call tdm_memory_border\n"
        "mov 0(%rsp), %rdi\n mov 8(%rsp), %rsi\n mov 16(%rsp), %rdx\n mov 24(%rsp), %rcx\n"
        "mov 32(%rsp), %r8\n mov 40(%rsp), %r9\n mov 48(%rsp), %rax\n"
        "movups 64(%rsp), %xmm0\n movups 80(%rsp), %xmm1\n movups 96(%rsp), %xmm2\n movups 112(%rsp), %xmm3\n"
        "leave\n ret\n");
#define WRITES(name)
#define CROSS(name)                                  \
	__asm__(".globl __wrap_" #name "\n__wrap_" #name \
	        ":\n sub $8, %rsp\n call cross_border\n add $8, %rsp\n jmp __real_" #name "@PLT\n");
#include "memory_border.h"

// --- what libraries write into memory of ours

int __real_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser);
int __wrap_yaml_parser_initialize(yaml_parser_t *parser) {
	tdm_memory_border();
	int is_good = __real_yaml_parser_initialize(parser);
	set(parser, sizeof *parser);
	return is_good;
}

int __real_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event);
int __wrap_yaml_parser_parse(yaml_parser_t *parser, yaml_event_t *event) {
	tdm_memory_border();
	int is_good = __real_yaml_parser_parse(parser, event);
	set(event, sizeof *event);
	return is_good;
}

ssize_t __real_utf8proc_encode_char(int32_t c, uint8_t *out);
ssize_t __wrap_utf8proc_encode_char(int32_t c, uint8_t *out);
ssize_t __wrap_utf8proc_encode_char(int32_t c, uint8_t *out) {
	tdm_memory_border();
	ssize_t n = __real_utf8proc_encode_char(c, out);
	set(out, n > 0 ? (size_t)n : 0);
	return n;
}

int __real_pcre2_get_error_message_8(int number, uint8_t *text, size_t n);
int __wrap_pcre2_get_error_message_8(int number, uint8_t *text, size_t n);
int __wrap_pcre2_get_error_message_8(int number, uint8_t *text, size_t n) {
	tdm_memory_border();
	int len = __real_pcre2_get_error_message_8(number, text, n);
	set(text, len >= 0 ? (size_t)len + 1 : 0);
	return len;
}

int __real_SHA256_Init(SHA256_CTX *context);
int __wrap_SHA256_Init(SHA256_CTX *context);
int __wrap_SHA256_Init(SHA256_CTX *context) {
	tdm_memory_border();
	int status = __real_SHA256_Init(context);
	set(context, status == 1 ? sizeof *context : 0);
	return status;
}

int __real_SHA256_Final(unsigned char *out, SHA256_CTX *context);
int __wrap_SHA256_Final(unsigned char *out, SHA256_CTX *context);
int __wrap_SHA256_Final(unsigned char *out, SHA256_CTX *context) {
	tdm_memory_border();
	int status = __real_SHA256_Final(out, context);
	set(out, status == 1 ? SHA256_DIGEST_LENGTH : 0);
	return status;
}

int __real_EVP_PKEY_get_raw_public_key(const EVP_PKEY *key, unsigned char *out, size_t *n);
int __wrap_EVP_PKEY_get_raw_public_key(const EVP_PKEY *key, unsigned char *out, size_t *n);
int __wrap_EVP_PKEY_get_raw_public_key(const EVP_PKEY *key, unsigned char *out, size_t *n) {
	tdm_memory_border();
	int status = __real_EVP_PKEY_get_raw_public_key(key, out, n);
	set(n, sizeof *n);
	set(out, status == 1 ? *n : 0);
	return status;
}

int __real_EVP_DigestSign(EVP_MD_CTX *context, unsigned char *out, size_t *n, const unsigned char *data, size_t n_data);
int __wrap_EVP_DigestSign(EVP_MD_CTX *context, unsigned char *out, size_t *n, const unsigned char *data, size_t n_data);
int __wrap_EVP_DigestSign(EVP_MD_CTX *context, unsigned char *out, size_t *n, const unsigned char *data,
                          size_t n_data) {
	tdm_memory_border();
	int status = __real_EVP_DigestSign(context, out, n, data, n_data);
	set(n, sizeof *n);
	set(out, status == 1 ? *n : 0);
	return status;
}

int __real_RAND_bytes(unsigned char *out, int n);
int __wrap_RAND_bytes(unsigned char *out, int n);
int __wrap_RAND_bytes(unsigned char *out, int n) {
	tdm_memory_border();
	int status = __real_RAND_bytes(out, n);
	set(out, status == 1 ? (size_t)n : 0);
	return status;
}
