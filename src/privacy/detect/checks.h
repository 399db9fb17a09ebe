// Checks: what makes a run of characters a card, an account, a telephone number. Each looks at the text around an
// anchor, sets the exact span and says PASS (a check digit or a rigid grammar agrees), ABSTAIN (the form alone), FAIL
// (the check digit disagrees) or NONE. Bounded work per anchor. Formats are public facts of their issuers.
#pragma once
#include "privacy/detect/entities.h"

// The digits text[start..end), and those before them that n tells of already when only separators are between.
void tdm_number_append(struct tdm_number *n, const char *text, size_t start, size_t end);

enum tdm_check tdm_check_card(struct tdm_candidate *c);        // Luhn and issuer range
enum tdm_check tdm_check_long_number(struct tdm_candidate *c); // 12-19 digits of any kind
enum tdm_check tdm_check_iban(struct tdm_candidate *c);        // length of the country, mod 97
enum tdm_check tdm_check_ssn(struct tdm_candidate *c);         // AAA-GG-SSSS
enum tdm_check tdm_check_bare_ssn(struct tdm_candidate *c);    // nine digits
enum tdm_check tdm_check_phone(struct tdm_candidate *c);       // E.164, NANP with separators, trunk 0
enum tdm_check tdm_check_bare_phone(struct tdm_candidate *c);  // 7-10 digits
enum tdm_check tdm_check_email(struct tdm_candidate *c);
enum tdm_check tdm_check_email_words(struct tdm_candidate *c); // name [at] host [dot] tld
enum tdm_check tdm_check_ip4(struct tdm_candidate *c);
enum tdm_check tdm_check_ip6(struct tdm_candidate *c);
enum tdm_check tdm_check_password_in_url(struct tdm_candidate *c);
enum tdm_check tdm_check_query_secret(struct tdm_candidate *c);
enum tdm_check tdm_check_aws(struct tdm_candidate *c);
enum tdm_check tdm_check_google(struct tdm_candidate *c);
enum tdm_check tdm_check_jwt(struct tdm_candidate *c);
enum tdm_check tdm_check_private_key(struct tdm_candidate *c);
enum tdm_check tdm_check_assignment(struct tdm_candidate *c); // name = value with high entropy

enum tdm_check tdm_check_prefix(struct tdm_candidate *c);     // width, least and tail of the row
size_t tdm_next_digit(const char *text, size_t at, size_t n); // the first at or after text[at]; n: there is none
double tdm_entropy(const char *text, size_t n);               // bits per character
extern const uint8_t tdm_luhn_twice[10];                      // of a digit: the sum of the digits of twice as much
bool tdm_luhn(const uint8_t *last_first, int n);              // digits, the last one first
